//! The origin `http`: a server that is asked by GET for the URL of each key.
//!
//! ```text
//!   http://127.0.0.1:8000/items/{key}      the key, percent-encoded, where `{key}` stands
//!   200             the body is the value, to the byte
//!   404, 410        the origin doesn't have the key
//!   3xx             followed, at most MOST_REDIRECTS times
//!   any other       an error
//! ```
//!
//! Every byte of the key but letters, digits and `-._~` is encoded, so a key can't change the path, add a parameter, or name another
//! host. The keys `.` and `..`, which would be other paths without being changed, are an error.
//!
//! A connection is used again, as often as the server lets it be. A server may close one that is idle at the very moment at which it is
//! used, so a request that fails on such a connection is sent once more, on a new one. The deadline of a fetch bounds everything: the lookup of the
//! name, the connect, TLS, redirects and the body. A body is read up to the limit of an item and no further. Lifetimes in the
//! response (`Cache-Control`) don't count: [`Settings::fresh`](super::Settings) does.
//!
//! Cost: a round trip for each fetch, and up to 64 KiB of buffers for each connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use ureq::http::Uri;
use ureq::{Agent, Error};

use crate::server::ClientTls;

use super::http_connection::{HttpConnector, NoLookup, noting_connects};
use super::source::{FetchError, FetchRequest, Fetched, Origin};

/// The place of the key in the URL.
const PLACE: &str = "{key}";

/// The bytes of a key that are encoded: all but those that RFC 3986 calls unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Redirects of one fetch.
const MOST_REDIRECTS: u32 = 5;

/// Bytes of each buffer of a connection. A response's header has to fit, and a request with the longest key.
const BUFFER: usize = 32 << 10;

/// A server that is asked over HTTP for each value.
///
/// ```
/// use larder::origin::HttpOrigin;
///
/// assert!(HttpOrigin::new("http://127.0.0.1:8000/items/{key}").is_ok());
/// assert!(HttpOrigin::new("http://127.0.0.1:8000/items").is_err());
/// ```
#[derive(Debug)]
pub struct HttpOrigin {
    url: String,
    agent: Agent,
}

/// A URL that an [`HttpOrigin`] can't use, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidUrl(String);

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidUrl {}

impl HttpOrigin {
    /// The server at this `http://` URL, which has `{key}` in its path or its query.
    ///
    /// # Errors
    /// When the URL can't be used.
    pub fn new(url: &str) -> Result<HttpOrigin, InvalidUrl> {
        HttpOrigin::with(url, None)
    }

    /// The same, for an `https://` URL.
    ///
    /// # Errors
    /// When the URL can't be used.
    #[cfg(feature = "tls")]
    pub fn with_tls(url: &str, tls: Arc<ClientTls>) -> Result<HttpOrigin, InvalidUrl> {
        HttpOrigin::with(url, Some(tls))
    }

    fn with(url: &str, tls: Option<Arc<ClientTls>>) -> Result<HttpOrigin, InvalidUrl> {
        let invalid = |why: &str| Err(InvalidUrl(format!("`{url}` {why}")));
        let is_https = url.starts_with("https://");
        let rest = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"));
        let Some(rest) = rest else {
            return invalid("is not a URL; write http://HOST:PORT/PATH/{key}");
        };
        if is_https && tls.is_none() {
            return invalid("needs the authorities of the server's certificate");
        }
        if !is_https && tls.is_some() {
            return invalid("is without TLS; write https://");
        }
        let host_ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(host_ends);
        if host.contains('@') {
            return invalid("has a user; larder sends no login over HTTP");
        }
        if !path.contains(PLACE) || host.contains(PLACE) || path.contains('#') {
            return invalid("has to have {key} in its path or its query, and no #");
        }
        if url.replace(PLACE, "key").parse::<Uri>().is_err() {
            return invalid("is not a URL; write http://HOST:PORT/PATH/{key}");
        }
        let settings = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(is_https)
            // Not from the environment: an origin is a server that the settings name.
            .proxy(None)
            .max_redirects(MOST_REDIRECTS)
            .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")))
            .input_buffer_size(BUFFER)
            .output_buffer_size(BUFFER)
            // A header that fills the buffer is too long.
            .max_response_header_size(BUFFER - 1)
            // As many as fetch threads use at a time.
            .max_idle_connections(usize::MAX)
            .max_idle_connections_per_host(usize::MAX)
            .build();
        Ok(HttpOrigin {
            url: url.to_owned(),
            agent: Agent::with_parts(settings, HttpConnector::new(tls), NoLookup),
        })
    }

    /// Asks for a key, again if a connection that was idle has failed. `Ok(None)` is a missing key.
    fn ask(&self, request: &FetchRequest<'_>) -> Result<Option<Vec<u8>>, AskError> {
        let left = request.time_left()?;
        match noting_connects(|| self.ask_once(request, left)) {
            (Err(AskError::Http(Error::Io(_) | Error::Other(_))), false) => {
                self.ask_once(request, request.time_left()?)
            }
            (asked, _) => asked,
        }
    }

    fn ask_once(
        &self,
        request: &FetchRequest<'_>,
        left: Duration,
    ) -> Result<Option<Vec<u8>>, AskError> {
        let key = percent_encode(request.key, ENCODED).to_string();
        let asked = self.agent.get(self.url.replace(PLACE, &key));
        let asked = asked.config().timeout_global(Some(left)).build();
        let mut response = asked.call()?;
        match response.status().as_u16() {
            200 => {}
            404 | 410 => return Ok(None),
            status => {
                return Err(AskError::Fetch(FetchError::Error(format!(
                    "status {status}"
                ))));
            }
        }
        let body = response.body_mut();
        if let Some(length) = body.content_length() {
            request.check_length(usize::try_from(length).unwrap_or(usize::MAX))?;
        }
        let limit = request.max_value as u64;
        Ok(Some(body.with_config().limit(limit).read_to_vec()?))
    }
}

/// Why there is no answer.
enum AskError {
    Http(Error),
    Fetch(FetchError),
}

impl From<Error> for AskError {
    fn from(error: Error) -> AskError {
        AskError::Http(error)
    }
}

impl From<FetchError> for AskError {
    fn from(error: FetchError) -> AskError {
        AskError::Fetch(error)
    }
}

impl Origin for HttpOrigin {
    fn fetch(&self, request: &FetchRequest<'_>) -> Result<Option<Fetched>, FetchError> {
        if matches!(request.key, b"." | b"..") {
            return Err(FetchError::Error("the key is a relative path".into()));
        }
        let value = self.ask(request).map_err(|error| match error {
            AskError::Fetch(error) => error,
            AskError::Http(error) => fetch_error(&error, request),
        })?;
        Ok(value.map(Fetched::from))
    }

    fn describe(&self) -> String {
        format!("http {}", self.url)
    }
}

fn fetch_error(error: &Error, request: &FetchRequest<'_>) -> FetchError {
    match error {
        Error::Timeout(_) => FetchError::TimedOut,
        Error::BodyExceedsLimit(_) => FetchError::TooLarge(request.max_value),
        // The connection's own failures, and its end before that of the response.
        Error::Other(_) | Error::Io(_) if request.time_left().is_err() => FetchError::TimedOut,
        Error::Other(why) => FetchError::Unavailable(why.to_string()),
        Error::Io(why) => FetchError::Unavailable(why.to_string()),
        _ => FetchError::Error(error.to_string()),
    }
}
