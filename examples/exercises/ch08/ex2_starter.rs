//! 8.2, the starter: stores only the client of the last request.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut last = String::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            // NAME has sent COUNT requests.
            ["ask", name, _count] => last = name.to_owned(),
            // A reply has come.
            ["reply", text] => stream.write_all(format!("{last} gets {text}\r\n").as_bytes())?,
            // NAME has disconnected. Its replies come all the same.
            ["leave", _name] => {}
            // No more replies come to the requests so far.
            ["close"] => stream.write_all(format!("{last} gets an error\r\n").as_bytes())?,
            _ => stream.write_all(b"what?\r\n")?,
        }
    }
    Ok(())
}
