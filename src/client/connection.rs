//! One connection of the client: it sends requests and reads lines and values, each within a deadline.
//!
//! Cost: a value is copied once, from the connection's buffer. Memory: one line, and what has arrived of one value; nothing
//! is allocated by an announced length.

use std::time::{Duration, Instant};

use memchr::memchr;

use crate::client::settings::Settings;
use crate::pool::UpstreamFailure;
use crate::protocol::framing::reply::memcached::{LINE_LIMIT, is_error};
use crate::upstream::{BlockingStream, end_of};

/// Bytes that are read at once.
const READ: usize = 16 << 10;

/// A deadline, and the time from which it was made, for the error that names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    limit: Duration,
    at: Instant,
}

impl Deadline {
    /// This time from now.
    pub(super) fn after(limit: Duration) -> Deadline {
        Deadline {
            limit,
            at: end_of(limit),
        }
    }

    // ANCHOR: left
    /// The time that is left. While most of it is, all of it, so that the socket's timeout need not be set anew: a wait can
    /// be longer by a tenth.
    fn left(self) -> Duration {
        let left = self.at.saturating_duration_since(Instant::now());
        match left > self.limit / 10 * 9 {
            true => self.limit,
            false => left,
        }
    }
    // ANCHOR_END: left
}

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Connection {
    stream: BlockingStream,
    /// Its bytes from `start` to `end` have been received and not used.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Connection {
    /// Connects and logs in.
    pub(super) fn connect(
        address: &str,
        settings: &Settings,
    ) -> Result<Connection, UpstreamFailure> {
        let limit = settings.left_of(settings.connect);
        let mut stream = BlockingStream::connect(address, settings.tls.as_deref(), limit)?;
        stream.greet(&settings.greeting(), settings.left_of(settings.connect))?;
        Ok(Connection {
            stream,
            buffer: Vec::new(),
            start: 0,
            end: 0,
        })
    }

    /// Whether nothing has happened on it since its last reply, so that it can be used.
    pub(super) fn is_quiet(&self) -> bool {
        self.received().is_empty() && self.stream.is_quiet()
    }

    /// Sends a whole request.
    pub(super) fn send(&mut self, request: &[u8], limit: Duration) -> Result<(), UpstreamFailure> {
        let deadline = Deadline::after(limit);
        let mut sent = 0;
        while sent < request.len() {
            let left = deadline.left();
            let more = match left.is_zero() && sent > 0 {
                true => Err(UpstreamFailure::ReadDeadline(limit)),
                false => self.stream.send_some(&request[sent..], left),
            };
            sent += more.map_err(|failure| match failure {
                UpstreamFailure::ReadDeadline(_) => UpstreamFailure::WriteDeadline(limit),
                other => other,
            })?;
        }
        Ok(())
    }

    /// Waits for bytes, but not after the deadline. Bytes that have arrived are found even then.
    pub(super) fn wait(&mut self, until: Deadline) -> Result<(), UpstreamFailure> {
        match self.received().is_empty() {
            true => self.receive(until),
            false => Ok(()),
        }
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// Also if it is an error of memcached.
    pub(super) fn line(&mut self, until: Deadline) -> Result<&[u8], UpstreamFailure> {
        let line = self.whole_line(until)?;
        match is_error(line) {
            true => Err(UpstreamFailure::ErrorLine(
                String::from_utf8_lossy(line).into_owned(),
            )),
            false => Ok(line),
        }
    }

    /// The next line, which ends in CR LF, without its end.
    pub(super) fn whole_line(&mut self, until: Deadline) -> Result<&[u8], UpstreamFailure> {
        let line = self.any_line(until)?;
        line.strip_suffix(b"\r").ok_or(UpstreamFailure::Garbage)
    }

    /// The next line, without its LF.
    pub(super) fn any_line(&mut self, until: Deadline) -> Result<&[u8], UpstreamFailure> {
        let end = loop {
            match memchr(b'\n', self.received()) {
                Some(end) if end < LINE_LIMIT => break self.start + end,
                Some(_) => return Err(UpstreamFailure::Garbage),
                None if self.received().len() >= LINE_LIMIT => {
                    return Err(UpstreamFailure::Garbage);
                }
                None => self.receive_before(until)?,
            }
        };
        let line = &self.buffer[self.start..end];
        self.start = end + 1;
        Ok(line)
    }

    /// The block of this many bytes and the line's end behind it.
    pub(super) fn block(
        &mut self,
        length: usize,
        until: Deadline,
    ) -> Result<Vec<u8>, UpstreamFailure> {
        let mut block = Vec::with_capacity(length.min(READ));
        while block.len() < length {
            if self.received().is_empty() {
                self.receive_before(until)?;
            }
            let received = self.received();
            let taken = &received[..received.len().min(length - block.len())];
            block.extend_from_slice(taken);
            self.start += taken.len();
        }
        while self.received().len() < 2 {
            self.receive_before(until)?;
        }
        let end = &self.buffer[self.start..self.start + 2];
        self.start += 2;
        match end == b"\r\n" {
            true => Ok(block),
            false => Err(UpstreamFailure::Garbage),
        }
    }

    /// Receives bytes unless the deadline has passed.
    fn receive_before(&mut self, until: Deadline) -> Result<(), UpstreamFailure> {
        match until.left().is_zero() {
            true => Err(UpstreamFailure::ReadDeadline(until.limit)),
            false => self.receive(until),
        }
    }

    fn receive(&mut self, until: Deadline) -> Result<(), UpstreamFailure> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        // It is initialized once, and grows no further than by the start of a line.
        if self.buffer.len() < self.end + READ {
            self.buffer.resize(self.end + READ, 0);
        }
        let received = self
            .stream
            .receive(&mut self.buffer[self.end..], until.left());
        match received {
            Ok(count) => {
                self.end += count;
                Ok(())
            }
            Err(UpstreamFailure::ReadDeadline(_)) => {
                Err(UpstreamFailure::ReadDeadline(until.limit))
            }
            Err(other) => Err(other),
        }
    }

    fn received(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }
}
