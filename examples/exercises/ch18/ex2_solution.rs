//! 18.2, a solution: only a client's request goes to another node, and only if that one is up.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut me = String::new();
    let mut owners: HashMap<String, String> = HashMap::new();
    let mut down: HashSet<String> = HashSet::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let mut answer = "ok".to_owned();
        match words[..] {
            ["node", name] => name.clone_into(&mut me),
            ["down", name] => {
                down.insert(name.to_owned());
            }
            ["up", name] => {
                down.remove(name);
            }
            ["owner", key, name] => {
                owners.insert(key.to_owned(), name.to_owned());
            }
            [from @ ("client" | "peer"), key] => {
                let owner = owners
                    .get(key)
                    .filter(|&owner| from == "client" && *owner != me && !down.contains(owner));
                answer = match owner {
                    Some(owner) => format!("ask {owner}"),
                    None => "ask the database".to_owned(),
                };
            }
            _ => "not a command".clone_into(&mut answer),
        }
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
