//! 2.1, the starter: two threads, and each waits for its client without a limit.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crossbeam_channel::bounded;

pub(crate) fn run(listener: &TcpListener) -> io::Result<()> {
    let (waiting, queue) = bounded::<TcpStream>(2);
    for _ in 0..2 {
        let queue = queue.clone();
        thread::Builder::new().spawn(move || {
            for stream in queue {
                if let Err(error) = echo(&stream) {
                    eprintln!("a connection ended: {error}");
                }
            }
        })?;
    }
    for stream in listener.incoming() {
        if waiting.send(stream?).is_err() {
            break;
        }
    }
    Ok(())
}

fn echo(mut stream: &TcpStream) -> io::Result<()> {
    // A read that takes 300 ms should end the connection.
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..read])?;
    }
}
