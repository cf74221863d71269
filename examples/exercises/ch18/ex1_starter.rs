//! 18.1, the starter: every client that misses begins a fetch.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut rows: HashMap<String, String> = HashMap::new();
    // The client and the key of each fetch.
    let mut fetches: HashMap<u64, (String, String)> = HashMap::new();
    let mut last = 0;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["get", client, key] => match rows.get(key) {
                Some(row) => row.clone(),
                None => {
                    last += 1;
                    fetches.insert(last, (client.to_owned(), key.to_owned()));
                    format!("fetch {last}")
                }
            },
            ["row", number, row] => {
                let fetch = number.parse().ok().and_then(|n| fetches.remove(&n));
                let (client, key) = fetch.unwrap_or_default();
                rows.insert(key, row.to_owned());
                format!("{row} to {client}")
            }
            ["changed", key] => {
                rows.remove(key);
                "ok".to_owned()
            }
            _ => "not a command".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
