//! 16.1, the starter: a recorder that measures like a closed loop.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut latencies: Vec<u64> = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let numbers: Vec<u64> = line.split(' ').flat_map(str::parse).collect();
        let answer = match (line.as_str(), numbers.as_slice()) {
            // `_due` is when the request should have been sent.
            (_, &[_due, sent, answered]) => {
                latencies.push(answered - sent);
                latencies.sort_unstable();
                "counted".to_owned()
            }
            ("slowest", _) => latencies[latencies.len() - 1].to_string(),
            ("median", _) => latencies[latencies.len() / 2].to_string(),
            _ => "unknown".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
