//! 1.1, the starter: echoes all bytes as they arrive, whole lines or not.

use std::io::{self, Read, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        // Only up to the last '\n' may go out; the rest waits for the bytes that complete it.
        stream.write_all(&buffer[..read])?;
    }
}
