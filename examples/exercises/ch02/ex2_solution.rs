//! 2.2, a solution: `catch_unwind` stops the panic at the end of a connection.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use crossbeam_channel::bounded;

pub(crate) fn run(listener: &TcpListener) -> io::Result<()> {
    let (waiting, queue) = bounded::<TcpStream>(2);
    for _ in 0..2 {
        let queue = queue.clone();
        thread::Builder::new().spawn(move || {
            for stream in queue {
                match catch_unwind(AssertUnwindSafe(|| echo(&stream))) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => eprintln!("a connection ended: {error}"),
                    Err(_) => eprintln!("a connection ended by a bug; the thread goes on"),
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
