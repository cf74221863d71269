//! 11.2, a solution: the key selects the worker. One key is one worker's, and its queue keeps the order.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut queues: [VecDeque<(String, String)>; 2] = Default::default();
    let mut cache: HashMap<String, String> = HashMap::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["write", key, value] => {
                queues[worker(key)].push_back((key.to_owned(), value.to_owned()));
                "taken"
            }
            ["run", worker] => {
                let queue = &mut queues[usize::from(worker == "1")];
                cache.extend(queue.drain(..));
                "done"
            }
            ["read", key] => cache.get(key).map_or("nothing", String::as_str),
            _ => "ERROR",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}

fn worker(key: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    (hasher.finish() % 2) as usize
}
