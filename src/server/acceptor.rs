//! The accept loop: one blocking thread for each listener.
//!
//! It admits a connection to the set, tunes its socket and hands it to the model. It never waits
//! for a client: a connection over the limit gets its error with a single non-blocking write. It does
//! not end on an error: without descriptors or memory it pauses and tries again, because the next
//! connection that closes frees some.

use std::borrow::Cow;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::connections::{Connections, Endpoint, Membership};
use super::guard;
use super::limits;
use super::listener::Accept;
use super::service::{Refusal, Service};
use super::stream::{self, Address, Stream};
use super::tls::ServerTls;

/// A connection on its way from the acceptor to its worker.
pub(crate) struct Accepted {
    // The socket is closed before the set is left, so that an empty set means that all sockets are
    // closed.
    pub(crate) stream: Arc<Stream>,
    pub(crate) membership: Membership,
    /// The service that answers its clients.
    pub(super) service: Arc<dyn Service>,
}

/// Takes connections from acceptors: the workers of one of the two models, or of the proxy.
pub(crate) trait Dispatch: Send + Sync + 'static {
    fn dispatch(&self, accepted: Accepted);

    /// The server is stopping. Workers that end when this value is dropped need nothing else.
    fn stop(&self) {}
}

/// The data that a listener's acceptor needs to admit a connection.
pub(super) struct ListenerContext {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) service: Arc<dyn Service>,
    pub(super) connections: Arc<Connections>,
    /// TLS for its TCP connections.
    pub(super) tls: Option<Arc<ServerTls>>,
}

/// Accepts until `stop` is disconnected.
pub(super) fn run(
    listener: &dyn Accept,
    context: &ListenerContext,
    dispatch: &dyn Dispatch,
    stop: &Receiver<()>,
) {
    let mut last_logged: Option<Instant> = None;
    while !stopped(stop) {
        let error = match listener.accept() {
            // Also while the server stops: the client of an accepted connection gets its answer.
            Ok((stream, peer)) => match admit(context, stream, peer) {
                Ok(Some(accepted)) => {
                    dispatch.dispatch(accepted);
                    continue;
                }
                Ok(None) => continue,
                // The client was gone before its socket was set up.
                Err(error) => {
                    log::debug!(
                        "{}: a connection was lost while it was accepted: {error}",
                        context.endpoint.address
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
                context.endpoint.address
            );
            continue;
        }
        if last_logged.is_none_or(|at| at.elapsed() >= limits::ACCEPT_LOG_EVERY) {
            last_logged = Some(Instant::now());
            log::error!(
                "{}: can't accept connections: {error}; trying again every {:?}, and new clients wait",
                context.endpoint.address,
                limits::ACCEPT_PAUSE,
            );
        }
        // The end of the server interrupts this wait.
        if stop.recv_timeout(limits::ACCEPT_PAUSE) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// Whether the server is to end.
pub(super) fn stopped(stop: &Receiver<()>) -> bool {
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

fn admit(context: &ListenerContext, stream: Stream, peer: Address) -> io::Result<Option<Accepted>> {
    let stream = Arc::new(match (stream, &context.tls) {
        (Stream::Tcp(socket), Some(tls)) => Stream::Tls(Box::new(tls.accept(socket)?)),
        (stream, _) => stream,
    });
    let Some(membership) = context
        .connections
        .admit(&context.endpoint, peer.clone(), &stream)
    else {
        log::warn!(
            "{} {peer}: refused, because the limit of {} connections is reached",
            context.endpoint.protocol,
            context.connections.current(),
        );
        refuse(context, &stream, &peer);
        return Ok(None);
    };
    if !stream::INHERITS_OPTIONS {
        stream.tune()?;
    }
    log::debug!("{} {peer}: connected", context.endpoint.protocol);
    Ok(Some(Accepted {
        stream,
        membership,
        service: Arc::clone(&context.service),
    }))
}

fn refuse(context: &ListenerContext, stream: &Stream, peer: &Address) {
    let reply = match stream.is_handshaking() {
        // It would be readable only after a handshake, for which the client gets no time.
        true => Cow::Borrowed(&[][..]),
        false => guard::refusal(&*context.service, peer, Refusal::TooManyConnections),
    };
    if stream.set_nonblocking().is_ok() && !reply.is_empty() {
        // A new socket's send buffer is empty, so it takes a line whole; if not, the client is
        // gone.
        let _ = stream.write(&reply);
    }
    stream.close_gracefully();
    let _ = stream.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::Mutex;
    use std::thread;
    use std::time::Duration;

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
        let context = ListenerContext {
            endpoint: Arc::new(Endpoint {
                protocol: "echo",
                address: Address::Detached,
            }),
            service: Arc::new(Echo),
            connections: Connections::new(),
            tls: None,
        };
        let (sender, dispatched) = crossbeam_channel::unbounded();
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let begin = Instant::now();
        let acceptor = thread::spawn(move || run(&source, &context, &Into(sender), &stopped));
        let accepted = dispatched.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(accepted.membership.connection.peer(), &Address::Tcp(peer));
        // Two pauses, none after the connection that was merely aborted.
        assert!(begin.elapsed() >= 2 * limits::ACCEPT_PAUSE);
        assert_eq!(asks.try_iter().count().min(4), 4);
        drop(stop);
        acceptor.join().unwrap();
    }
}
