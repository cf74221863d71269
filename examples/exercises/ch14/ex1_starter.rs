//! 14.1, the starter: the length counts the header, and numbers begin with their lowest byte.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Bytes of a header.
const HEADER: usize = 24;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut header = [0; HEADER];
    while stream.read_exact(&mut header).is_ok() {
        let key = u16::from_le_bytes([header[2], header[3]]);
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        let mut body = vec![0; (length as usize).saturating_sub(HEADER)];
        stream.read_exact(&mut body)?;
        let (key, value) = body.split_at(usize::from(key).min(body.len()));
        let (key, value) = (String::from_utf8_lossy(key), String::from_utf8_lossy(value));
        let line = format!("opcode {}, key {key:?}, value {value:?}\r\n", header[1]);
        stream.write_all(line.as_bytes())?;
    }
    Ok(())
}
