//! 6.2, a solution: letter by letter, and a question at each: is a quote open?

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
    let mut words = Vec::new();
    let mut letters = line.chars().peekable();
    loop {
        while letters.next_if_eq(&' ').is_some() {}
        if letters.peek().is_none() {
            return Some(words);
        }
        let mut word = String::new();
        while let Some(letter) = letters.next_if(|&letter| letter != ' ') {
            if letter != '"' {
                word.push(letter);
                continue;
            }
            loop {
                match letters.next()? {
                    '"' => break,
                    '\\' => word.push(letters.next()?),
                    other => word.push(other),
                }
            }
            if letters.peek().is_some_and(|&next| next != ' ') {
                return None;
            }
        }
        words.push(word);
    }
}
