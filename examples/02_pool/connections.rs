//! The set of open connections: a connection joins it before it is served, and the set can be closed.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The open connections, and whether new ones may join them.
pub(crate) struct Connections {
    /// One lock for both facts: a connection is in the set before `close` looks, or is refused
    /// after it.
    state: Mutex<State>,
    /// Notified whenever a connection leaves the set.
    left: Condvar,
    /// Connections that may be open at once.
    limit: usize,
}

#[derive(Default)]
struct State {
    closing: bool,
    last: u64,
    open: HashMap<u64, Arc<TcpStream>>,
}

/// A connection's membership in the set; it leaves the set when this is dropped, however the
/// connection ended.
pub(crate) struct Admitted {
    pub(crate) id: u64,
    connections: Arc<Connections>,
}

/// The reason why a connection is not taken.
pub(crate) enum Refused {
    Full,
    Closing,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.connections.lock().open.remove(&self.id);
        self.connections.left.notify_all();
    }
}

impl Connections {
    pub(crate) fn new(limit: usize) -> Connections {
        Connections {
            state: Mutex::default(),
            left: Condvar::new(),
            limit,
        }
    }

    /// Takes a connection into the set, unless it is full or the server is closing.
    pub(crate) fn admit(self: &Arc<Self>, stream: &Arc<TcpStream>) -> Result<Admitted, Refused> {
        let mut state = self.lock();
        if state.closing {
            return Err(Refused::Closing);
        }
        if state.open.len() >= self.limit {
            return Err(Refused::Full);
        }
        state.last += 1;
        let id = state.last;
        state.open.insert(id, Arc::clone(stream));
        Ok(Admitted {
            id,
            connections: Arc::clone(self),
        })
    }

    /// Admits no more, and ends the input of every open connection: requests already read are still
    /// answered.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        for stream in state.open.values() {
            // Fails if the client has disconnected, and then there is nothing to end.
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    /// Waits for all connections together, at most for `grace`, then closes those that are left.
    pub(crate) fn finish(&self, grace: Duration) {
        let (state, _) = self
            .left
            .wait_timeout_while(self.lock(), grace, |state| !state.open.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let left = state.open.len();
        if left > 0 {
            eprintln!("{left} connections did not finish in {grace:?}; closing them");
        }
        for stream in state.open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked held the lock only for whole steps, so the set is intact.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
