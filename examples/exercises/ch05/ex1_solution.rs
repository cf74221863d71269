//! 5.1, a solution: a pattern can also name the elements at the end of a slice.

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
    let (words, quietly) = match words {
        [rest @ .., "noreply"] => (rest, ", quietly"),
        all => (all, ""),
    };
    let [_verb, path @ .., flags, exptime, bytes] = words else {
        return None;
    };
    let numbers: Vec<u32> = [flags, exptime, bytes]
        .iter()
        .flat_map(|word| word.parse())
        .collect();
    let ([_, ..], [flags, exptime, bytes]) = (path, &numbers[..]) else {
        return None;
    };
    let path = path.join(" ");
    Some(format!(
        "path [{path}] flags {flags} exptime {exptime} bytes {bytes}{quietly}"
    ))
}
