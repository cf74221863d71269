//! The health of a server: ejected after errors in a row, probed with growing pauses, in use again after an answer.
//!
//! ```text
//!            error, error, error
//!    in use ─────────────────────▶ ejected ◀─┐ the probe fails:
//!    ▲                                │      │ the pause doubles
//!    └────── the probe is answered ─ probe ──┘
//! ```

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// Errors in a row that eject a server.
const FAILURES: u32 = 3;
/// The pause before the first probe, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The health of a server.
pub(crate) struct Health {
    address: Arc<str>,
    /// The deadline of connecting, of a write to a server that doesn't read, and of the silence of
    /// a server that owes a reply.
    pub(crate) deadline: Duration,
    /// Errors since the last reply.
    failures: AtomicU32,
    ejected: AtomicBool,
}

impl Health {
    pub(crate) fn new(address: Arc<str>, deadline: Duration) -> Health {
        Health {
            address,
            deadline,
            failures: AtomicU32::new(0),
            ejected: AtomicBool::new(false),
        }
    }

    pub(crate) fn is_ejected(&self) -> bool {
        self.ejected.load(Relaxed)
    }

    /// A reply has come: the count of errors starts again.
    pub(crate) fn answered(&self) {
        self.failures.store(0, Relaxed);
    }

    /// Connecting failed, or a connection ended while a reply was due. After the third failure
    /// in a row, the server is ejected.
    pub(crate) fn failed(self: &Arc<Self>) {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        // Of several threads that see errors at the same time, one ejects it.
        if failures >= FAILURES && !self.ejected.swap(true, Relaxed) {
            eprintln!(
                "{} is ejected after errors in a row; probing it",
                self.address
            );
            let health = Arc::clone(self);
            if thread::Builder::new()
                .spawn(move || health.probe())
                .is_err()
            {
                // Without a thread there is no probe, so the server stays in use.
                self.ejected.store(false, Relaxed);
            }
        }
    }

    /// Probes the server, with growing pauses, until it answers.
    fn probe(&self) {
        for probes in 0.. {
            thread::sleep(pause(probes));
            if self.answers().unwrap_or(false) {
                break;
            }
        }
        self.failures.store(0, Relaxed);
        self.ejected.store(false, Relaxed);
        eprintln!("{} is back", self.address);
    }

    /// Whether it answers a command. An accepted connection proves nothing: the kernel accepts
    /// connections for a process that hangs.
    fn answers(&self) -> io::Result<bool> {
        let address = self.address.to_socket_addrs()?.next();
        let address = address.ok_or(io::ErrorKind::NotFound)?;
        let mut stream = TcpStream::connect_timeout(&address, self.deadline)?;
        stream.set_read_timeout(Some(self.deadline))?;
        stream.write_all(b"version\r\n")?;
        let mut reply = [0; 8];
        stream.read_exact(&mut reply)?;
        Ok(&reply == b"VERSION ")
    }
}

/// The pause before a probe, more or less by up to a quarter: proxies that have lost the same
/// server don't all probe it at the same moment.
fn pause(probes: u32) -> Duration {
    let pause = (FIRST_PAUSE * 2u32.pow(probes.min(10))).min(LONGEST_PAUSE);
    let random = RandomState::new().hash_one(probes) % 1001;
    pause * 3 / 4 + pause / 2 * random as u32 / 1000
}
