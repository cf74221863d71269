//! Stage 2: an echo server with a fixed number of threads.
//!
//! Run it with `cargo run --example 02_pool -- [PORT [SECONDS]]`; port 0, the default, takes a
//! free one. Four threads serve one connection each, four more connections wait for them, and
//! further clients read that the server is full. It stops as the first stage does.

mod connections;
mod pool;
#[path = "../01_echo/signals.rs"]
mod signals;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use std::{env, process, thread};

use crossbeam_channel::unbounded;

use connections::{Connections, Refused};

/// Threads, and so connections that are served at the same time.
const THREADS: usize = 4;

/// Connections that wait for a thread. Further ones are refused.
const WAITING: usize = 4;

/// The error for a refused client, as in memcached.
const FULL: &[u8] = b"ERROR Too many open connections\r\n";

fn main() -> io::Result<()> {
    let port = argument(1, 0);
    let grace = Duration::from_secs(argument(2, 10));
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let address = listener.local_addr()?;
    let connections = Arc::new(Connections::new(THREADS + WAITING));
    signals::watch(Arc::clone(&connections), address)?;

    println!("listening on echo {address}");
    accept(listener, &connections)?;
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

/// Puts every connection that is admitted into the queue of the pool, until the server is closing.
fn accept(listener: TcpListener, connections: &Arc<Connections>) -> io::Result<()> {
    // The set bounds the queue: every connection in it is in the set.
    let (waiting, queue) = unbounded();
    pool::start(THREADS, &queue, echo)?;
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => Arc::new(stream),
            Err(error) => {
                eprintln!("cannot accept: {error}; trying again");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        match connections.admit(&stream) {
            Ok(admitted) => drop(waiting.send((stream, admitted))),
            Err(Refused::Full) => refuse(&stream),
            Err(Refused::Closing) => break,
        }
    }
    Ok(())
}

/// Answers a client that the server is full. A few bytes fit into the buffer of a new connection,
/// so this can't block.
fn refuse(mut stream: &TcpStream) {
    if let Err(error) = stream.write_all(FULL) {
        eprintln!("a refused client has disconnected: {error}");
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
