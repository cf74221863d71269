//! 4.1, a solution: one number with four meanings.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let numbers: Vec<i64> = line.split(' ').flat_map(str::parse).collect();
        let answer = match numbers[..] {
            [exptime, now] => end(exptime, now),
            _ => "two numbers, please".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}

/// The expiry of an item that is stored now: `never`, `expired`, or the time.
fn end(exptime: i64, now: i64) -> String {
    const MONTH: i64 = 30 * 24 * 60 * 60;
    match exptime {
        0 => "never".to_owned(),
        1..=MONTH => (now + exptime).to_string(),
        date if date > now => date.to_string(),
        _ => "expired".to_owned(),
    }
}
