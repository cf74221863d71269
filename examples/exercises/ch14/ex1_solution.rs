//! 14.1, a solution: the length is that of the body, all numbers are big-endian, and extras precede the key.

use std::io::{self, Read, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut header = [0; 24];
    while stream.read_exact(&mut header).is_ok() {
        let key = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let extras = usize::from(header[4]);
        let length = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        // The bytes are kept as they arrive: the length alone reserves no memory.
        let mut body = Vec::new();
        stream.take(u64::from(length)).read_to_end(&mut body)?;
        if body.len() < length as usize || key + extras > body.len() {
            break;
        }
        let (key, value) = body[extras..].split_at(key);
        let (key, value) = (String::from_utf8_lossy(key), String::from_utf8_lossy(value));
        let line = format!("opcode {}, key {key:?}, value {value:?}\r\n", header[1]);
        stream.write_all(line.as_bytes())?;
    }
    Ok(())
}
