//! How connections get from the acceptors to the workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crossbeam_channel::Sender;
use mio::Waker;

use crate::server::{Accepted, Dispatch};

/// How connections reach a worker, and how busy it is.
pub(in crate::proxy) struct Seat {
    pub(super) incoming: Sender<Accepted>,
    pub(in crate::proxy) waker: Arc<Waker>,
    pub(super) load: Arc<AtomicUsize>,
}

/// All workers, as the acceptors see them. When the last acceptor drops it, the workers drain and
/// end.
pub(in crate::proxy) struct Seats(pub(in crate::proxy) Vec<Seat>);

impl Dispatch for Seats {
    /// To the worker that has the fewest clients.
    fn dispatch(&self, accepted: Accepted) {
        let Some(seat) = self.0.iter().min_by_key(|seat| seat.load.load(Relaxed)) else {
            return;
        };
        seat.load.fetch_add(1, Relaxed);
        // A worker ends only when all senders are gone, so it receives this.
        let _ = seat.incoming.send(accepted);
        wake(&seat.waker);
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        for seat in self.0.drain(..) {
            drop(seat.incoming);
            wake(&seat.waker);
        }
    }
}

fn wake(waker: &Waker) {
    if let Err(error) = waker.wake() {
        log::error!("could not wake a worker: {error}; it goes on when one of its clients sends");
    }
}
