//! Results of system calls, with and without TLS.

use std::io::{self, ErrorKind};

/// The result of a read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    /// The number of bytes; 0 at the end of the stream.
    pub(crate) count: usize,
    /// A further read may find bytes, or the end, without an event of the poller.
    pub(crate) more: bool,
}

/// Calls again what a signal has interrupted.
pub(super) fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
