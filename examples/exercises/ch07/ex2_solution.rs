//! 7.2, a solution: the rest waits until the poller reports that the socket is writable.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

pub(crate) fn serve(stream: &TcpStream) -> io::Result<()> {
    let input = stream.try_clone()?;
    for line in BufReader::new(input).lines() {
        let count: usize = line?.trim_start_matches("fill ").parse().unwrap_or(0);
        let mut answer = vec![b'x'; count];
        answer.extend_from_slice(b"\r\n");
        stream.set_nonblocking(true)?;
        send(stream, &answer)?;
        stream.set_nonblocking(false)?;
    }
    Ok(())
}

fn send(mut stream: &TcpStream, mut left: &[u8]) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1);
    let socket = stream.as_raw_fd();
    poll.registry()
        .register(&mut SourceFd(&socket), Token(0), Interest::WRITABLE)?;
    while !left.is_empty() {
        match stream.write(left) {
            Ok(taken) => left = &left[taken..],
            // Between here and the event, a server would serve others.
            Err(error) if error.kind() == ErrorKind::WouldBlock => poll.poll(&mut events, None)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
