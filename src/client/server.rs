//! One server as the client sees it: its health and its idle connections.
//!
//! ```text
//!   admit ─▶ take: an idle connection that is quiet, or a new one ─▶ send, read ─▶ finish ─┬▶ idle, if it can be used again
//!     │                                                                                    └▶ closed
//!     └▶ error: the server is ejected
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::client::connection::Connection;
use crate::client::error::{Cause, Error};
use crate::client::settings::Settings;
use crate::pool::{HealthChange, Upstream, UpstreamFailure};

/// A server.
#[derive(Debug)]
pub(super) struct Server {
    upstream: Arc<Upstream>,
    pub(super) settings: Arc<Settings>,
    /// The connections that wait for a request; the one used last is used first.
    /// A client of one request shares them.
    idle: Arc<Mutex<Vec<Connection>>>,
    /// The beginning of the times that its health gets.
    started: Instant,
}

impl Server {
    pub(super) fn new(upstream: Arc<Upstream>, settings: Arc<Settings>) -> Server {
        Server {
            upstream,
            settings,
            idle: Arc::default(),
            started: Instant::now(),
        }
    }

    /// The same server with other settings: its health and its connections are shared.
    pub(super) fn with_settings(&self, settings: Settings) -> Server {
        Server {
            upstream: Arc::clone(&self.upstream),
            settings: Arc::new(settings),
            idle: Arc::clone(&self.idle),
            started: self.started,
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.upstream.address
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.upstream.health.is_ejected()
    }

    /// An error that names this server.
    pub(super) fn error(&self, cause: Cause) -> Error {
        Error::new(self.address(), cause)
    }

    /// Lets a request through unless the server is ejected. A request that probes it is let through.
    pub(super) fn admit(&self) -> Result<(), Error> {
        let health = &self.upstream.health;
        match health.is_ejected() && !health.take_probe(self.now()) {
            true => Err(self.error(Cause::Failure(UpstreamFailure::Ejected))),
            false => Ok(()),
        }
    }

    /// A connection for a request that was admitted.
    pub(super) fn take(&self) -> Result<Connection, Error> {
        while let Some(connection) = self.pop_idle() {
            if connection.is_quiet() {
                return Ok(connection);
            }
        }
        let connected = Connection::connect(self.address(), &self.settings);
        connected.map_err(|failure| self.failed(failure))
    }

    /// Counts the outcome of a request, and keeps its connection if it may be used again.
    pub(super) fn finish<T>(
        &self,
        connection: Connection,
        outcome: Result<T, UpstreamFailure>,
    ) -> Result<T, Error> {
        let usable = outcome
            .as_ref()
            .map_or_else(UpstreamFailure::leaves_connection_usable, |_| true);
        if usable {
            self.keep(connection);
        }
        self.count(outcome)
    }

    /// Counts the outcome of a request whose connection is not used again.
    pub(super) fn count<T>(&self, outcome: Result<T, UpstreamFailure>) -> Result<T, Error> {
        if outcome.is_ok() {
            self.answered();
        }
        outcome.map_err(|failure| self.failed(failure))
    }

    fn pop_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.settings.max_idle {
            idle.push(connection);
        }
    }

    fn answered(&self) {
        if self.upstream.health.succeeded() == HealthChange::Back {
            log::info!("{} answers again and is used", self.address());
        }
    }

    /// Counts a failure. An answer that the client can't use shows that the server is up.
    fn failed(&self, failure: UpstreamFailure) -> Error {
        match failure {
            UpstreamFailure::ErrorLine(_)
            | UpstreamFailure::ErrorReply(_)
            | UpstreamFailure::TooLong(_) => self.answered(),
            _ => {
                let health = &self.upstream.health;
                if health.failed(self.now(), self.settings.failures) == HealthChange::Ejected {
                    let address = self.address();
                    log::warn!("{address} {failure}; it is ejected and probed until it answers");
                }
            }
        }
        self.error(Cause::Failure(failure))
    }

    /// Milliseconds, at least 1.
    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64 + 1
    }
}
