//! A service of this process, without sockets: a session's turn gets written bytes at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::target::{Connection, Received, Target, Time};
use crate::server::{Next, Peer, Service, Session};

/// A service and the clock that it reads.
pub struct InProcess<'a> {
    service: Arc<dyn Service>,
    time: &'a dyn Time,
}

impl<'a> InProcess<'a> {
    /// Conversations with `service`, whose clock is `time`.
    pub fn new(service: Arc<dyn Service>, time: &'a dyn Time) -> InProcess<'a> {
        InProcess { service, time }
    }
}

impl Target for InProcess<'_> {
    fn connect(&self) -> io::Result<Box<dyn Connection>> {
        let session = Some(self.service.open(Peer::detached()));
        Ok(Box::new(InProcessConnection {
            session,
            input: Vec::new(),
            output: Vec::new(),
            later: false,
        }))
    }

    fn time(&self) -> &dyn Time {
        self.time
    }
}

/// A connection without a socket. The session is dropped when either side has ended it.
struct InProcessConnection {
    session: Option<Box<dyn Session>>,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The session wants a turn without input.
    later: bool,
}

impl InProcessConnection {
    /// Gives the session turns until it waits for input.
    fn run(&mut self) -> io::Result<()> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        loop {
            // A turn of its own buffer: a session may not read its earlier output.
            let mut output = Vec::new();
            let turn = session.turn(&self.input, &mut output);
            if turn.consumed > self.input.len() {
                return Err(io::Error::other("the session consumed more than its input"));
            }
            self.input.drain(..turn.consumed);
            self.output.extend_from_slice(&output);
            self.later = turn.next == Next::Later;
            match turn.next {
                Next::Again if turn.consumed == 0 && output.is_empty() => {
                    return Err(io::Error::other(
                        "the session asks for turns and does nothing",
                    ));
                }
                Next::Wait => {
                    if let Some(waiter) = session.waiter() {
                        waiter.block();
                    }
                }
                Next::Again | Next::Continue | Next::Send | Next::AwaitMemory | Next::Delay => {}
                Next::Read | Next::Later | Next::Receive => return Ok(()),
                Next::Close => {
                    self.session = None;
                    return Ok(());
                }
            }
        }
    }
}

impl Connection for InProcessConnection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.input.extend_from_slice(bytes);
        self.run()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.session = None;
        Ok(())
    }

    fn read(&mut self, _patience: Duration) -> io::Result<Received> {
        if self.output.is_empty() && self.later {
            self.run()?;
        }
        if !self.output.is_empty() {
            Ok(Received::Bytes(std::mem::take(&mut self.output)))
        } else if self.session.is_none() {
            Ok(Received::End)
        } else {
            Ok(Received::Nothing)
        }
    }
}
