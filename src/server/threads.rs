//! Thread per connection: a pool thread holds a connection until it ends.
//!
//! ```text
//!   acceptor ──▶ pool's queue ──▶ thread: ┌─▶ blocking read ─▶ turn ─▶ blocking write ─┐
//!                (one more than           └────────────────────────────────────────────┘
//!                 there are threads waits)
//! ```
//!
//! This is the simplest way. Cost: a thread, its stack and its read buffer for each connection that
//! is served; a request is two system calls and, if nothing else is ready, two context switches. A
//! client that stops reading holds its thread until the idle timeout.
//!
//! The end: a thread that waits for the *next* request sets `Connection::between_requests` before it
//! checks whether the server is stopping; [`Dispatch::stop`] sets that flag before it looks for
//! idle connections. So one of the two sees the other, and shuts the socket's reading side down:
//! bytes that had arrived are still read and answered, then the read ends. A connection in the
//! middle of a request is left alone until that is complete or the time is up, and a new one until
//! its first request has come or `running` shuts it down.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use threadpool::ThreadPool;

use super::acceptor::{Accepted, Dispatch};
use super::connections::{Connection, Connections, ticks};
use super::gather;
use super::guard::GuardedSession;
use super::limits::{FAILED_LOGIN_DELAY, HANDSHAKE_TIMEOUT, LATER, OUTPUT_SOFT_LIMIT, READ_BUFFER};
use super::service::{Insertion, Next};
use super::stream::Stream;
use super::traffic::Traffic;

/// Bytes of a reply that is counted while it is written, because its client may not read it. A socket holds shorter
/// ones.
const COUNTED: usize = 16 << 10;

/// The pool and the data of its jobs.
pub(super) struct Threads {
    pub(super) pool: ThreadPool,
    pub(super) context: Arc<JobContext>,
}

/// The data that every job of the pool needs.
pub(super) struct JobContext {
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_input: usize,
    pub(super) stopping: AtomicBool,
    pub(super) connections: Arc<Connections>,
}

impl Dispatch for Threads {
    fn dispatch(&self, accepted: Accepted) {
        let context = Arc::clone(&self.context);
        self.pool.execute(move || serve(accepted, &context));
    }

    /// Wakes the connections on which nothing is in flight.
    fn stop(&self) {
        self.context.stopping.store(true, SeqCst);
        self.context.connections.for_each(|connection| {
            if connection.between_requests.load(SeqCst) && !connection.awaits_first_request() {
                connection.shut(Shutdown::Read);
            }
        });
    }
}

fn serve(accepted: Accepted, context: &JobContext) {
    let connection = Arc::clone(&accepted.membership.connection);
    let peer = connection.peer();
    let protocol = connection.protocol();
    match run_connection(&accepted, context) {
        Ok(EndReason::Client) => log::debug!("{protocol} {peer}: the client closed"),
        Ok(EndReason::Session) => {
            log::debug!("{protocol} {peer}: closing");
            accepted.stream.close_gracefully();
        }
        Ok(EndReason::TooMuchInput) => log::warn!(
            "{protocol} {peer}: closing, more than {} bytes arrived without a complete request",
            context.max_input,
        ),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            log::debug!(
                "{protocol} {peer}: closing, idle for {:?}",
                connection.idle()
            );
        }
        Err(error) => log::debug!("{protocol} {peer}: connection lost: {error}"),
    }
    // A session may still hold the record; the socket must not stay half open for that.
    accepted.stream.close();
}

enum EndReason {
    Client,
    Session,
    TooMuchInput,
}

/// One connection from its first byte to its last.
fn run_connection(accepted: &Accepted, context: &JobContext) -> io::Result<EndReason> {
    let Accepted {
        stream,
        membership,
        service,
    } = accepted;
    let connection = &*membership.connection;
    prepare(stream, context)?;
    let Some(mut session) = GuardedSession::open(&**service, membership) else {
        return Ok(EndReason::Session);
    };
    let end = run_session(&mut session, stream, connection, context);
    if let Err(error) = &end {
        connection.note_end(error);
    }
    end
}

/// The turns of a session.
fn run_session(
    session: &mut GuardedSession,
    stream: &Stream,
    connection: &Connection,
    context: &JobContext,
) -> io::Result<EndReason> {
    let traffic = context.connections.traffic(connection.id() as usize);
    let mut buffer = vec![0; READ_BUFFER];
    let mut input: Vec<u8> = Vec::new();
    let mut output: Vec<u8> = Vec::new();
    let mut next = Next::Read;
    loop {
        let space = match next {
            Next::Receive => session.space(),
            _ => None,
        };
        if let Some(space) = space {
            let Some(n) = read(stream, space, connection, traffic)? else {
                return Ok(EndReason::Client);
            };
            next = session.arrived(n, &mut output);
        } else {
            if matches!(next, Next::Read | Next::Later | Next::Receive) {
                if input.is_empty() && next != Next::Receive {
                    begin_wait(connection, context);
                }
                let read = match next {
                    Next::Later => read_for_a_while(stream, &mut buffer, connection, context)?,
                    _ => read(stream, &mut buffer, connection, traffic)?,
                };
                let Some(n) = read else {
                    return Ok(EndReason::Client);
                };
                connection.between_requests.store(false, SeqCst);
                input.extend_from_slice(&buffer[..n]);
            }
            let turn = session.turn(&input, &mut output);
            next = turn.next;
            input.drain(..turn.consumed);
            input.shrink_to(READ_BUFFER.max(2 * input.len()));
            let connections = &context.connections;
            let room = buffer.len() + input.capacity();
            connections.settle_request(connection, input.len(), room);
        }
        if next == Next::Delay {
            thread::sleep(FAILED_LOGIN_DELAY);
        }
        let insertions = session.insertions(next);
        write_all(&output, &insertions, stream, connection, context)?;
        output.clear();
        output.shrink_to(OUTPUT_SOFT_LIMIT);
        if next == Next::Close {
            return Ok(EndReason::Session);
        }
        wait(next, session, connection, context);
        if input.len() > context.max_input {
            return Ok(EndReason::TooMuchInput);
        }
    }
}

/// Waits until there is memory for the reply, or until another thread wakes the session, if its turn asked for that.
fn wait(next: Next, session: &mut GuardedSession, connection: &Connection, context: &JobContext) {
    if next == Next::AwaitMemory {
        context.connections.wait_to_reply(connection);
    } else if let Some(waiter) = session.waiter(next) {
        waiter.block();
        connection.touch(ticks());
    }
}

/// Completes the handshake, if there is one, and sets the times of the socket.
fn prepare(stream: &Stream, context: &JobContext) -> io::Result<()> {
    stream.handshake(Some(Instant::now() + HANDSHAKE_TIMEOUT))?;
    stream.set_timeouts(context.idle_timeout)
}

/// Notes that nothing but the next request is waited for.
fn begin_wait(connection: &Connection, context: &JobContext) {
    connection.between_requests.store(true, SeqCst);
    if context.stopping.load(SeqCst) && !connection.awaits_first_request() {
        connection.shut(Shutdown::Read);
    }
}

/// Reads and counts bytes; `None` at the end of the stream.
fn read(
    stream: &Stream,
    buffer: &mut [u8],
    connection: &Connection,
    traffic: &Traffic,
) -> io::Result<Option<usize>> {
    let n = stream.read(buffer)?.count;
    if n == 0 {
        return Ok(None);
    }
    connection.touch(ticks());
    traffic.read(n);
    Ok(Some(n))
}

/// Reads as [`read`] does, but only until the session has its next turn: no byte then.
fn read_for_a_while(
    stream: &Stream,
    buffer: &mut [u8],
    connection: &Connection,
    context: &JobContext,
) -> io::Result<Option<usize>> {
    let traffic = context.connections.traffic(connection.id() as usize);
    stream.set_read_timeout(Some(LATER))?;
    let read = read(stream, buffer, connection, traffic);
    stream.set_read_timeout(context.idle_timeout)?;
    match read {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok(Some(0))
        }
        read => read,
    }
}

/// Writes a turn's output. An error is the socket's, or means that the client reads nothing for too
/// long.
fn write_all(
    output: &[u8],
    insertions: &[Insertion],
    stream: &Stream,
    connection: &Connection,
    context: &JobContext,
) -> io::Result<()> {
    let traffic = context.connections.traffic(connection.id() as usize);
    let length = gather::length(output, insertions);
    if length >= COUNTED {
        context.connections.settle_reply(connection, length);
    }
    let mut written = 0;
    while written < length {
        let n = gather::write_once(stream, output, insertions, written)?;
        connection.touch(ticks());
        traffic.written(n);
        written += n;
    }
    context.connections.settle_reply(connection, 0);
    Ok(())
}
