//! 9.2, the starter: a circle that ends.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut points: BTreeMap<u32, String> = BTreeMap::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["point", place, name] => {
                points.insert(number(place), name.to_owned());
            }
            ["leave", name] => points.retain(|_, server| server != name),
            ["key", place] => {
                let server = server(&points, number(place)).unwrap_or("nobody");
                stream.write_all(format!("{server}\r\n").as_bytes())?;
            }
            _ => stream.write_all(b"what?\r\n")?,
        }
    }
    Ok(())
}

/// The server of a position.
fn server(points: &BTreeMap<u32, String>, place: u32) -> Option<&str> {
    let (_, server) = points.range(..place).next_back()?;
    Some(server)
}

fn number(text: &str) -> u32 {
    text.parse().unwrap_or(0)
}
