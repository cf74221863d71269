//! 5.2, a solution: text is written as it is, except characters that JSON forbids; other bytes are escaped.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    for line in BufReader::new(stream).split(b'\n') {
        let line = line?;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let mut answer = vec![b'['];
        for (index, name) in line.split(|&byte| byte == b' ').enumerate() {
            if index > 0 {
                answer.push(b',');
            }
            string(&mut answer, name);
        }
        answer.extend_from_slice(b"]\r\n");
        stream.write_all(&answer)?;
    }
    Ok(())
}

fn string(json: &mut Vec<u8>, name: &[u8]) {
    json.push(b'"');
    for chunk in name.utf8_chunks() {
        for &byte in chunk.valid().as_bytes() {
            match byte {
                b'"' | b'\\' => json.extend_from_slice(&[b'\\', byte]),
                0..0x20 => json.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                _ => json.push(byte),
            }
        }
        for byte in chunk.invalid() {
            json.extend_from_slice(format!("\\udc{byte:02x}").as_bytes());
        }
    }
    json.push(b'"');
}
