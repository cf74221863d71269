//! The article's Redis middleware, with its faults; chapter 8 explains them.
//!
//! Run it with `cargo run --example article_2 -- [PORT [UPSTREAM]]`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::{env, process, thread};

fn main() -> io::Result<()> {
    let port: u16 = env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let upstream = env::args().nth(2);
    // One connection, made once, for all clients.
    let redis = Arc::new(TcpStream::connect(
        upstream.as_deref().unwrap_or("127.0.0.1:6379"),
    )?);
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on resp {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let (stream, redis) = (stream?, Arc::clone(&redis));
        thread::spawn(move || {
            if process(&stream, &redis).is_none() {
                // In Go, a panic in any goroutine ends the process.
                println!("panic: runtime error: slice bounds out of range");
                process::exit(2);
            }
        });
    }
    Ok(())
}

// ANCHOR: forward
/// Reads commands, forwards them, and copies the replies back. `None` where Go would panic.
fn process(mut client: &TcpStream, mut redis: &TcpStream) -> Option<()> {
    loop {
        let command = command(client)?;
        if command.get(2)? == b"COMMAND" {
            client.write_all(b"+OK\r\n").unwrap_or_default();
            continue;
        }
        let request: Vec<u8> = command
            .iter()
            .flat_map(|line| [line, &b"\r\n"[..]].concat())
            .collect();
        if let Err(error) = redis.write_all(&request) {
            println!("{error}");
        }
        let mut buffer = [0; 1024];
        let read = redis.read(&mut buffer).unwrap_or(0);
        client.write_all(&buffer[..read]).unwrap_or_default();
    }
}
// ANCHOR_END: forward

// ANCHOR: command
/// The lines of one command: how many words, and for each word a length and the word itself.
fn command(client: &TcpStream) -> Option<Vec<Vec<u8>>> {
    let mut reader = BufReader::new(client);
    let head = line(&mut reader);
    let mut lines = vec![head.clone()];
    if *head.first()? == b'*' {
        for _ in 0..number(&head[1..]) {
            let length = line(&mut reader);
            lines.push(length.clone());
            if *length.first()? == b'$' {
                lines.push(line(&mut reader));
            }
        }
    }
    Some(lines)
}

/// One line without its end; an error is ignored.
fn line(reader: &mut impl BufRead) -> Vec<u8> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).unwrap_or_default();
    line.truncate(line.trim_ascii_end().len());
    line
}
// ANCHOR_END: command

fn number(digits: &[u8]) -> usize {
    String::from_utf8_lossy(digits).parse().unwrap_or(0)
}
