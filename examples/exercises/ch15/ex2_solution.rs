//! 15.2, a solution: a second and a sum for each address.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

/// Bytes that an address gets in a second.
const BUDGET: u64 = 10_000;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut sent: HashMap<String, (u64, u64)> = HashMap::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let answer = match reply(&line) {
            Some((address, bytes, time)) => {
                let (second, sum) = sent.entry(address.to_owned()).or_default();
                if *second != time {
                    (*second, *sum) = (time, 0);
                }
                if *sum + bytes > BUDGET {
                    "drop"
                } else {
                    *sum += bytes;
                    "send"
                }
            }
            None => "not a reply",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}

/// The parts of a line: an address, bytes, and a second.
fn reply(line: &str) -> Option<(&str, u64, u64)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [address, bytes, time] = words[..] else {
        return None;
    };
    let bytes: u32 = bytes.parse().ok()?;
    Some((address, u64::from(bytes), time.parse().ok()?))
}
