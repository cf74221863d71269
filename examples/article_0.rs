//! The article on a memcache proxy, in Rust: its hundred lines, with their faults. Chapter 3 explains
//! the faults in reading commands, chapter 11 the others.
//!
//! Run it with `cargo run --example article_0 -- [PORT [SERVERS]]`. It prints the key that it would
//! invalidate, and deletes the key from the servers of the file SERVERS, if there is one.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, process, thread};

use crossbeam_channel::{Receiver, Sender, bounded};
use larder::pool::{Placement, Ring, ServerList};
use regex::bytes::Regex;

/// The time that its client library waits for a server; the Go client's default.
const PATIENCE: Duration = Duration::from_millis(500);

// ANCHOR: main
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let port: u16 = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let pool = match arguments.next() {
        Some(file) => Some(Arc::new(fs::read_to_string(file)?.parse::<ServerList>()?)),
        None => None,
    };
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on article {}", listener.local_addr()?);

    // A Go channel without a size: the sender waits until a worker takes the key.
    let (keys, queue) = bounded(0);
    for _ in 0..2 {
        let (queue, pool) = (queue.clone(), pool.clone());
        thread::spawn(move || work(&queue, pool.as_deref()));
    }
    for stream in listener.incoming() {
        let (stream, keys) = (stream?, keys.clone());
        thread::spawn(move || {
            handle(&stream, &keys).unwrap_or_else(|error| {
                // In Go, a panic in any goroutine ends the process.
                println!("panic: {error}");
                process::exit(2);
            });
        });
    }
    Ok(())
}
// ANCHOR_END: main

// ANCHOR: article
/// One read is one command; any other input closes the connection.
fn handle(mut stream: &TcpStream, keys: &Sender<String>) -> io::Result<()> {
    loop {
        let mut buffer = [0; 384];
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "EOF"));
        }
        let Some((verb, key)) = command(&buffer[..read]) else {
            return Ok(());
        };
        println!("invalidate {key}");
        keys.send(key).map_err(io::Error::other)?;
        let reply: &[u8] = if verb == "delete" {
            b"DELETED\r\n"
        } else {
            b"STORED\r\n"
        };
        stream.write_all(reply)?;
    }
}

/// The command and the key in the bytes that were read.
fn command(input: &[u8]) -> Option<(String, String)> {
    let line = Regex::new(r"^(set|delete|add|replace) (\w+).*\r\n").expect("a pattern");
    let found = line.captures(input)?;
    let text = |group: usize| String::from_utf8_lossy(&found[group]).into_owned();
    Some((text(1), text(2)))
}
// ANCHOR_END: article

// ANCHOR: work
/// Takes keys and deletes them from their servers. The result of a delete is ignored.
fn work(queue: &Receiver<String>, pool: Option<&ServerList>) {
    let ring = pool.map(|list| Ring::new(list, Placement::Ketama));
    for key in queue {
        if let (Some(list), Some(ring)) = (pool, &ring) {
            let server = &list.servers()[ring.server(key.as_bytes())];
            let _ = delete(&server.address, &key);
        }
    }
}

fn delete(server: &str, key: &str) -> io::Result<()> {
    let server: SocketAddr = server.parse().map_err(io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("delete {key}\r\n").as_bytes())?;
    match stream.read(&mut [0; 64])? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
// ANCHOR_END: work
