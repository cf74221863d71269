//! How connections get from the acceptors to the workers, and what a worker does when it is woken.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crossbeam_channel::{Sender, TryRecvError};
use mio::Waker;

use crate::protocol::framing::request::Cutter;
use crate::proxy::client::Client;
use crate::proxy::settings::Protocol;
use crate::proxy::worker::{Worker, client_token, queue, register};
use crate::server::{Accepted, Dispatch};

/// How connections reach a worker, and how busy it is.
pub(crate) struct Seat {
    pub(super) incoming: Sender<Accepted>,
    pub(crate) waker: Arc<Waker>,
    pub(super) load: Arc<AtomicUsize>,
}

/// All workers, as the acceptors see them. When the last acceptor drops it, the workers drain and
/// end.
pub(crate) struct Seats(pub(crate) Vec<Seat>);

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

impl Worker {
    /// Takes in what other threads sent.
    pub(super) fn receive(&mut self) {
        self.recorded();
        while let Ok(lookup) = self.answers.1.try_recv() {
            self.resolved(lookup);
        }
        loop {
            match self.incoming.try_recv() {
                Ok(accepted) => {
                    if let Err(error) = self.take_in(accepted) {
                        self.load.fetch_sub(1, Relaxed);
                        log::warn!("a connection was lost at once: {error}");
                    }
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => break,
            }
        }
        self.draining = true;
        // Everyone has one more turn: it forwards what has arrived, and ends those with nothing in
        // flight.
        for (key, client) in &mut self.clients {
            queue(&mut self.ready, key, client);
        }
    }

    fn take_in(&mut self, Accepted { stream, active }: Accepted) -> io::Result<()> {
        stream.set_nonblocking()?;
        let slot = self.clients.vacant_entry();
        let key = slot.key();
        register(&self.poll, &stream, client_token(key))?;
        let cutter = match self.shared.settings.protocol {
            Protocol::Memcached => Cutter::memcached(),
            Protocol::Resp => Cutter::resp(),
        };
        let admitted = self.shared.password.is_none();
        let client = slot.insert(Client::new(stream, active, cutter, admitted));
        queue(&mut self.ready, key, client);
        Ok(())
    }
}
