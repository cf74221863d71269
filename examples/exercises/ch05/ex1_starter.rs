//! 5.1, the starter: reads a storage line from the left, as memcached does.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = read(&words).unwrap_or_else(|| "ERROR".to_owned());
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}

fn read(words: &[&str]) -> Option<String> {
    let [_verb, key, flags, exptime, bytes, rest @ ..] = words else {
        return None;
    };
    let numbers: Vec<u32> = [flags, exptime, bytes]
        .iter()
        .flat_map(|word| word.parse())
        .collect();
    let [flags, exptime, bytes] = numbers[..] else {
        return None;
    };
    let quietly = if rest == ["noreply"] { ", quietly" } else { "" };
    Some(format!(
        "path [{key}] flags {flags} exptime {exptime} bytes {bytes}{quietly}"
    ))
}
