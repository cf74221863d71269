//! 7.2, the starter: assumes that a socket takes everything.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let input = stream.try_clone()?;
    for line in BufReader::new(input).lines() {
        let count: usize = line?.trim_start_matches("fill ").parse().unwrap_or(0);
        let mut answer = vec![b'x'; count];
        answer.extend_from_slice(b"\r\n");
        stream.set_nonblocking(true)?;
        // `write` returns how many bytes the socket took. The rest is lost here.
        let _taken = stream.write(&answer)?;
        stream.set_nonblocking(false)?;
    }
    Ok(())
}
