//! 6.2, the starter: splits at every space.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let answer = match words(&line?) {
            Some(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("[{word}]")).collect();
                words.join(" ")
            }
            None => "ERR unbalanced quotes".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}

/// The words of a line; nothing if its quotes don't close or something follows one at once.
fn words(line: &str) -> Option<Vec<String>> {
    Some(line.split(' ').map(str::to_owned).collect())
}
