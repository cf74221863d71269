//! 1.2, a solution: `take` limits the memory of a line; the rest of a longer one is skipped piece by piece.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// The longest line, in bytes before its CRLF.
const LONGEST: usize = 100;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    let most = LONGEST as u64 + 2;
    loop {
        line.clear();
        if reader.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.ends_with(b"\n") {
            stream.write_all(&line)?;
            continue;
        }
        while !line.ends_with(b"\n") {
            line.clear();
            if reader.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
        }
        stream.write_all(b"line too long\r\n")?;
    }
}
