//! 3.2, the starter: a value is read as a line, as in the article on nested keys.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut value = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(length) = line.trim_end().strip_prefix("put ") {
            // The client sends the length of the value, and this code ignores it.
            let _: Result<usize, _> = length.parse();
            value.clear();
            reader.read_until(b'\n', &mut value)?;
            value.truncate(value.len().saturating_sub(2));
            stream.write_all(b"STORED\r\n")?;
        } else {
            let reply = [format!("{}\r\n", value.len()).as_bytes(), &value, b"\r\n"].concat();
            stream.write_all(&reply)?;
        }
    }
}
