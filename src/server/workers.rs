//! How an acceptor reaches a worker that runs many connections with one poller.
//!
//! ```text
//!   acceptor ─▶ WorkerHandles::dispatch ─▶ WorkerHandle ──channel, waker──▶ WorkerInbox ─▶ worker
//!                (fewest connections)        └─ load ◀── connection_ended ──────┘
//! ```
//!
//! The server's turns and the proxy's workers both receive their connections this way. A connection
//! costs one send and one write to the worker's waker.
//!
//! Invariants: a worker ends only after all its handles are dropped, so a connection that was sent is
//! received. The handles are dropped together with the last acceptor; the dropping wakes each worker,
//! which then reads [`Received::Stopping`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use mio::{Registry, Token, Waker};

use super::acceptor::{Accepted, Dispatch};

/// The acceptors' end of a worker.
pub(crate) struct WorkerHandle {
    incoming: Sender<Accepted>,
    waker: Arc<Waker>,
    load: Arc<AtomicUsize>,
}

/// The worker's end: connections that acceptors sent.
pub(crate) struct WorkerInbox {
    incoming: Receiver<Accepted>,
    /// Kept, because a wake that is under way is lost when the last waker is dropped.
    waker: Arc<Waker>,
    /// How many connections the worker runs or was sent.
    load: Arc<AtomicUsize>,
}

/// A message to a worker.
pub(crate) enum Received {
    Connection(Accepted),
    Nothing,
    /// The acceptors have ended: nothing more will come.
    Stopping,
}

/// The two ends of a new worker, whose poller reports a wake under `token`.
pub(crate) fn worker_channel(
    registry: &Registry,
    token: Token,
) -> io::Result<(WorkerHandle, WorkerInbox)> {
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

impl WorkerHandle {
    /// The waker of the worker.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    fn send(&self, accepted: Accepted) {
        self.load.fetch_add(1, Relaxed);
        // A worker ends only when all senders are gone, so it receives this.
        let _ = self.incoming.send(accepted);
        wake(&self.waker);
    }
}

impl WorkerInbox {
    /// The next connection. Every connection that is received ends with
    /// [`connection_ended`](WorkerInbox::connection_ended).
    pub(crate) fn receive(&self) -> Received {
        match self.incoming.try_recv() {
            Ok(accepted) => Received::Connection(accepted),
            Err(TryRecvError::Empty) => Received::Nothing,
            Err(TryRecvError::Disconnected) => Received::Stopping,
        }
    }

    /// The worker has one connection less.
    pub(crate) fn connection_ended(&self) {
        self.load.fetch_sub(1, Relaxed);
    }

    /// The waker of the worker.
    pub(crate) fn waker(&self) -> &Arc<Waker> {
        &self.waker
    }
}

/// All workers of a server, as its acceptors see them.
pub(crate) struct WorkerHandles(pub(crate) Vec<WorkerHandle>);

impl Dispatch for WorkerHandles {
    /// To the worker that has the fewest connections.
    fn dispatch(&self, accepted: Accepted) {
        let least = |handle: &&WorkerHandle| handle.load.load(Relaxed);
        if let Some(handle) = self.0.iter().min_by_key(least) {
            handle.send(accepted);
        }
    }
}

impl Drop for WorkerHandles {
    fn drop(&mut self) {
        for handle in self.0.drain(..) {
            drop(handle.incoming);
            wake(&handle.waker);
        }
    }
}

fn wake(waker: &Waker) {
    if let Err(error) = waker.wake() {
        log::error!("could not wake a worker: {error}; it goes on when one of its clients sends");
    }
}
