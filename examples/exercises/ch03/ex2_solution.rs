//! 3.2, a solution: the length is checked against a limit, and then that much is read.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Bytes of the largest value. No memory is allocated by an announced length alone.
const LIMIT: usize = 1024 * 1024;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut value = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        if reader.by_ref().take(2048).read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(length) = line.trim_end().strip_prefix("put ") {
            let Some(length) = length
                .parse()
                .ok()
                .filter(|&length: &usize| length <= LIMIT)
            else {
                stream.write_all(b"CLIENT_ERROR bad length\r\n")?;
                return Ok(());
            };
            value.resize(length, 0);
            reader.read_exact(&mut value)?;
            let mut end = [0; 2];
            reader.read_exact(&mut end)?;
            if end != *b"\r\n" {
                stream.write_all(b"CLIENT_ERROR bad data chunk\r\n")?;
                return Ok(());
            }
            stream.write_all(b"STORED\r\n")?;
        } else {
            let reply = [format!("{}\r\n", value.len()).as_bytes(), &value, b"\r\n"].concat();
            stream.write_all(&reply)?;
        }
    }
}
