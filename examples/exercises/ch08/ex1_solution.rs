//! 8.1, a solution: an array adds its elements to the values still to come.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Answers each reply with the number of its bytes.
pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(length) = value(&mut reader)? {
        stream.write_all(format!("{length}\r\n").as_bytes())?;
    }
    Ok(())
}

/// Reads one value and returns its length in bytes; `None` at the end of the input.
fn value(reader: &mut impl BufRead) -> io::Result<Option<u64>> {
    let (mut length, mut missing) = (0, 1);
    while missing > 0 {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        length += line.len() as u64;
        missing -= 1;
        match (line[0], number(&line)) {
            (b'$', bytes @ 0..) => {
                let bytes = bytes as u64 + 2;
                io::copy(&mut reader.take(bytes), &mut io::sink())?;
                length += bytes;
            }
            (b'*', elements) => missing += elements.max(0),
            _ => {}
        }
    }
    Ok(Some(length))
}

/// The number behind the first letter of a line.
fn number(line: &[u8]) -> i64 {
    let text = String::from_utf8_lossy(&line[1..]);
    text.trim_end().parse().unwrap_or(0)
}
