//! 7.1, a solution: the poller returns the ready connections, and only these are read. (It still waits for a client that
//! doesn't read its answers. That is the next exercise.)

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(0);

pub(crate) fn run(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut poll = Poll::new()?;
    poll.registry().register(
        &mut SourceFd(&listener.as_raw_fd()),
        LISTENER,
        Interest::READABLE,
    )?;
    let mut clients: HashMap<Token, TcpStream> = HashMap::new();
    let mut next = 1;
    let mut events = Events::with_capacity(64);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                // The poller notifies once, so all waiting connections are accepted now.
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    let token = Token(next);
                    next += 1;
                    let socket = stream.as_raw_fd();
                    poll.registry()
                        .register(&mut SourceFd(&socket), token, Interest::READABLE)?;
                    clients.insert(token, stream);
                }
            } else if let Some(stream) = clients.get_mut(&event.token())
                && !matches!(echo(stream), Ok(true))
            {
                clients.remove(&event.token());
            }
        }
    }
}

/// Echoes the bytes that have arrived; false at the end.
fn echo(stream: &mut TcpStream) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(read) => stream.write_all(&buffer[..read])?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}
