//! 9.1, the starter: computes in double precision throughout.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let numbers: Vec<u32> = line.split(' ').flat_map(str::parse).collect();
        let answer = match numbers[..] {
            [weight, total, servers] => digests(weight, total, servers).to_string(),
            _ => "what?".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}

/// Forty digests for each server on average, by its share of the weights.
fn digests(weight: u32, total: u32, servers: u32) -> u32 {
    let share = f64::from(weight) / f64::from(total);
    (share * 40.0 * f64::from(servers)).floor() as u32
}
