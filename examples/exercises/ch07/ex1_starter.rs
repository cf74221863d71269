//! 7.1, the starter: one thread, and one connection after the other.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

pub(crate) fn run(listener: &TcpListener) -> io::Result<()> {
    for stream in listener.incoming() {
        // Until this connection ends, no other one is served.
        echo(&stream?)?;
    }
    Ok(())
}

fn echo(mut stream: &TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..read])?;
    }
}
