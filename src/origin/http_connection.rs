//! A connection to an HTTP server: the socket of `upstream`, with its lookup, its deadlines and its TLS, as the client of HTTP uses
//! it.
//!
//! Invariant: a reset is never taken for the end of a body, which an end of the stream may be.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ureq::Error;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use crate::pool::UpstreamFailure;
use crate::server::ClientTls;
use crate::upstream::BlockingStream;

thread_local! {
    /// Whether this thread has made a connection for its current request. The client does all of a request on the thread that asks.
    static HAS_CONNECTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a request, and says whether it made a connection or used only such as were idle.
pub(super) fn noting_connects<T>(request: impl FnOnce() -> T) -> (T, bool) {
    HAS_CONNECTED.set(false);
    let result = request();
    (result, HAS_CONNECTED.get())
}

/// Looks up nothing: the client would do it for each request, also for one on an open connection.
#[derive(Debug)]
pub(super) struct NoLookup;

impl Resolver for NoLookup {
    fn resolve(
        &self,
        _: &Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

/// Makes connections.
#[derive(Debug)]
pub(super) struct HttpConnector {
    tls: Option<Arc<ClientTls>>,
}

impl HttpConnector {
    /// With TLS for URLs of https.
    pub(super) fn new(tls: Option<Arc<ClientTls>>) -> HttpConnector {
        HttpConnector { tls }
    }
}

impl Connector for HttpConnector {
    type Out = HttpConnection;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<HttpConnection>, Error> {
        HAS_CONNECTED.set(true);
        let (port, tls) = match details.needs_tls() {
            true => (443, self.tls.as_deref()),
            false => (80, None),
        };
        let host = details.uri.host().unwrap_or_default();
        let port = details.uri.port_u16().unwrap_or(port);
        let name = format!("{host}:{port}");
        let connected = BlockingStream::connect(&name, tls, limit(details.timeout));
        let stream = connected.map_err(|failure| error(&name, failure, details.timeout))?;
        Ok(Some(HttpConnection {
            name,
            stream,
            buffers: LazyBuffers::new(
                details.config.input_buffer_size(),
                details.config.output_buffer_size(),
            ),
        }))
    }
}

/// A connection, and the bytes that are on their way through it.
#[derive(Debug)]
pub(super) struct HttpConnection {
    name: String,
    stream: BlockingStream,
    buffers: LazyBuffers,
}

impl Transport for HttpConnection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let bytes = &self.buffers.output()[..amount];
        let sent = self.stream.send(bytes, limit(timeout));
        sent.map_err(|failure| error(&self.name, failure, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let into = self.buffers.input_append_buf();
        let received = self.stream.receive_or_end(into, limit(timeout));
        let count = received.map_err(|failure| error(&self.name, failure, timeout))?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.is_quiet()
    }

    fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }
}

/// The failure of a connection, with the server's name.
#[derive(Debug)]
struct ConnectionFailure(String);

impl fmt::Display for ConnectionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConnectionFailure {}

fn error(name: &str, failure: UpstreamFailure, timeout: NextTimeout) -> Error {
    match failure {
        UpstreamFailure::ConnectDeadline(_)
        | UpstreamFailure::ReadDeadline(_)
        | UpstreamFailure::WriteDeadline(_) => Error::Timeout(timeout.reason),
        failure => Error::Other(Box::new(ConnectionFailure(format!("{name} {failure}")))),
    }
}

/// The time that a step has.
fn limit(timeout: NextTimeout) -> Duration {
    *timeout.after
}
