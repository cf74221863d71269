//! The addresses of upstreams' names, looked up anew for each connection and never on a worker.
//!
//! An address in digits needs no lookup. The system looks a name up on one of a few separate
//! threads, without a time limit; the worker's connect deadline runs meanwhile, and an answer that
//! comes too late is dropped.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use crossbeam_channel::Sender;
use mio::Waker;
use threadpool::ThreadPool;

/// Lookups that may be under way at once; further ones wait for their turn.
const THREADS: usize = 4;

/// An answer, on its way back to the worker that asked.
pub(crate) struct ResolvedName {
    /// The worker's number for the connection.
    pub(crate) connection: usize,
    /// Distinguishes the connection from a later one with the same number.
    pub(crate) serial: u64,
    pub(crate) found: io::Result<Vec<SocketAddr>>,
}

/// The lookup of a name.
type AddressLookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// The threads that look names up.
#[derive(Clone)]
pub(crate) struct Resolver {
    threads: ThreadPool,
    ask: Arc<AddressLookup>,
}

impl Resolver {
    /// Asks the system.
    pub(crate) fn new() -> Resolver {
        Resolver::asking(|name| name.to_socket_addrs().map(Iterator::collect))
    }

    fn asking(
        ask: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Resolver {
        Resolver {
            ask: Arc::new(ask),
            threads: threadpool::Builder::new()
                .num_threads(THREADS)
                .thread_name("name lookup".to_owned())
                .build(),
        }
    }

    /// Looks `name` up and sends the answer.
    pub(crate) fn look_up(
        &self,
        name: String,
        (connection, serial): (usize, u64),
        answers: Sender<ResolvedName>,
        waker: Arc<Waker>,
    ) {
        let ask = Arc::clone(&self.ask);
        self.threads.execute(move || {
            let found = ask(&name);
            let lookup = ResolvedName {
                connection,
                serial,
                found,
            };
            // An error means that the worker has ended and needs no answer.
            if answers.send(lookup).is_ok()
                && let Err(error) = waker.wake()
            {
                log::error!("could not wake a worker: {error}; it continues at its next deadline");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
    use std::time::Duration;

    use mio::{Poll, Token};

    use super::*;

    #[test]
    fn a_name_is_looked_up_anew_for_each_connection() {
        let asked = AtomicU16::new(0);
        // Another address each time, as when a server has moved.
        let resolver = Resolver::asking(move |name| {
            assert_eq!(name, "cache.example:11211");
            let port = asked.fetch_add(1, Relaxed);
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        });
        let poll = Poll::new().expect("a poller");
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).expect("a waker"));
        let (sender, answers) = crossbeam_channel::unbounded();
        for port in 0..3 {
            resolver.look_up(
                "cache.example:11211".to_owned(),
                (7, u64::from(port)),
                sender.clone(),
                Arc::clone(&waker),
            );
            let lookup = answers
                .recv_timeout(Duration::from_secs(60))
                .expect("an answer");
            assert_eq!((lookup.connection, lookup.serial), (7, u64::from(port)));
            let found = lookup.found.expect("an address");
            assert_eq!(found, [SocketAddr::from(([127, 0, 0, 1], port))]);
        }
    }
}
