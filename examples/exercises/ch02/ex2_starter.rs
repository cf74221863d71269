//! 2.2, the starter: a line `boom` is a bug, and each one costs the pool a thread for good.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crossbeam_channel::bounded;

pub(crate) fn run(listener: &TcpListener) -> io::Result<()> {
    let (waiting, queue) = bounded::<TcpStream>(2);
    for _ in 0..2 {
        let queue = queue.clone();
        thread::Builder::new().spawn(move || {
            for stream in queue {
                // A panic in here unwinds through the loop and ends the thread.
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
    let mut line = Vec::new();
    let mut reader = BufReader::new(stream);
    while reader.read_until(b'\n', &mut line)? > 0 {
        assert_ne!(line, b"boom\r\n", "the bug");
        stream.write_all(&line)?;
        line.clear();
    }
    Ok(())
}
