//! 12.2, a solution: too much becomes one flush, with the number of the change that decided it. Keys are kept on,
//! because a flush that is on the way may be too early for them; and a flush that was decided anew is still to be sent.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

const MAX_PENDING: usize = 3;

/// A command on its way to the server.
enum Sent {
    Flush(u64),
    Delete(String, u64),
}

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut pending: BTreeMap<String, u64> = BTreeMap::new();
    let mut flush: Option<u64> = None;
    let mut sent: Option<Sent> = None;
    let mut last = 0;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["changed", key] => {
                last += 1;
                pending.insert(key.to_owned(), last);
                if pending.len() > MAX_PENDING {
                    pending.clear();
                    flush = Some(last);
                }
                "kept".to_owned()
            }
            ["send"] => {
                sent = match (flush, pending.first_key_value()) {
                    (Some(decided), _) => Some(Sent::Flush(decided)),
                    (None, Some((key, number))) => Some(Sent::Delete(key.clone(), *number)),
                    (None, None) => None,
                };
                match &sent {
                    Some(Sent::Flush(_)) => "flush_all".to_owned(),
                    Some(Sent::Delete(key, _)) => format!("delete {key}"),
                    None => "nothing".to_owned(),
                }
            }
            ["done"] => {
                match sent.take() {
                    Some(Sent::Flush(decided)) if flush == Some(decided) => flush = None,
                    Some(Sent::Delete(key, number)) if pending.get(&key) == Some(&number) => {
                        pending.remove(&key);
                    }
                    _ => {}
                }
                "forgotten".to_owned()
            }
            _ => "ERROR".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
