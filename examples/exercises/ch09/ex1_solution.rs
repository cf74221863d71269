//! 9.1, a solution: the share and the product are rounded to single precision.

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
    let share = weight as f32 / total as f32;
    let product = f64::from(share) * 40.0 * f64::from(servers);
    (product as f32).floor() as u32
}
