//! 14.2, a solution: four letters are 24 bits, and so three bytes.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["mg", key] => hex(key.as_bytes()),
            ["mg", key, "b"] => match decode(key.as_bytes()) {
                Some(key) => hex(&key),
                None => "CLIENT_ERROR error decoding key".to_owned(),
            },
            _ => "CLIENT_ERROR bad command line format".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}

/// The bytes of a text in base64. `=` only fills up the last four letters.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let letters = text.strip_suffix(b"==").or(text.strip_suffix(b"="));
    let letters = letters.unwrap_or(text);
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::new();
    for four in letters.chunks(4) {
        let mut bits = 0;
        for &letter in four {
            bits = bits << 6 | six_bits(letter)?;
        }
        bits <<= 6 * (4 - four.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    Some(bytes)
}

/// The number of a letter of base64.
fn six_bits(letter: u8) -> Option<u32> {
    Some(u32::from(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

/// Two digits for each byte.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
