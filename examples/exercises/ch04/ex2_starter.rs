//! 4.2, the starter: the oldest key is evicted.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

/// The number of keys that there is room for.
const ROOM: usize = 3;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut cache = Cache::default();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let answer = cache.ask(line.trim_start_matches("ask "));
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}

#[derive(Default)]
struct Cache {
    /// From the oldest to the newest.
    keys: Vec<String>,
}

impl Cache {
    fn ask(&mut self, key: &str) -> String {
        if self.keys.iter().any(|there| there == key) {
            return "hit".to_owned();
        }
        let mut answer = "miss".to_owned();
        if self.keys.len() == ROOM {
            let gone = self.keys.remove(0);
            answer = format!("miss, {gone} evicted");
        }
        self.keys.push(key.to_owned());
        answer
    }
}
