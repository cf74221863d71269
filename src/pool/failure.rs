//! The failures of a connection to an upstream, the texts for clients, and the failures that a
//! connection survives.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::protocol::memcached::text::reply;

/// Errors that memcached sends when it has taken the whole request.
const WHOLE_ANSWERS: [&[u8]; 3] = [
    reply::TOO_LARGE,
    reply::OUT_OF_MEMORY_STORING,
    reply::NON_NUMERIC,
];

/// The reason why a request gets an error of the proxy instead of its answer.
#[derive(Debug)]
pub(crate) enum UpstreamFailure {
    /// Its name has no address, or the lookup failed.
    Unknown(String),
    /// No connection could be made.
    Refused(io::Error),
    /// A connection took longer than its deadline.
    ConnectDeadline(Duration),
    /// The upstream was silent for longer than its deadline.
    ReadDeadline(Duration),
    /// The upstream accepted no more bytes of the request until the deadline.
    WriteDeadline(Duration),
    /// The upstream closed the connection while an answer was due.
    Closed,
    /// The connection broke.
    Lost(io::Error),
    /// The bytes received break the protocol.
    Garbage,
    /// The bytes received can't be the reply to the request: the connection is out of step.
    OutOfStep,
    /// The reply is well-formed, but not one of this request's.
    Unexpected(String),
    /// It answered with this line, which is an error.
    ErrorLine(String),
    /// It answered with this error of RESP.
    ErrorReply(String),
    /// The reply has a value of more bytes than this limit.
    TooLong(usize),
    /// It refused the login, with this text.
    Login(String),
    /// It answers memcached's binary protocol with something else.
    NotBinary,
    /// It is ejected and will be flushed, so requests sent before must not be executed.
    Abandoned,
    /// It is ejected, so the request was not sent.
    Ejected,
    /// The limit of dedicated connections, this many, is reached.
    Full(usize),
    /// It redirects a request that has been redirected this often.
    Redirected(u8),
}

impl UpstreamFailure {
    /// The failure for an error of the connection. A reset, on reading or writing, counts as a close.
    pub(crate) fn lost(error: io::Error) -> UpstreamFailure {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => UpstreamFailure::Closed,
            _ => UpstreamFailure::Lost(error),
        }
    }

    /// The failure for a reply that is not one of the request's.
    pub(crate) fn unexpected(reply: &[u8]) -> UpstreamFailure {
        let start = &reply.trim_ascii_end()[..reply.trim_ascii_end().len().min(100)];
        UpstreamFailure::Unexpected(start.escape_ascii().to_string())
    }

    // ANCHOR: usable
    /// The one predicate that decides whether the connection may be used again.
    ///
    /// After most failures the position in the stream of answers is unknown, and the next answer
    /// could be another client's. Only a request that was refused before any byte was sent, or by a
    /// whole answer, leaves the connection usable. An error of RESP is one. An error line is a whole answer only if memcached sends it after it has
    /// taken the whole request: after others it may read the value of a `set` as a command, or close the connection.
    pub(crate) fn leaves_connection_usable(&self) -> bool {
        match self {
            UpstreamFailure::ErrorLine(line) => WHOLE_ANSWERS
                .iter()
                .any(|answer| answer.trim_ascii_end() == line.as_bytes()),
            failure => matches!(
                failure,
                UpstreamFailure::ErrorReply(_)
                    | UpstreamFailure::Ejected
                    | UpstreamFailure::Full(_)
                    | UpstreamFailure::Redirected(_)
            ),
        }
    }
    // ANCHOR_END: usable
}

impl fmt::Display for UpstreamFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpstreamFailure::Unknown(why) => write!(f, "can't be resolved: {why}"),
            UpstreamFailure::Refused(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                f.write_str("refused the connection")
            }
            UpstreamFailure::Refused(error) => write!(f, "can't be connected to: {error}"),
            UpstreamFailure::ConnectDeadline(limit) => {
                write!(f, "could not be connected to within {limit:?}")
            }
            UpstreamFailure::ReadDeadline(limit) => write!(f, "did not answer within {limit:?}"),
            UpstreamFailure::WriteDeadline(limit) => {
                write!(f, "did not accept the request within {limit:?}")
            }
            UpstreamFailure::ErrorLine(text) | UpstreamFailure::ErrorReply(text) => {
                write!(f, "answered `{text}`")
            }
            UpstreamFailure::TooLong(limit) => {
                write!(f, "sent a value of more than {limit} bytes")
            }
            UpstreamFailure::Closed => f.write_str("closed the connection before it had answered"),
            UpstreamFailure::Lost(error) => write!(f, "lost the connection: {error}"),
            UpstreamFailure::OutOfStep => f.write_str("sent a reply that doesn't fit the request"),
            UpstreamFailure::Garbage => f.write_str("sent bytes that don't follow the protocol"),
            UpstreamFailure::Unexpected(reply) => write!(f, "answered `{reply}`"),
            UpstreamFailure::Login(said) => write!(f, "refused the login: {said}"),
            UpstreamFailure::NotBinary => f.write_str("does not speak memcached's binary protocol"),
            UpstreamFailure::Abandoned => {
                f.write_str("was ejected after consecutive errors before it had answered")
            }
            UpstreamFailure::Ejected => {
                f.write_str("is ejected after consecutive errors; it is probed")
            }
            UpstreamFailure::Full(limit) => write!(
                f,
                "can't get a dedicated connection: all {limit} are in use"
            ),
            UpstreamFailure::Redirected(times) => write!(
                f,
                "sends the request elsewhere, as {times} have done before: the servers of the \
                 cluster don't agree where it belongs"
            ),
        }
    }
}
