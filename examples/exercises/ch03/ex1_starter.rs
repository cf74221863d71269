//! 3.1, the starter: the pattern is the article's, and any other line closes the connection.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use regex::bytes::Regex;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    // Compiled for each connection. It could be compiled once.
    let grammar = Regex::new(r"^incr (\w+) (\d{1,9})").expect("a pattern");
    let mut counters: HashMap<Vec<u8>, u64> = HashMap::new();
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(2048).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let Some(found) = grammar.captures(&line) else {
            return Ok(());
        };
        let by: u64 = String::from_utf8_lossy(&found[2]).parse().unwrap_or(0);
        let counter = counters.entry(found[1].to_vec()).or_default();
        *counter += by;
        stream.write_all(format!("{counter}\r\n").as_bytes())?;
    }
}
