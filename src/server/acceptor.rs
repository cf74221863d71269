//! The accept loop: one blocking thread for each listener.
//!
//! It admits a connection to the set, tunes its socket and hands it to the model. It never waits
//! for a client: one too many is told so with a single non-blocking write. It never ends for an
//! error: when descriptors or memory are out it pauses and tries again, because what is out now
//! comes back with the next connection that closes.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::connections::{Active, Door};
use super::guard;
use super::limits;
use super::listener::Accept;
use super::service::Refusal;
use super::stream::{Address, Stream};

/// A connection on its way from the acceptor to whoever runs it.
pub(super) struct Accepted {
    // The socket is closed before the set is left: whoever sees the set empty sees all sockets
    // closed.
    pub(super) stream: Arc<Stream>,
    pub(super) active: Active,
}

/// Takes connections from acceptors: one of the two models.
pub(super) trait Dispatch: Send + Sync + 'static {
    fn dispatch(&self, accepted: Accepted);
}

/// Accepts until `stop` is disconnected.
pub(super) fn run(
    listener: &dyn Accept,
    door: &Arc<Door>,
    dispatch: &dyn Dispatch,
    stop: &Receiver<()>,
) {
    let mut last_logged: Option<Instant> = None;
    while !stopped(stop) {
        let error = match listener.accept() {
            // One that arrives while the server stops is closed, not served half.
            Ok(_) if stopped(stop) => return,
            Ok((stream, peer)) => match admit(door, stream, peer) {
                Ok(Some(accepted)) => {
                    dispatch.dispatch(accepted);
                    continue;
                }
                Ok(None) => continue,
                // The client was gone before its socket was set up.
                Err(error) => {
                    log::debug!("{}: a connection was lost at once: {error}", door.address);
                    continue;
                }
            },
            Err(error) => error,
        };
        if stopped(stop) {
            return;
        }
        if concerns_one_client(&error) {
            log::debug!(
                "{}: a connection was lost before it was accepted: {error}",
                door.address
            );
            continue;
        }
        if last_logged.is_none_or(|at| at.elapsed() >= limits::ACCEPT_LOG_EVERY) {
            last_logged = Some(Instant::now());
            log::error!(
                "{}: can't accept connections: {error}; trying again every {:?}, new clients wait",
                door.address,
                limits::ACCEPT_PAUSE,
            );
        }
        // A wait that the end of the server cuts short.
        if stop.recv_timeout(limits::ACCEPT_PAUSE) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

fn stopped(stop: &Receiver<()>) -> bool {
    stop.try_recv() == Err(crossbeam_channel::TryRecvError::Disconnected)
}

fn concerns_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::PermissionDenied
    )
}

fn admit(door: &Arc<Door>, stream: Stream, peer: Address) -> io::Result<Option<Accepted>> {
    let stream = Arc::new(stream);
    let Some(active) = door.connections.admit(door, peer.clone(), &stream) else {
        log::warn!(
            "{} {peer}: turned away, {} connections are open",
            door.service.protocol(),
            door.connections.current(),
        );
        refuse(door, &stream, &peer);
        return Ok(None);
    };
    stream.tune()?;
    log::debug!("{} {peer}: connected", door.service.protocol());
    Ok(Some(Accepted { stream, active }))
}

fn refuse(door: &Door, stream: &Stream, peer: &Address) {
    let reply = guard::refusal(&*door.service, peer, Refusal::TooManyConnections);
    if stream.set_nonblocking().is_ok() && !reply.is_empty() {
        // A new socket's send buffer is empty, so it takes a line whole; if not, the client is
        // gone.
        let _ = stream.write(&reply);
    }
    stream.farewell();
    let _ = stream.shutdown(Shutdown::Both);
}
