//! Why a connection ended, as far as neither its client nor its session ended it.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Why the server ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// Nothing passed for longer than the idle timeout.
    Idle,
    /// The socket had an error.
    Lost,
}

/// The reason of one connection, in a byte.
#[derive(Default)]
pub(super) struct ConnectionEnd(AtomicU8);

impl ConnectionEnd {
    const IDLE: u8 = 1;
    const LOST: u8 = 2;

    pub(super) fn reason(&self) -> Option<EndReason> {
        match self.0.load(Relaxed) {
            Self::IDLE => Some(EndReason::Idle),
            Self::LOST => Some(EndReason::Lost),
            _ => None,
        }
    }

    /// Notes the error that ends the connection.
    pub(super) fn note(&self, error: &io::Error) {
        let reason = match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::IDLE,
            _ => Self::LOST,
        };
        self.0.store(reason, Relaxed);
    }
}
