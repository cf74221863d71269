//! A TCP socket with a TLS session on it, blocking or not.
//!
//! A write makes records of at most [`SEAL_AT_ONCE`] bytes and sends them. If the socket does not take all of them, the bytes
//! count as unwritten; the next write, which begins with the same bytes, sends the rest of the records. So the session
//! depends on a rule that every caller keeps: after an incomplete write it goes on with the bytes that were not written.
//!
//! The lock is the thread's that runs the connection. Another thread can only shut the socket down, without the lock.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::session::{Buffers, Outgoing, TlsSession};
use crate::server::system_calls::{Received, uninterrupted};

/// Bytes that one write encrypts: four records.
const SEAL_AT_ONCE: usize = 64 << 10;

/// Bytes that the records of [`SEAL_AT_ONCE`] bytes have in addition, at most.
const RECORD_OVERHEAD: usize = 128;

/// Bytes of records that one read takes from the socket, at least and at most.
const READ_LEAST: usize = 4 << 10;
const READ_MOST: usize = 64 << 10;

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// A TCP socket with a TLS session.
pub(crate) struct TlsStream {
    pub(crate) socket: TcpStream,
    session: Mutex<TlsSession>,
}

impl TlsStream {
    pub(super) fn new(socket: TcpStream, session: TlsSession) -> TlsStream {
        TlsStream {
            socket,
            session: Mutex::new(session),
        }
    }

    fn session(&self) -> MutexGuard<'_, TlsSession> {
        // A panic of rustls would leave a session that fails.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that a stream keeps at most while its caller has this many unwritten ones: the records that are made of the
    /// first of them.
    pub(crate) fn most_kept(unwritten: usize) -> usize {
        match unwritten {
            0 => 0,
            bytes => bytes.min(SEAL_AT_ONCE) + RECORD_OVERHEAD,
        }
    }

    /// Whether the handshake is not complete.
    pub(crate) fn is_handshaking(&self) -> bool {
        !self.session().open
    }

    /// Goes on with the handshake until it is complete. A blocking socket waits until the deadline, any other returns
    /// [`WouldBlock`](ErrorKind::WouldBlock).
    pub(crate) fn handshake(&self, deadline: Option<Instant>) -> io::Result<()> {
        let session = &mut *self.session();
        while !session.open {
            if let Some(deadline) = deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(ErrorKind::TimedOut.into());
                }
                // A timeout of zero would be none.
                let left = left.max(Duration::from_millis(1));
                self.socket.set_read_timeout(Some(left))?;
                self.socket.set_write_timeout(Some(left))?;
            }
            BUFFERS.with_borrow_mut(|buffers| {
                session.begin(&mut buffers.outgoing)?;
                self.send(session, &mut buffers.outgoing)?;
                self.receive(session, &mut [], buffers)
            })?;
            if let Some(Err(error)) = session.take(&mut []) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Reads decrypted bytes: at least one, or none at the end of the stream.
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<Received> {
        let session = &mut *self.session();
        loop {
            if let Some(count) = session.take(into) {
                let more = session.may_have_more();
                return count.map(|count| Received { count, more });
            }
            let count = BUFFERS.with_borrow_mut(|buffers| self.receive(session, into, buffers))?;
            if count > 0 {
                let more = session.may_have_more();
                return Ok(Received { count, more });
            }
        }
    }

    /// Reads records once and processes them. Returns the number of bytes decrypted into `into`.
    fn receive(
        &self,
        session: &mut TlsSession,
        into: &mut [u8],
        buffers: &mut Buffers,
    ) -> io::Result<usize> {
        let Buffers {
            incoming, outgoing, ..
        } = buffers;
        outgoing.clear();
        match self.send(session, outgoing) {
            // A peer that takes nothing may still send.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            sent => sent?,
        }
        let kept = session.received.len();
        let most = kept + into.len().clamp(READ_LEAST, READ_MOST);
        if incoming.len() < most {
            incoming.resize(most, 0);
        }
        incoming[..kept].copy_from_slice(&session.received);
        let read = uninterrupted(|| (&self.socket).read(&mut incoming[kept..most]))?;
        if read == 0 {
            return session.end().map(|()| 0);
        }
        session.undrained = kept + read == most;
        let records = &mut incoming[..kept + read];
        let count = session.process(records, into, outgoing);
        match self.send(session, outgoing) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // The reader gets the reason for an alert, and the bytes in front of it.
            Err(_) if session.may_have_more() || count > 0 => {}
            sent => sent?,
        }
        Ok(count)
    }

    /// Writes the first bytes of these pieces; returns how many. On [`WouldBlock`](ErrorKind::WouldBlock) some of them may be
    /// on their way: the next call has to begin with the same bytes.
    pub(crate) fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let session = &mut *self.session();
        BUFFERS.with_borrow_mut(|buffers| {
            let Buffers {
                outgoing, staged, ..
            } = buffers;
            outgoing.clear();
            self.send(session, outgoing)?;
            if session.accepted == 0 {
                let bytes = match pieces {
                    [piece] => &piece[..piece.len().min(SEAL_AT_ONCE)],
                    pieces => gather(pieces, staged),
                };
                session.seal(bytes, outgoing)?;
                session.accepted = bytes.len();
                self.send(session, outgoing)?;
            }
            Ok(std::mem::take(&mut session.accepted))
        })
    }

    /// Tells the peer that nothing more is sent, as far as the socket takes it.
    pub(crate) fn close_notify(&self) {
        let session = &mut *self.session();
        BUFFERS.with_borrow_mut(|buffers| {
            buffers.outgoing.clear();
            // Behind half a record the notice would mean nothing.
            if self.send(session, &mut buffers.outgoing).is_ok() {
                session.close(&mut buffers.outgoing);
                let _ = self.send(session, &mut buffers.outgoing);
            }
        });
    }

    /// Sends the records that were not sent before, and then these. Keeps those that the socket doesn't take.
    fn send(&self, session: &mut TlsSession, outgoing: &mut Outgoing) -> io::Result<()> {
        while session.sent < session.unsent.len() {
            match uninterrupted(|| (&self.socket).write(&session.unsent[session.sent..])) {
                Err(error) => {
                    session.unsent.extend_from_slice(outgoing.filled());
                    outgoing.clear();
                    return Err(error);
                }
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => session.sent += count,
            }
        }
        if session.sent > 0 {
            (session.unsent, session.sent) = (Vec::new(), 0);
        }
        let mut sent = 0;
        while sent < outgoing.filled().len() {
            match uninterrupted(|| (&self.socket).write(&outgoing.filled()[sent..])) {
                Err(error) => {
                    session.unsent.extend_from_slice(&outgoing.filled()[sent..]);
                    outgoing.clear();
                    return Err(error);
                }
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
            }
        }
        outgoing.clear();
        Ok(())
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

/// Copies the first bytes of the pieces next to each other, so that they share records.
fn gather<'a>(pieces: &[IoSlice<'_>], into: &'a mut Vec<u8>) -> &'a [u8] {
    into.clear();
    for piece in pieces {
        let room = SEAL_AT_ONCE - into.len();
        into.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    into
}
