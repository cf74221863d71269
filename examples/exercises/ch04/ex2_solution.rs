//! 4.2, a solution: a mark for each key, and a hand that stays where it is.

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
    /// From the oldest to the newest, each with its mark.
    keys: Vec<(String, bool)>,
    hand: usize,
}

impl Cache {
    fn ask(&mut self, key: &str) -> String {
        if let Some((_, visited)) = self.keys.iter_mut().find(|(there, _)| there == key) {
            *visited = true;
            return "hit".to_owned();
        }
        let mut answer = "miss".to_owned();
        if self.keys.len() == ROOM {
            answer = format!("miss, {} evicted", self.evict());
        }
        self.keys.push((key.to_owned(), false));
        answer
    }

    fn evict(&mut self) -> String {
        loop {
            // Past the newest it starts again. The index of a removed key is then that of the next newer one.
            self.hand %= self.keys.len();
            if !self.keys[self.hand].1 {
                return self.keys.remove(self.hand).0;
            }
            self.keys[self.hand].1 = false;
            self.hand += 1;
        }
    }
}
