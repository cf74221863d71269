//! 17.1, a solution: keeps a connection after the replies that a set can get, if nothing can follow them.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let whole = match &*line {
            "STORED" | "NOT_STORED" | "EXISTS" | "NOT_FOUND" => true,
            other => other.starts_with("SERVER_ERROR "),
        };
        let answer = if whole { "keep" } else { "close" };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
