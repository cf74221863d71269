//! 17.2, a solution: under a key is a value, or the lease of the one client that may fill it.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

enum Entry {
    Value(String),
    Lease(u64),
}

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut entries: HashMap<String, Entry> = HashMap::new();
    let mut leases = 0;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["get", key] => match entries.get(key) {
                Some(Entry::Value(value)) => format!("value {value}"),
                Some(Entry::Lease(_)) => "wait".to_owned(),
                None => {
                    leases += 1;
                    entries.insert(key.to_owned(), Entry::Lease(leases));
                    format!("lease {leases}")
                }
            },
            ["fill", key, lease, value] => match entries.get_mut(key) {
                Some(entry) if entry.is_lease(lease) => {
                    *entry = Entry::Value(value.to_owned());
                    "stored".to_owned()
                }
                _ => "refused".to_owned(),
            },
            ["delete", key] => {
                entries.remove(key);
                "ok".to_owned()
            }
            _ => "not a command".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}

impl Entry {
    /// Whether this is the lease of that number.
    fn is_lease(&self, number: &str) -> bool {
        matches!(self, Entry::Lease(lease) if number.parse() == Ok(*lease))
    }
}
