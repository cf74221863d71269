//! Stage 1: an echo server that stops.
//!
//! Run it with `cargo run --example 01_echo -- [PORT [SECONDS]]`; port 0, the default, takes a
//! free one. TERM, INT or QUIT stop it: it takes no new connection, answers all input that it has
//! read, waits at most SECONDS (10) for all connections together, and ends. A second signal ends it
//! at once.

mod connections;
mod signals;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use std::{env, process, thread};

use connections::{Admitted, Connections};

fn main() -> io::Result<()> {
    let port = argument(1, 0);
    let grace = Duration::from_secs(argument(2, 10));
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let address = listener.local_addr()?;
    let connections = Arc::new(Connections::default());
    signals::watch(Arc::clone(&connections), address)?;

    println!("listening on echo {address}");
    accept(listener, &connections);
    connections.finish(grace);
    Ok(())
}

/// The argument at this index, or the default.
fn argument<T: std::str::FromStr>(index: usize, default: T) -> T {
    match env::args().nth(index).map(|text| text.parse()) {
        None => default,
        Some(Ok(value)) => value,
        Some(Err(_)) => {
            eprintln!("argument {index} is not a number in range: give [PORT [SECONDS]]");
            process::exit(2);
        }
    }
}

/// Serves every connection on its own thread, until the server is closing.
fn accept(listener: TcpListener, connections: &Arc<Connections>) {
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => Arc::new(stream),
            Err(error) => {
                eprintln!("cannot accept: {error}; trying again");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let Some(admitted) = connections.admit(&stream) else {
            return;
        };
        let served = thread::Builder::new().spawn(move || serve(&stream, admitted));
        if let Err(error) = served {
            eprintln!("no thread for a connection: {error}; closing it");
        }
    }
}

/// Serves one connection to its end. `admitted` is taken, not borrowed: the connection leaves the
/// set at the end of this call.
fn serve(stream: &TcpStream, admitted: Admitted) {
    if let Err(error) = echo(stream) {
        eprintln!("connection {}: {error}; closing it", admitted.id);
    }
}

/// Sends back the bytes that arrive until the client, or `close`, ends the input.
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
