//! How the article on a memcache proxy reads commands, kept to be seen failing; chapter 3 says
//! what is wrong with it.
//!
//! Run it with `cargo run --example article_0 -- [PORT]`. It prints which key it would
//! invalidate.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::{env, process, thread};

use regex::bytes::Regex;

fn main() -> io::Result<()> {
    let port: u16 = env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on article {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            handle(&stream).unwrap_or_else(|error| {
                // In Go, a panic in any goroutine ends the process.
                println!("panic: {error}");
                process::exit(2);
            });
        });
    }
    Ok(())
}

// ANCHOR: article
/// One read is one command; what doesn't look like one ends the connection.
fn handle(mut stream: &TcpStream) -> io::Result<()> {
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
        let reply: &[u8] = if verb == "delete" {
            b"DELETED\r\n"
        } else {
            b"STORED\r\n"
        };
        stream.write_all(reply)?;
    }
}

/// The command and the key of what was read.
fn command(input: &[u8]) -> Option<(String, String)> {
    let line = Regex::new(r"^(set|delete|add|replace) (\w+).*\r\n").expect("a pattern");
    let found = line.captures(input)?;
    let text = |group: usize| String::from_utf8_lossy(&found[group]).into_owned();
    Some((text(1), text(2)))
}
// ANCHOR_END: article
