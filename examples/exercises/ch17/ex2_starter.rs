//! 17.2, the starter: a lease that is never checked.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut values: HashMap<String, String> = HashMap::new();
    let mut leases = 0;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["get", key] => match values.get(key) {
                Some(value) => format!("value {value}"),
                None => {
                    leases += 1;
                    format!("lease {leases}")
                }
            },
            ["fill", key, _lease, value] => {
                values.insert(key.to_owned(), value.to_owned());
                "stored".to_owned()
            }
            ["delete", key] => {
                values.remove(key);
                "ok".to_owned()
            }
            _ => "not a command".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
