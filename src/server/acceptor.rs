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

use super::connections::{Active, Connections, Endpoint};
use super::guard;
use super::limits;
use super::listener::Accept;
use super::service::{Refusal, Service};
use super::stream::{Address, Stream};

/// A connection on its way from the acceptor to whoever runs it.
pub(crate) struct Accepted {
    // The socket is closed before the set is left: whoever sees the set empty sees all sockets
    // closed.
    pub(crate) stream: Arc<Stream>,
    pub(crate) active: Active,
    /// What serves it.
    pub(super) service: Arc<dyn Service>,
}

/// Takes connections from acceptors: one of the two models.
pub(crate) trait Dispatch: Send + Sync + 'static {
    fn dispatch(&self, accepted: Accepted);

    /// The server is stopping. Workers that notice the drop of this value need no more than that.
    fn stop(&self) {}
}

/// What a listener's connections enter: the set, and the service behind the listener.
pub(super) struct Entry {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) service: Arc<dyn Service>,
    pub(super) connections: Arc<Connections>,
}

/// Accepts until `stop` is disconnected.
pub(super) fn run(
    listener: &dyn Accept,
    entry: &Entry,
    dispatch: &dyn Dispatch,
    stop: &Receiver<()>,
) {
    let mut last_logged: Option<Instant> = None;
    while !stopped(stop) {
        let error = match listener.accept() {
            // One that arrives while the server stops is closed, not served half.
            Ok(_) if stopped(stop) => return,
            Ok((stream, peer)) => match admit(entry, stream, peer) {
                Ok(Some(accepted)) => {
                    dispatch.dispatch(accepted);
                    continue;
                }
                Ok(None) => continue,
                // The client was gone before its socket was set up.
                Err(error) => {
                    log::debug!(
                        "{}: a connection was lost at once: {error}",
                        entry.endpoint.address
                    );
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
                entry.endpoint.address
            );
            continue;
        }
        if last_logged.is_none_or(|at| at.elapsed() >= limits::ACCEPT_LOG_EVERY) {
            last_logged = Some(Instant::now());
            log::error!(
                "{}: can't accept connections: {error}; trying again every {:?}, new clients wait",
                entry.endpoint.address,
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

fn admit(entry: &Entry, stream: Stream, peer: Address) -> io::Result<Option<Accepted>> {
    let stream = Arc::new(stream);
    let Some(active) = entry
        .connections
        .admit(&entry.endpoint, peer.clone(), &stream)
    else {
        log::warn!(
            "{} {peer}: turned away, {} connections are open",
            entry.endpoint.protocol,
            entry.connections.current(),
        );
        refuse(entry, &stream, &peer);
        return Ok(None);
    };
    stream.tune()?;
    log::debug!("{} {peer}: connected", entry.endpoint.protocol);
    Ok(Some(Accepted {
        stream,
        active,
        service: Arc::clone(&entry.service),
    }))
}

fn refuse(entry: &Entry, stream: &Stream, peer: &Address) {
    let reply = guard::refusal(&*entry.service, peer, Refusal::TooManyConnections);
    if stream.set_nonblocking().is_ok() && !reply.is_empty() {
        // A new socket's send buffer is empty, so it takes a line whole; if not, the client is
        // gone.
        let _ = stream.write(&reply);
    }
    stream.farewell();
    let _ = stream.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::Mutex;
    use std::thread;

    use super::*;
    use crate::service::echo::Echo;

    /// Has no descriptors left for a while, then one connection, then none again.
    struct Starved {
        answers: Mutex<Vec<io::Result<(Stream, Address)>>>,
        asked: crossbeam_channel::Sender<()>,
    }

    impl Accept for Starved {
        fn accept(&self) -> io::Result<(Stream, Address)> {
            let _ = self.asked.send(());
            let next = self.answers.lock().unwrap().pop();
            next.unwrap_or_else(|| Err(io::Error::other("too many open files")))
        }
    }

    struct Into(crossbeam_channel::Sender<Accepted>);

    impl Dispatch for Into {
        fn dispatch(&self, accepted: Accepted) {
            self.0.send(accepted).unwrap();
        }
    }

    #[test]
    fn without_descriptors_it_pauses_and_goes_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        let starved = || Err(io::Error::other("too many open files"));
        let aborted = Err(io::ErrorKind::ConnectionAborted.into());
        let (asked, asks) = crossbeam_channel::unbounded();
        let answers = Mutex::new(vec![
            Ok((Stream::Tcp(stream), Address::Tcp(peer))),
            aborted,
            starved(),
            starved(),
        ]);
        let source = Starved { answers, asked };
        let entry = Entry {
            endpoint: Arc::new(Endpoint {
                protocol: "echo",
                address: Address::Detached,
            }),
            service: Arc::new(Echo),
            connections: Connections::new(),
        };
        let (sender, dispatched) = crossbeam_channel::unbounded();
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let begin = Instant::now();
        let acceptor = thread::spawn(move || run(&source, &entry, &Into(sender), &stopped));
        let accepted = dispatched.recv().unwrap();
        assert_eq!(accepted.active.connection.peer(), &Address::Tcp(peer));
        // Two pauses, none after the connection that was merely aborted.
        assert!(begin.elapsed() >= 2 * limits::ACCEPT_PAUSE);
        assert_eq!(asks.try_iter().count().min(4), 4);
        drop(stop);
        acceptor.join().unwrap();
    }
}
