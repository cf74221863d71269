//! 8.2, a solution: a queue with an entry for each reply, kept even when its client has disconnected.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    // The waiting clients, and whether each is still connected.
    let mut queue: VecDeque<(String, bool)> = VecDeque::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let mut answer = String::new();
        match words[..] {
            ["ask", name, count] => {
                let count = count.parse().unwrap_or(0);
                queue.extend((0..count).map(|_| (name.to_owned(), true)));
            }
            ["reply", text] => match queue.pop_front() {
                Some((name, true)) => answer = format!("{name} gets {text}\r\n"),
                Some((_, false)) => {}
                None => answer = "nobody has asked\r\n".to_owned(),
            },
            ["leave", name] => {
                for (waiting, here) in &mut queue {
                    *here &= waiting != name;
                }
            }
            ["close"] => {
                let here = queue.drain(..).filter(|(_, here)| *here);
                answer = here
                    .map(|(name, _)| format!("{name} gets an error\r\n"))
                    .collect();
            }
            _ => answer = "what?\r\n".to_owned(),
        }
        stream.write_all(answer.as_bytes())?;
    }
    Ok(())
}
