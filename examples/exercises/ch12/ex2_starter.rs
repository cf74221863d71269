//! 12.2, the starter: a pending set for three keys that drops the first when a fourth comes. No request will delete
//! it.
//!
//! `changed KEY` is kept; `send` prints the worker's next request; `done` is the server's answer to that.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

const MAX_PENDING: usize = 3;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut pending: BTreeMap<String, u64> = BTreeMap::new();
    let mut sent: Option<(String, u64)> = None;
    let mut last = 0;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["changed", key] => {
                last += 1;
                pending.insert(key.to_owned(), last);
                if pending.len() > MAX_PENDING {
                    pending.pop_first();
                }
                "kept".to_owned()
            }
            ["send"] => {
                let first = pending.first_key_value();
                sent = first.map(|(key, number)| (key.clone(), *number));
                match &sent {
                    Some((key, _)) => format!("delete {key}"),
                    None => "nothing".to_owned(),
                }
            }
            ["done"] => {
                if let Some((key, number)) = sent.take()
                    && pending.get(&key) == Some(&number)
                {
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
