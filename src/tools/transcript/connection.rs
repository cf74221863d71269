//! A connection of a transcript while it is replayed.

use std::io;
use std::time::{Duration, Instant};

use super::difference::Mismatch;
use super::target::{Connection, Received, Target};

/// One of the transcript's connections.
#[derive(Default)]
pub(super) struct ConnectionState {
    connection: Option<Box<dyn Connection>>,
    /// Bytes that arrived and were not yet compared.
    pub(super) arrived: Vec<u8>,
    /// The server has closed it.
    ended: bool,
    /// The bytes that the present exchange sent here, for the report.
    pub(super) sent: Vec<u8>,
    /// The last line of the file that names it, for the report.
    pub(super) line: usize,
}

impl ConnectionState {
    /// The connection, opened if it is not yet.
    pub(super) fn connection(&mut self, target: &dyn Target) -> io::Result<&mut dyn Connection> {
        match &mut self.connection {
            Some(connection) => Ok(connection.as_mut()),
            none => Ok(none.insert(target.connect()?).as_mut()),
        }
    }

    /// Whether it was opened, and not closed by the server.
    pub(super) fn is_open(&self) -> bool {
        self.connection.is_some() && !self.ended
    }

    /// Reads until the bytes that have arrived are `done`.
    pub(super) fn fill(
        &mut self,
        target: &dyn Target,
        patience: Duration,
        mut done: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Mismatch> {
        if let Err(error) = self.connection(target) {
            return Err(Mismatch::Broken(error.to_string()));
        }
        let deadline = Instant::now() + patience;
        loop {
            if done(&self.arrived) {
                return Ok(());
            }
            let Some(connection) = self.connection.as_mut().filter(|_| !self.ended) else {
                return Err(Mismatch::Closed);
            };
            match connection.read(deadline.saturating_duration_since(Instant::now())) {
                Ok(Received::Bytes(bytes)) => self.arrived.extend_from_slice(&bytes),
                Ok(Received::End) => self.ended = true,
                Ok(Received::Nothing) => return Err(Mismatch::Silence(patience)),
                Err(error) => return Err(Mismatch::Broken(error.to_string())),
            }
        }
    }
}
