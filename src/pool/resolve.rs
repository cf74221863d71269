//! The addresses of upstreams' names, looked up anew for each connection and never on a worker.
//!
//! ```text
//!   name ─▶ in digits? ────────────────────────────────▶ its address, at once
//!           being looked up? ─▶ wait for that answer
//!           else ─▶ a thread: getaddrinfo ─▶ the answer ─▶ all that wait for this name
//! ```
//!
//! The system's lookup can't be given a time limit. Its settings bound it: by resolv.conf's defaults, two attempts of 5 s for each name
//! server. So it runs on a thread, and the deadline of the connection that asked for it runs meanwhile. An answer that comes too
//! late is dropped.
//!
//! Cost: a thread for each name that is being looked up, so that a name whose lookup hangs delays no other.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Sender;
use mio::Waker;

use crate::pool::UpstreamFailure;

/// The addresses of a name, or the reason why there are none.
pub(crate) type Addresses = Result<Vec<SocketAddr>, String>;

/// An answer, on its way back to the worker that asked.
pub(crate) struct ResolvedName {
    /// The worker's number for the connection.
    pub(crate) connection: usize,
    /// Distinguishes the connection from a later one with the same number.
    pub(crate) serial: u64,
    pub(crate) found: Addresses,
}

/// The lookup of a name.
type AddressLookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Takes an answer.
type Waiter = Box<dyn FnOnce(Addresses) + Send>;

/// The lookups that are under way.
#[derive(Clone)]
pub(crate) struct Resolver {
    ask: Arc<AddressLookup>,
    /// For each name that is being looked up, those that wait for the answer.
    waiting: Arc<Mutex<HashMap<String, Vec<Waiter>>>>,
}

impl Resolver {
    /// Asks the system. All of the program's resolvers share their lookups.
    pub(crate) fn new() -> Resolver {
        static SYSTEM: LazyLock<Resolver> = LazyLock::new(|| {
            Resolver::asking(|name| name.to_socket_addrs().map(Iterator::collect))
        });
        SYSTEM.clone()
    }

    fn asking(
        ask: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Resolver {
        Resolver {
            ask: Arc::new(ask),
            waiting: Arc::default(),
        }
    }

    /// Looks `name` up and sends the answer.
    pub(crate) fn look_up(
        &self,
        name: &str,
        (connection, serial): (usize, u64),
        answers: Sender<ResolvedName>,
        waker: Arc<Waker>,
    ) {
        self.find(name, move |found| {
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

    /// Looks `name` up and waits for the answer, but no longer than `limit`.
    ///
    /// # Errors
    /// When the lookup fails or takes too long.
    pub(crate) fn look_up_within(
        &self,
        name: &str,
        limit: Duration,
    ) -> Result<Vec<SocketAddr>, UpstreamFailure> {
        let (sender, answer) = crossbeam_channel::bounded(1);
        self.find(name, move |found| {
            // An error means that the answer is too late.
            let _ = sender.send(found);
        });
        let found = answer.recv_timeout(limit);
        let found = found.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")));
        found.map_err(UpstreamFailure::Unknown)
    }

    fn find(&self, name: &str, waiter: impl FnOnce(Addresses) + Send + 'static) {
        if let Ok(address) = name.parse() {
            return waiter(Ok(vec![address]));
        }
        {
            let mut waiting = self.lock();
            if let Some(others) = waiting.get_mut(name) {
                return others.push(Box::new(waiter));
            }
            waiting.insert(name.to_owned(), vec![Box::new(waiter)]);
        }
        let (resolver, asked) = (self.clone(), name.to_owned());
        let thread = thread::Builder::new().name("name lookup".to_owned());
        let started = thread.spawn(move || {
            let found = (resolver.ask)(&asked);
            resolver.answer(&asked, found.map_err(|error| error.to_string()));
        });
        if let Err(error) = started {
            self.answer(name, Err(format!("no thread for the lookup: {error}")));
        }
    }

    /// Gives an answer to all that wait for it. A connection that asks from now on causes a new lookup.
    fn answer(&self, name: &str, found: Addresses) {
        let waiters = self.lock().remove(name);
        for waiter in waiters.into_iter().flatten() {
            waiter(found.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Waiter>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
    use std::time::Duration;

    use crossbeam_channel::{bounded, unbounded};
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
                "cache.example:11211",
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

    #[test]
    fn a_lookup_that_hangs_ends_at_its_deadline_and_delays_no_other_name() {
        const PATIENCE: Duration = Duration::from_secs(60);
        let (release, released) = bounded::<()>(0);
        let (begin, begun) = unbounded();
        let resolver = Resolver::asking(move |name| match name {
            "hangs:1" => {
                let _ = begin.send(());
                // Until the test drops the other end.
                let _ = released.recv();
                Ok(vec![SocketAddr::from(([127, 0, 0, 1], 1))])
            }
            _ => Ok(vec![SocketAddr::from(([127, 0, 0, 1], 2))]),
        });
        for _ in 0..3 {
            let late = resolver.look_up_within("hangs:1", Duration::from_millis(10));
            let late = late.expect_err("it hangs").to_string();
            assert_eq!(late, "can't be resolved: no answer within 10ms");
        }
        for name in ["other:2", "127.0.0.1:2"] {
            let found = resolver.look_up_within(name, PATIENCE).expect("an address");
            assert_eq!(found, [SocketAddr::from(([127, 0, 0, 1], 2))], "{name}");
        }
        begun.recv_timeout(PATIENCE).expect("a lookup");
        assert!(begun.is_empty(), "one lookup of a name at a time");
        drop(release);
        let found = resolver.look_up_within("hangs:1", PATIENCE);
        let expected = [SocketAddr::from(([127, 0, 0, 1], 1))];
        assert_eq!(found.expect("an address"), expected);
    }
}
