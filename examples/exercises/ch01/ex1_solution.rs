//! 1.1, a solution: bytes are kept until a line end comes.

use std::io::{self, Read, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        kept.extend_from_slice(&buffer[..read]);
        if let Some(last) = kept.iter().rposition(|&byte| byte == b'\n') {
            stream.write_all(&kept[..=last])?;
            kept.drain(..=last);
        }
    }
}
