//! The target of a replay: it opens connections and lets time pass.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::store::Clock;

/// A server, in this process or behind a socket.
pub trait Target {
    /// Opens a connection.
    fn connect(&self) -> io::Result<Box<dyn Connection>>;

    /// Its clock.
    fn time(&self) -> &dyn Time;
}

/// One connection, seen by the client.
pub trait Connection {
    /// Sends `bytes` in one write.
    ///
    /// A connection closed by the server is no error here: its last bytes are still to be read.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Gives the server a moment to read the bytes sent so far. Kernels join writes that follow
    /// each other quickly, so a byte for each write would not be a byte for each read.
    fn pause(&mut self) {}

    /// Shuts the sending side down.
    fn finish(&mut self) -> io::Result<()>;

    /// The bytes that have arrived since the last call; waits up to `patience` for the first.
    fn read(&mut self, patience: Duration) -> io::Result<Received>;
}

/// The result of [`Connection::read`].
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// Bytes, at least one.
    Bytes(Vec<u8>),
    /// No bytes yet.
    Nothing,
    /// The server has closed the connection.
    End,
}

/// A server's clock.
pub trait Time {
    /// The time there, in Unix milliseconds.
    fn now_ms(&self) -> u64;

    /// Whether [`pass`](Time::pass) can let `by` pass.
    fn can_pass(&self, by: Duration) -> bool;

    /// Lets `by` pass.
    fn pass(&self, by: Duration);
}

/// The time of this machine: letting it pass is waiting.
#[derive(Debug, Clone, Copy)]
pub struct RealTime {
    /// The longest wait that is allowed.
    pub at_most: Duration,
}

/// The extra time waited beyond the time asked for. memcached's clock ticks once a second, and a
/// tick may be late.
pub(super) const LATE: Duration = Duration::from_millis(100);

impl Time for RealTime {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn can_pass(&self, by: Duration) -> bool {
        by <= self.at_most
    }

    fn pass(&self, by: Duration) {
        std::thread::sleep(by + LATE);
    }
}

/// A store's clock: a manual one is moved, the system's can't be.
impl Time for Clock {
    fn now_ms(&self) -> u64 {
        Clock::now_ms(self)
    }

    fn can_pass(&self, _by: Duration) -> bool {
        matches!(self, Clock::Manual(_))
    }

    fn pass(&self, by: Duration) {
        self.advance(by);
    }
}
