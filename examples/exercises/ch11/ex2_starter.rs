//! 11.2, the starter: a worker that writes values instead of deleting keys. Two of them share the work by turns, so two
//! writes of one key can be applied in either order.
//!
//! `write KEY VALUE` is taken; `run N` lets worker N do all it has; `read KEY` prints the present value of
//! the cache.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut queues: [VecDeque<(String, String)>; 2] = Default::default();
    let mut cache: HashMap<String, String> = HashMap::new();
    let mut turn = 0;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["write", key, value] => {
                turn += 1;
                queues[turn % 2].push_back((key.to_owned(), value.to_owned()));
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
