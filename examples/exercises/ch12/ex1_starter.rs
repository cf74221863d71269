//! 12.1, the starter: a pending set that removes a key when its delete was answered, even if the key has changed
//! since.
//!
//! `changed KEY` is kept; `send` prints the worker's next request; `done` is the server's answer to that.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut pending = BTreeSet::new();
    let mut sent = None;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["changed", key] => {
                pending.insert(key.to_owned());
                "kept".to_owned()
            }
            ["send"] => {
                sent = pending.first().cloned();
                match &sent {
                    Some(key) => format!("delete {key}"),
                    None => "nothing".to_owned(),
                }
            }
            ["done"] => {
                if let Some(key) = sent.take() {
                    pending.remove(&key);
                }
                "forgotten".to_owned()
            }
            _ => "ERROR".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
