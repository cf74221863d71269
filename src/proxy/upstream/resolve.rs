//! Names of upstreams into addresses, looked up anew for each connection and never on a worker.
//!
//! An address in digits needs no lookup. A name is looked up by the system on one of a few threads
//! of its own, which may take as long as it likes; the worker's connect deadline runs meanwhile, and
//! an answer that comes too late is dropped.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use crossbeam_channel::Sender;
use mio::Waker;
use threadpool::ThreadPool;

/// Lookups that may be under way at once; further ones wait for their turn.
const THREADS: usize = 4;

/// An answer, on its way back to the worker that asked.
pub(in crate::proxy) struct Lookup {
    /// The worker's number for the connection.
    pub(in crate::proxy) link: usize,
    /// Tells the connection from another that has got the same number since.
    pub(in crate::proxy) serial: u64,
    pub(in crate::proxy) found: io::Result<Vec<SocketAddr>>,
}

/// The threads that look names up.
#[derive(Clone)]
pub(in crate::proxy) struct Resolver {
    threads: ThreadPool,
}

impl Resolver {
    pub(in crate::proxy) fn new() -> Resolver {
        Resolver {
            threads: threadpool::Builder::new()
                .num_threads(THREADS)
                .thread_name("name lookup".to_owned())
                .build(),
        }
    }

    /// Looks `name` up and sends the answer.
    pub(in crate::proxy) fn look_up(
        &self,
        name: String,
        (link, serial): (usize, u64),
        answers: Sender<Lookup>,
        waker: Arc<Waker>,
    ) {
        self.threads.execute(move || {
            let found = name.to_socket_addrs().map(Iterator::collect);
            let lookup = Lookup {
                link,
                serial,
                found,
            };
            // An error means that the worker has ended and wants no answer.
            if answers.send(lookup).is_ok()
                && let Err(error) = waker.wake()
            {
                log::error!("could not wake a worker: {error}; it looks at its next deadline");
            }
        });
    }
}
