//! A server that runs: its addresses, and how it ends.
//!
//! The end, step by step, under either model:
//!
//! ```text
//!   begin_shutdown ─▶ acceptors end ─▶ what is in flight is answered, ─▶ the deadline passes, ─▶ workers end
//!                     listeners close   quiet connections are closed      the rest is killed
//! ```
//!
//! In flight are complete requests that have arrived, requests of which a part has arrived, and
//! replies that the client has not taken yet. The deadline is one for all connections together.
//! A connection that was accepted within the last second may still send its first request. With sockets that outlive the
//! server, every request of a client that connects for it is answered, by this server or by its successor.

use std::net::Shutdown;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use threadpool::ThreadPool;

use super::acceptor::Dispatch;
use super::connections::{Connection, Connections};
use super::datagrams::DatagramSocket;
use super::limits::FIRST_REQUEST;
use super::listener::Listener;
use super::stream::Address;

/// A started server. Dropping it ends it at once.
pub struct Running {
    pub(super) handle: Handle,
    pub(super) addresses: Vec<Address>,
    /// The threads of listeners, and of sockets for datagrams.
    pub(super) acceptors: Vec<JoinHandle<()>>,
    pub(super) pool: ThreadPool,
}

/// Ends a running server from elsewhere, for example from the thread that waits for signals.
#[derive(Clone)]
pub struct Handle {
    pub(super) control: Arc<ShutdownControl>,
}

/// The parts of a running server that its shutdown needs.
pub(super) struct ShutdownControl {
    pub(super) connections: Arc<Connections>,
    /// Held by their acceptors, so that they close when these end.
    pub(super) listeners: Vec<Weak<Listener>>,
    /// Held by their threads.
    pub(super) datagram_sockets: Vec<Weak<DatagramSocket>>,
    /// Its drop ends the acceptors.
    pub(super) stop: Mutex<Option<Sender<()>>>,
    pub(super) deadline: Mutex<Option<Instant>>,
    /// Held by the acceptors: under turns its drop ends the workers.
    pub(super) dispatch: Weak<dyn Dispatch>,
}

impl Running {
    /// The addresses of the listeners, in the order in which they were added, then those of sockets for datagrams; a port
    /// 0 is replaced by the chosen port.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The set of active connections.
    pub fn connections(&self) -> &Arc<Connections> {
        &self.handle.control.connections
    }

    /// A handle to end this server from another thread.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends the server: no new connections, requests in flight are answered for up to `grace`, then
    /// all are closed. Returns when every thread of the server has ended.
    pub fn shutdown(self, grace: Duration) {
        self.handle.begin_shutdown(grace);
        self.join();
    }

    /// Waits until the server is ended with a [`Handle`], and completes the shutdown.
    pub fn join(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        for acceptor in self.acceptors.drain(..) {
            if acceptor.join().is_err() {
                log::error!("a listener's thread panicked");
            }
        }
        let control = &self.handle.control;
        let connections = &control.connections;
        let first_requests = Instant::now() + FIRST_REQUEST;
        let silent_until = || control.deadline().map(|end| end.min(first_requests));
        if !connections.wait_until_empty(silent_until) {
            // Bytes that have arrived are read all the same.
            connections.for_each(|connection| {
                if connection.is_silent() {
                    connection.shut(Shutdown::Read);
                }
            });
        }
        if !connections.wait_until_empty(|| control.deadline()) {
            log::info!("closing {} remaining connections", connections.current());
            connections.for_each(|connection| connection.kill());
        }
        self.pool.join();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.begin_shutdown(Duration::ZERO);
        self.finish();
    }
}

impl Handle {
    /// Whether the end has begun.
    pub(crate) fn is_ending(&self) -> bool {
        self.control.deadline().is_some()
    }

    /// Begins to end the server and returns at once. Called again it can only bring the deadline
    /// forward. A thread must be in [`Running::join`], which closes the remaining connections at
    /// the deadline.
    pub fn begin_shutdown(&self, grace: Duration) {
        let control = &self.control;
        let deadline = Instant::now() + grace;
        {
            let mut current = control
                .deadline
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *current = Some(current.map_or(deadline, |earlier| earlier.min(deadline)));
        }
        // Taken before the acceptors are stopped, because it ends with the last of them.
        let dispatch = control.dispatch.upgrade();
        let stop = control
            .stop
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(stop);
        for listener in control.listeners.iter().filter_map(Weak::upgrade) {
            listener.wake();
        }
        for socket in control.datagram_sockets.iter().filter_map(Weak::upgrade) {
            socket.wake();
        }
        if let Some(dispatch) = dispatch {
            dispatch.stop();
        }
        control.connections.recheck_deadline();
    }
}

impl Connection {
    /// Whether nothing has arrived since the connection was accepted.
    pub(super) fn is_silent(&self) -> bool {
        self.last_active() == self.opened
    }

    /// Whether the first request of the connection may still be on its way. Then the end of the server doesn't close it yet.
    pub(crate) fn awaits_first_request(&self) -> bool {
        self.is_silent() && self.age() < FIRST_REQUEST
    }
}

impl ShutdownControl {
    fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
