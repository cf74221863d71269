//! One TLS session as a value: records in, bytes out, and the other way round. It owns no socket.
//!
//! Invariants: `received` is what rustls has left of the records, from the first byte that it still needs. If `accepted` is not
//! zero, the records of these bytes of the caller are in `unsent`, behind older ones.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, Error, ServerConfig};

/// Bytes of records that may be held until a message of the handshake is complete. rustls accepts messages of 64 KiB; the
/// rest is room for the headers of small records.
const MAX_HELD: usize = 128 << 10;

/// The state of one connection.
pub(super) struct TlsSession {
    side: Side,
    /// The start of a record, or of a message of the handshake.
    pub(super) received: Vec<u8>,
    /// Bytes for which the reader had no space, from `taken` on.
    decrypted: Vec<u8>,
    taken: usize,
    /// Records that the socket did not take, from `sent` on.
    pub(super) unsent: Vec<u8>,
    pub(super) sent: usize,
    /// Bytes of the writer that are in `unsent` and have not been reported as written.
    pub(super) accepted: usize,
    /// The handshake is complete.
    pub(super) open: bool,
    /// The peer sends nothing more.
    pub(super) ended: bool,
    /// The last read took as many records as it had space for, so the socket may have more.
    pub(super) undrained: bool,
    failure: Option<Error>,
}

/// Both kinds are boxed, because they take about a kilobyte.
enum Side {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// The work for a session that has nothing else to do.
enum Task<'a> {
    None,
    Seal(&'a [u8]),
    Close,
}

/// The state of a session after a step.
#[derive(PartialEq, Eq)]
enum Step {
    /// Another step may follow at once.
    Continue,
    /// The handshake needs records of the peer.
    Blocked,
    /// The task has been done.
    Open,
    /// The peer has ended its direction.
    Ended,
}

/// The buffers of a thread.
#[derive(Default)]
pub(super) struct Buffers {
    /// Records as they come.
    pub(super) incoming: Vec<u8>,
    /// Records to be sent.
    pub(super) outgoing: Outgoing,
    /// Bytes from several places that share records.
    pub(super) staged: Vec<u8>,
}

/// A buffer for records that keeps its length, because clearing it each time costs more than to send small ones.
#[derive(Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    used: usize,
}

impl Outgoing {
    fn space(&mut self, length: usize) -> &mut [u8] {
        if self.bytes.len() < self.used + length {
            self.bytes.resize(self.used + length, 0);
        }
        &mut self.bytes[self.used..]
    }

    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

/// Where decrypted bytes go: into the reader's slice, then into the session's own.
struct Sink<'a> {
    into: &'a mut [u8],
    filled: usize,
    rest: &'a mut Vec<u8>,
}

impl Sink<'_> {
    fn take(&mut self, bytes: &[u8]) {
        let count = bytes.len().min(self.into.len() - self.filled);
        self.into[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        self.rest.extend_from_slice(&bytes[count..]);
    }
}

impl TlsSession {
    pub(super) fn server(config: Arc<ServerConfig>) -> Result<TlsSession, Error> {
        let connection = Box::new(UnbufferedServerConnection::new(config)?);
        Ok(TlsSession::new(Side::Server(connection)))
    }

    pub(super) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<TlsSession, Error> {
        let connection = Box::new(UnbufferedClientConnection::new(config, name)?);
        Ok(TlsSession::new(Side::Client(connection)))
    }

    fn new(side: Side) -> TlsSession {
        TlsSession {
            side,
            received: Vec::new(),
            decrypted: Vec::new(),
            taken: 0,
            unsent: Vec::new(),
            sent: 0,
            accepted: 0,
            open: false,
            ended: false,
            undrained: false,
            failure: None,
        }
    }

    /// Whether a further read may find bytes, the end or a failure before the poller reports an event.
    pub(super) fn may_have_more(&self) -> bool {
        let holds = self.taken < self.decrypted.len() || self.ended;
        holds || self.undrained || self.failure.is_some()
    }

    /// Takes bytes that were decrypted before. Their number is 0 at the end; `None` if records are needed.
    pub(super) fn take(&mut self, into: &mut [u8]) -> Option<io::Result<usize>> {
        let rest = &self.decrypted[self.taken..];
        if !rest.is_empty() {
            let count = rest.len().min(into.len());
            into[..count].copy_from_slice(&rest[..count]);
            self.taken += count;
            if self.taken == self.decrypted.len() {
                (self.decrypted, self.taken) = (Vec::new(), 0);
            }
            return Some(Ok(count));
        }
        if let Some(failure) = &self.failure {
            return Some(Err(invalid(failure)));
        }
        self.ended.then_some(Ok(0))
    }

    /// The socket has come to its end. That is an end of the stream, too, if the handshake was complete: peers close
    /// without notice, and a truncated request or reply is noticed by its own length.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.ended = true;
        match self.open {
            true => Ok(()),
            false => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the TLS handshake was cut off",
            )),
        }
    }

    /// Processes records, which begin with those of `received`. Returns the number of bytes decrypted into `into`. Those for
    /// which it has no space are kept, and so is a failure of later records.
    pub(super) fn process(
        &mut self,
        records: &mut [u8],
        into: &mut [u8],
        outgoing: &mut Outgoing,
    ) -> usize {
        let mut sink = Sink {
            into,
            filled: 0,
            rest: &mut self.decrypted,
        };
        let mut at = 0;
        let failure = loop {
            let (discard, step) =
                self.side
                    .step(&mut records[at..], &mut sink, outgoing, Task::None);
            at += discard;
            match step {
                Ok(Step::Continue) => {}
                Ok(Step::Ended) => self.ended = true,
                Ok(Step::Blocked) => break None,
                Ok(Step::Open) => {
                    self.open = true;
                    break None;
                }
                Err(failure) => break Some(failure),
            }
        };
        let filled = sink.filled;
        self.received.clear();
        if failure.is_some() {
            self.alert(&mut records[at..], outgoing);
        } else {
            self.received.extend_from_slice(&records[at..]);
        }
        self.received.shrink_to(2 * self.received.len());
        self.failure = match self.received.len() > MAX_HELD {
            true => Some(Error::General(
                "a message of the handshake is too long".into(),
            )),
            false => failure,
        };
        filled
    }

    /// Makes the alert that tells the peer of a failure. rustls has queued it, and still refers to these records. A second
    /// step would process them again.
    fn alert(&mut self, records: &mut [u8], outgoing: &mut Outgoing) {
        let mut sink = Sink {
            into: &mut [],
            filled: 0,
            rest: &mut Vec::new(),
        };
        let _ = self.side.step(records, &mut sink, outgoing, Task::None);
    }

    /// Makes records of these bytes.
    pub(super) fn seal(&mut self, bytes: &[u8], outgoing: &mut Outgoing) -> io::Result<()> {
        self.run(Task::Seal(bytes), outgoing)
    }

    /// Makes the notice that nothing more is sent. Before the end of the handshake there is none.
    pub(super) fn close(&mut self, outgoing: &mut Outgoing) {
        if self.open && self.failure.is_none() {
            let _ = self.run(Task::Close, outgoing);
        }
    }

    /// Does a task of an open session. A client's session begins its handshake.
    fn run(&mut self, task: Task<'_>, outgoing: &mut Outgoing) -> io::Result<()> {
        if let Some(failure) = &self.failure {
            return Err(invalid(failure));
        }
        let mut sink = Sink {
            into: &mut [],
            filled: 0,
            rest: &mut self.decrypted,
        };
        let mut records = std::mem::take(&mut self.received);
        let mut at = 0;
        let done = loop {
            let (discard, step) =
                self.side
                    .step(&mut records[at..], &mut sink, outgoing, task.again());
            at += discard;
            match step {
                Ok(Step::Continue) => {}
                Ok(Step::Ended) => self.ended = true,
                Ok(Step::Blocked) => break Err(ErrorKind::WouldBlock.into()),
                Ok(Step::Open) => break Ok(()),
                Err(failure) => break Err(invalid(&failure)),
            }
        };
        records.drain(..at);
        self.received = records;
        done
    }

    /// Makes the first records of a client's handshake, or whatever else is due.
    pub(super) fn begin(&mut self, outgoing: &mut Outgoing) -> io::Result<()> {
        match self.run(Task::None, outgoing) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            done => done,
        }
    }
}

impl Side {
    /// One step of rustls, and the number of bytes of the records that it has used.
    fn step(
        &mut self,
        records: &mut [u8],
        sink: &mut Sink<'_>,
        outgoing: &mut Outgoing,
        task: Task<'_>,
    ) -> (usize, Result<Step, Error>) {
        match self {
            Side::Server(side) => step(side.process_tls_records(records), sink, outgoing, task),
            Side::Client(side) => step(side.process_tls_records(records), sink, outgoing, task),
        }
    }
}

impl<'a> Task<'a> {
    fn again(&self) -> Task<'a> {
        match self {
            Task::None => Task::None,
            Task::Seal(bytes) => Task::Seal(bytes),
            Task::Close => Task::Close,
        }
    }
}

fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    sink: &mut Sink<'_>,
    outgoing: &mut Outgoing,
    task: Task<'_>,
) -> (usize, Result<Step, Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Err(error) => Err(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                None => break Ok(Step::Continue),
                Some(Err(error)) => break Err(error),
                Some(Ok(record)) => {
                    discard += record.discard;
                    sink.take(record.payload);
                }
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let encoded = data.encode(outgoing.space(0));
            let encoded = match encoded {
                Err(EncodeError::InsufficientSize(least)) => {
                    data.encode(outgoing.space(least.required_size))
                }
                encoded => encoded,
            };
            outgoing.used += encoded.unwrap_or(0);
            Ok(Step::Continue)
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Step::Continue)
        }
        Ok(ConnectionState::BlockedHandshake) => Ok(Step::Blocked),
        Ok(ConnectionState::WriteTraffic(traffic)) => carry_out(task, traffic, outgoing),
        Ok(ConnectionState::PeerClosed) => Ok(Step::Ended),
        Ok(ConnectionState::Closed) => Ok(Step::Open),
        // Early data is not offered, and rustls has no further states.
        Ok(_) => Err(Error::General("an unknown state of the session".into())),
    };
    (discard, step)
}

fn carry_out<Data>(
    task: Task<'_>,
    mut traffic: WriteTraffic<'_, Data>,
    outgoing: &mut Outgoing,
) -> Result<Step, Error> {
    let mut run = |outgoing: &mut Outgoing, length: usize| match task {
        Task::None => Ok(0),
        Task::Seal(bytes) => traffic.encrypt(bytes, outgoing.space(length)),
        Task::Close => traffic.queue_close_notify(outgoing.space(length)),
    };
    let mut made = run(outgoing, 0);
    if let Err(EncryptError::InsufficientSize(least)) = made {
        made = run(outgoing, least.required_size);
    }
    outgoing.used += made.map_err(|error| Error::General(error.to_string()))?;
    Ok(Step::Open)
}

fn invalid(error: &Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("TLS: {error}"))
}
