//! 1.2, the starter: reads lines of any length, as long as memory lasts.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        // This reads the whole line before its length is checked. `take` limits the bytes that are
        // read.
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        // Over 100 bytes, the client gets "line too long\r\n", and the rest of its line is
        // skipped.
        stream.write_all(&line)?;
    }
}
