//! 6.1, a solution: heads are lines, and the announced bytes are counted.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(words) = command(&mut reader)? {
        let [_echo, text] = &words[..] else {
            stream.write_all(b"-ERR only ECHO is known\r\n")?;
            continue;
        };
        stream.write_all(format!("${}\r\n", text.len()).as_bytes())?;
        stream.write_all(text)?;
        stream.write_all(b"\r\n")?;
    }
    Ok(())
}

/// The words of one command; nothing at the end of the input.
fn command(reader: &mut impl BufRead) -> io::Result<Option<Vec<Vec<u8>>>> {
    let Some(head) = line(reader)? else {
        return Ok(None);
    };
    let mut words = Vec::new();
    for _ in 0..number(&head) {
        let Some(length) = line(reader)? else {
            return Ok(None);
        };
        // `take` reads the bytes that come, and allocates none for those that were only announced.
        let length = number(&length);
        let mut word = Vec::new();
        reader.take(length as u64 + 2).read_to_end(&mut word)?;
        if word.len() < length + 2 {
            return Ok(None);
        }
        word.truncate(length);
        words.push(word);
    }
    Ok(Some(words))
}

/// A line without its end; nothing at the end of the input.
fn line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    line.truncate(line.trim_ascii_end().len());
    Ok(Some(line))
}

/// The number behind the first letter of a line.
fn number(line: &[u8]) -> usize {
    let digits = line.get(1..).unwrap_or_default();
    String::from_utf8_lossy(digits).parse().unwrap_or(0)
}
