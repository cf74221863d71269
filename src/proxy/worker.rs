//! One forwarding thread: the sockets of a [`Forwarder`], and the poller that waits for them.
//!
//! ```text
//!            one round of a worker (one thread, one mio::Poll)
//!   clients  ──read──▶ ┌───────────┐ ──one write each──▶ upstreams
//!                      │ Forwarder │
//!   clients ◀─one each─└───────────┘ ◀────────read────── upstreams
//! ```
//!
//! All rules are the forwarder's. A worker reads the sockets that are ready and that the forwarder has room for,
//! into one buffer. It writes the forwarder's output: once in a round for each socket, and earlier to an upstream for
//! which much has collected. A socket here has the same key as its client or connection there; a key is free when the
//! forwarder's command to close it has been carried out.

mod handshakes;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::pool::{ResolvedName, Resolver, UpstreamFailure};
use crate::proxy::forwarder::{Command, Forwarder};
use crate::proxy::intercept::Interception;
use crate::proxy::shared::Shared;
use crate::server::limits::{EVENTS, READ_BUFFER};
use crate::server::{
    Accepted, Handshakes, Membership, Received, Stream, WorkerHandle, WorkerInbox, WorkerMessage,
    ticks, worker_channel,
};
use crate::upstream::{UpstreamSocket, send};

/// The token of the waker; clients have even numbers, upstreams odd ones.
const WAKE: Token = Token(usize::MAX);

/// A client's socket. The fields are dropped in this order: the socket closes, the set of connections is left.
struct ClientSocket {
    stream: Arc<Stream>,
    membership: Membership,
    writable: bool,
    /// The end was announced, and only a read finds it.
    ends: bool,
}

/// One thread's worth of sockets.
pub(super) struct Worker {
    poll: Poll,
    inbox: WorkerInbox,
    names: (Sender<ResolvedName>, Receiver<ResolvedName>),
    resolver: Resolver,
    shared: Arc<Shared>,
    index: usize,
    forwarder: Forwarder,
    clients: Vec<Option<ClientSocket>>,
    upstreams: Vec<Option<UpstreamSocket>>,
    handshakes: Handshakes,
    buffer: Vec<u8>,
    now: u64,
    began: Instant,
}

impl Worker {
    pub(super) fn new(
        index: usize,
        width: usize,
        shared: Arc<Shared>,
        resolver: Resolver,
    ) -> io::Result<(Worker, WorkerHandle)> {
        let poll = Poll::new()?;
        let (handle, inbox) = worker_channel(poll.registry(), WAKE)?;
        let interceptor = shared.interceptor.as_deref();
        let waker = handle.waker();
        let interception = interceptor
            .map(|interceptor| Interception::new(interceptor, Arc::new(move || waker.wake())));
        let worker = Worker {
            poll,
            inbox,
            names: crossbeam_channel::unbounded(),
            resolver,
            forwarder: Forwarder::new(Arc::clone(&shared), width, interception),
            shared,
            index,
            clients: Vec::new(),
            upstreams: Vec::new(),
            handshakes: Handshakes::default(),
            buffer: vec![0; READ_BUFFER],
            now: 0,
            began: Instant::now(),
        };
        Ok((worker, handle))
    }

    /// Runs until the acceptors are gone and the last client has left.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        while !self.forwarder.is_drained() {
            let timeout = self.timeout();
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    log::error!("a worker can't wait for its clients and closes them: {error}");
                    return;
                }
                Ok(()) => {}
            }
            self.now = ticks();
            let micros = self.began.elapsed().as_micros() as u64;
            self.forwarder.set_time(self.now, micros);
            let mut woken = false;
            for event in &events {
                let ends = event.is_read_closed() || event.is_error();
                let (readable, writable) = (event.is_readable() || ends, event.is_writable());
                match event.token() {
                    WAKE => woken = true,
                    Token(token) if token % 2 == 0 => {
                        self.client_event(token / 2, readable, writable, ends)
                    }
                    Token(token) => self.upstream_event(token / 2, readable, writable, ends),
                }
            }
            if woken {
                self.receive();
            }
            self.forwarder.follow_pool();
            self.round();
            self.forwarder.extend_deadlines(ticks() - self.now);
            self.forwarder.sweep();
            self.close_stalled_handshakes();
            self.write_upstreams();
            self.write_clients();
            self.carry_out();
        }
        self.forwarder.finish();
    }

    fn round(&mut self) {
        for _ in 0..self.forwarder.ready_clients() {
            if let Some(key) = self.forwarder.next_client() {
                self.read_client(key);
            }
            // An upstream begins to work while the other clients are read.
            if self.forwarder.has_much_output() {
                self.write_upstreams();
            }
        }
        self.forwarder.end_interception();
        self.write_upstreams();
        for _ in 0..self.forwarder.readable_connections() {
            if let Some(key) = self.forwarder.next_readable_connection() {
                self.read_upstream(key);
            }
        }
        // Redirected and retried requests must be written now: no other event would write them.
        self.write_upstreams();
        self.write_clients();
        self.forwarder.resume();
    }

    fn client_event(&mut self, key: usize, readable: bool, writable: bool, ends: bool) {
        let Some(Some(socket)) = self.clients.get_mut(key) else {
            return;
        };
        socket.writable |= writable;
        socket.ends |= ends;
        if ends {
            self.forwarder.client_hung_up(key);
        }
        // A handshake may have records to send before it can read.
        if readable || socket.stream.is_handshaking() {
            self.forwarder.client_readable(key);
        }
        if writable {
            self.forwarder.client_writable(key);
        }
    }

    fn upstream_event(&mut self, key: usize, readable: bool, writable: bool, ends: bool) {
        let Some(Some(socket)) = self.upstreams.get_mut(key) else {
            return;
        };
        socket.writable |= writable;
        if socket.connecting {
            match socket.outcome() {
                None => return,
                Some(Ok(())) => self.forwarder.connected(key),
                Some(Err(error)) => {
                    self.close_upstream(key);
                    return self.forwarder.connect_failed(key, error);
                }
            }
        }
        if readable {
            self.forwarder.connection_readable(key, ends);
        }
        if writable {
            self.forwarder.connection_writable(key);
        }
    }

    /// Receives the messages of other threads.
    fn receive(&mut self) {
        self.forwarder.answer_intercepted();
        while let Ok(found) = self.names.1.try_recv() {
            self.forwarder.resolved(found);
        }
        loop {
            match self.inbox.receive() {
                WorkerMessage::Connection(accepted) => {
                    if let Err(error) = self.take_in(accepted) {
                        self.inbox.connection_ended();
                        self.carry_out();
                        log::warn!("a connection was lost while it was accepted: {error}");
                    }
                }
                WorkerMessage::Nothing => return,
                WorkerMessage::Stopping => return self.forwarder.drain(),
            }
        }
    }

    fn take_in(&mut self, accepted: Accepted) -> io::Result<()> {
        let Accepted {
            stream, membership, ..
        } = accepted;
        stream.set_nonblocking()?;
        let connection = Arc::clone(&membership.connection);
        let key = self.forwarder.client_opened(connection.id(), connection);
        if let Err(error) = register(&self.poll, &stream, Token(key * 2)) {
            self.forwarder.client_lost(key, &error);
            return Err(error);
        }
        let socket = ClientSocket {
            stream,
            membership,
            writable: true,
            ends: false,
        };
        put(&mut self.clients, key, socket);
        self.watch_handshake(key);
        Ok(())
    }

    fn read_client(&mut self, key: usize) {
        let Some(Some(socket)) = self.clients.get_mut(key) else {
            return;
        };
        match socket.stream.read(&mut self.buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                socket.ends = false;
                self.forwarder.client_drained(key);
            }
            Err(error) => self.forwarder.client_lost(key, &error),
            Ok(Received { count: 0, .. }) => self.forwarder.client_ended(key),
            Ok(Received { count, more }) => {
                let more = more || socket.ends;
                socket.membership.connection.touch(self.now);
                self.shared.connections.traffic(self.index).read(count);
                self.forwarder
                    .client_received(key, &self.buffer[..count], more);
            }
        }
    }

    fn read_upstream(&mut self, key: usize) {
        let Some(Some(socket)) = self.upstreams.get_mut(key) else {
            return;
        };
        match socket.stream.read(&mut self.buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.forwarder.connection_drained(key)
            }
            Err(error) => self
                .forwarder
                .connection_failed(key, UpstreamFailure::lost(error)),
            Ok(Received { count: 0, .. }) => self
                .forwarder
                .connection_failed(key, UpstreamFailure::Closed),
            Ok(Received { count, more }) => {
                self.forwarder
                    .connection_received(key, &self.buffer[..count], more);
            }
        }
    }

    /// One write for each upstream connection with something to send.
    fn write_upstreams(&mut self) {
        self.carry_out();
        for _ in 0..self.forwarder.dirty_connections() {
            let Some((key, output)) = self.forwarder.next_connection_output() else {
                continue;
            };
            let Some(Some(socket)) = self.upstreams.get_mut(key) else {
                continue;
            };
            match socket.send(output) {
                Ok(count) => self.forwarder.connection_sent(key, count),
                Err(error) => self
                    .forwarder
                    .connection_failed(key, UpstreamFailure::lost(error)),
            }
        }
    }

    /// One write for each client with something to send.
    fn write_clients(&mut self) {
        for _ in 0..self.forwarder.dirty_clients() {
            let Some((key, output)) = self.forwarder.next_client_output() else {
                continue;
            };
            let Some(Some(socket)) = self.clients.get_mut(key) else {
                continue;
            };
            match send(&socket.stream, &mut socket.writable, output) {
                Err(error) => self.forwarder.client_lost(key, &error),
                Ok(count) => {
                    if count > 0 {
                        socket.membership.connection.touch(self.now);
                        self.shared.connections.traffic(self.index).written(count);
                    }
                    self.forwarder.client_sent(key, count);
                }
            }
        }
    }

    /// Carries out the forwarder's commands.
    fn carry_out(&mut self) {
        while let Some(command) = self.forwarder.next_command() {
            match command {
                Command::Resolve { key, serial, name } => self.resolver.look_up(
                    &name,
                    (key, serial),
                    self.names.0.clone(),
                    Arc::clone(self.inbox.waker()),
                ),
                Command::Connect { key, address } => {
                    if let Err(error) = self.connect(key, address) {
                        self.forwarder.connect_failed(key, error);
                    }
                }
                Command::CloseUpstream(key) => self.close_upstream(key),
                Command::CloseClient { key, gracefully } => self.close_client(key, gracefully),
            }
        }
    }

    fn connect(&mut self, key: usize, address: SocketAddr) -> io::Result<()> {
        let name = self.forwarder.connection_name(key);
        let tls = self.shared.upstream_tls.as_deref();
        let socket = UpstreamSocket::connect(address, name, tls)?;
        register(&self.poll, &socket.stream, Token(key * 2 + 1))?;
        put(&mut self.upstreams, key, socket);
        Ok(())
    }

    fn close_upstream(&mut self, key: usize) {
        // The socket closes, which takes it from the poller.
        if let Some(socket) = self.upstreams.get_mut(key) {
            *socket = None;
        }
    }

    fn close_client(&mut self, key: usize, gracefully: bool) {
        let Some(socket) = self.clients.get_mut(key).and_then(Option::take) else {
            return;
        };
        if gracefully {
            socket.stream.close_gracefully();
        }
        self.inbox.connection_ended();
        let fd = socket.stream.as_raw_fd();
        // Closing the descriptor would do, but a kill in this moment may still hold it open.
        let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
        socket.stream.close();
    }
}

/// Puts a socket at the position of its key.
fn put<T>(sockets: &mut Vec<Option<T>>, key: usize, socket: T) {
    if key >= sockets.len() {
        sockets.resize_with(key + 1, || None);
    }
    sockets[key] = Some(socket);
}

fn register(poll: &Poll, stream: &Stream, token: Token) -> io::Result<()> {
    let interest = Interest::READABLE | Interest::WRITABLE;
    let fd = stream.as_raw_fd();
    poll.registry()
        .register(&mut SourceFd(&fd), token, interest)
}
