//! 18.1, a solution: each key has at most one fetch that clients may join, and a change of the key ends that.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

/// A fetch: its key, and the clients that wait for it.
#[derive(Default)]
struct Fetch {
    key: String,
    clients: Vec<String>,
}

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut rows: HashMap<String, String> = HashMap::new();
    let mut fetches: HashMap<u64, Fetch> = HashMap::new();
    let mut current: HashMap<String, u64> = HashMap::new();
    let mut last = 0;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["get", client, key] => match rows.get(key) {
                Some(row) => row.clone(),
                None => {
                    let number = *current.entry(key.to_owned()).or_insert(last + 1);
                    let fetch = fetches.entry(number).or_default();
                    key.clone_into(&mut fetch.key);
                    fetch.clients.push(client.to_owned());
                    if number > last {
                        last = number;
                        format!("fetch {number}")
                    } else {
                        "wait".to_owned()
                    }
                }
            },
            ["row", number, row] => {
                let number = number.parse().unwrap_or_default();
                let fetch = fetches.remove(&number).unwrap_or_default();
                if current.get(&fetch.key) == Some(&number) {
                    current.remove(&fetch.key);
                    rows.insert(fetch.key, row.to_owned());
                }
                format!("{row} to {}", fetch.clients.join(", "))
            }
            ["changed", key] => {
                rows.remove(key);
                current.remove(key);
                "ok".to_owned()
            }
            _ => "not a command".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
