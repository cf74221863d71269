//! The way of a connection from an acceptor to a worker that runs many connections with one poller.
//!
//! ```text
//!   acceptor ─▶ WorkerHandles::dispatch ─▶ WorkerHandle ──channel, waker──▶ WorkerInbox ─▶ worker
//!                (fewest connections)        └─ load ◀── connection_ended ──────┘
//! ```
//!
//! The server's turns and the proxy's workers both receive their connections this way. A connection
//! costs one send and one write to the worker's waker. The server's workers also hand connections to each other,
//! so their messages are of a type of their own.
//!
//! Invariants: a worker ends only after all its handles are dropped, so a connection that was sent is
//! received. The handles are dropped together with the last acceptor; the dropping wakes each worker,
//! which then reads [`WorkerMessage::Stopping`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use mio::{Registry, Token, Waker};

use super::acceptor::{Accepted, Dispatch};
use super::waiter::wake;

/// The acceptors' end of a worker.
pub(crate) struct WorkerHandle<M = Accepted> {
    incoming: Sender<M>,
    waker: Arc<Waker>,
    load: Arc<AtomicUsize>,
}

/// The worker's end: connections that acceptors sent.
pub(crate) struct WorkerInbox<M = Accepted> {
    incoming: Receiver<M>,
    /// Kept, because a wake that is under way is lost when the last waker is dropped.
    waker: Arc<Waker>,
    /// The number of connections that the worker runs or was sent.
    load: Arc<AtomicUsize>,
}

/// A message to a worker.
pub(crate) enum WorkerMessage<M = Accepted> {
    Connection(M),
    Nothing,
    /// The acceptors have ended: no more connections will come.
    Stopping,
}

/// The two ends of a new worker, whose poller reports a wake under `token`.
pub(crate) fn worker_channel<M>(
    registry: &Registry,
    token: Token,
) -> io::Result<(WorkerHandle<M>, WorkerInbox<M>)> {
    let waker = Arc::new(Waker::new(registry, token)?);
    let (sender, incoming) = crossbeam_channel::unbounded();
    let load = Arc::new(AtomicUsize::new(0));
    let handle = WorkerHandle {
        incoming: sender,
        waker: Arc::clone(&waker),
        load: Arc::clone(&load),
    };
    let inbox = WorkerInbox {
        incoming,
        waker,
        load,
    };
    Ok((handle, inbox))
}

impl<M> WorkerHandle<M> {
    /// The waker of the worker.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    fn send(&self, connection: M) {
        self.load.fetch_add(1, Relaxed);
        // A worker ends only when all senders are dropped, so it receives this.
        let _ = self.incoming.send(connection);
        wake(&self.waker);
    }
}

impl<M> WorkerInbox<M> {
    /// The next connection. Every connection that is received ends with
    /// [`connection_ended`](WorkerInbox::connection_ended).
    pub(crate) fn receive(&self) -> WorkerMessage<M> {
        match self.incoming.try_recv() {
            Ok(connection) => WorkerMessage::Connection(connection),
            Err(TryRecvError::Empty) => WorkerMessage::Nothing,
            Err(TryRecvError::Disconnected) => WorkerMessage::Stopping,
        }
    }

    /// One connection of the worker has ended.
    pub(crate) fn connection_ended(&self) {
        self.load.fetch_sub(1, Relaxed);
    }

    /// The waker of the worker.
    pub(crate) fn waker(&self) -> &Arc<Waker> {
        &self.waker
    }
}

/// All workers of a server, as its acceptors see them.
pub(crate) struct WorkerHandles<M = Accepted> {
    handles: Vec<WorkerHandle<M>>,
    /// The number of workers that run connections, counted from the first.
    active: Arc<AtomicUsize>,
}

impl<M> WorkerHandles<M> {
    /// Workers of which the first `active` run connections.
    pub(crate) fn new(handles: Vec<WorkerHandle<M>>, active: Arc<AtomicUsize>) -> WorkerHandles<M> {
        WorkerHandles { handles, active }
    }

    /// Changes the number of workers that run connections and wakes all, so that they hand over the connections
    /// beyond their share.
    pub(crate) fn set_active(&self, active: usize) {
        self.active.store(active, Relaxed);
        for handle in &self.handles {
            wake(&handle.waker);
        }
    }

    /// The number of connections of each worker.
    #[cfg(test)]
    pub(crate) fn loads(&self) -> Vec<usize> {
        self.handles.iter().map(|h| h.load.load(Relaxed)).collect()
    }

    /// Connections of each active worker if they are shared evenly, the last one having the fewest.
    pub(crate) fn share(&self) -> usize {
        let all: usize = self.handles.iter().map(|h| h.load.load(Relaxed)).sum();
        all.div_ceil(self.active.load(Relaxed).max(1))
    }

    /// Sends a connection to the active worker that has the fewest.
    pub(crate) fn send(&self, connection: M) {
        let least = |handle: &&WorkerHandle<M>| handle.load.load(Relaxed);
        let active = self.handles.iter().take(self.active.load(Relaxed));
        if let Some(handle) = active.min_by_key(least) {
            handle.send(connection);
        }
    }
}

impl<M: From<Accepted> + Send + 'static> Dispatch for WorkerHandles<M> {
    fn dispatch(&self, accepted: Accepted) {
        self.send(accepted.into());
    }
}

impl<M> Drop for WorkerHandles<M> {
    fn drop(&mut self) {
        for handle in self.handles.drain(..) {
            drop(handle.incoming);
            wake(&handle.waker);
        }
    }
}
