//! 18.2, the starter: every request goes to the owner.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut owners: HashMap<String, String> = HashMap::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["node" | "down" | "up", _name] => "ok".to_owned(),
            ["owner", key, name] => {
                owners.insert(key.to_owned(), name.to_owned());
                "ok".to_owned()
            }
            ["client" | "peer", key] => match owners.get(key) {
                Some(owner) => format!("ask {owner}"),
                None => "ask the database".to_owned(),
            },
            _ => "not a command".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
