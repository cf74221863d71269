//! The errors of a client: which server, and which deadline.

use std::fmt;

use crate::pool::{Protocol, UpstreamFailure};

/// A request that failed. The text names the server, the cause, and the deadline that passed.
///
/// ```
/// use larder::client::Cache;
///
/// let client = larder::client::Client::new("127.0.0.1:1");
/// let error = client.get("key").unwrap_err();
/// assert_eq!(error.to_string(), "127.0.0.1:1 refused the connection");
/// assert_eq!(error.kind(), larder::client::ErrorKind::Unavailable);
/// ```
#[derive(Debug)]
pub struct Error {
    server: String,
    cause: Cause,
}

#[derive(Debug)]
pub(super) enum Cause {
    Failure(UpstreamFailure),
    /// The key can't be sent, for this reason.
    Key(&'static str),
    /// A flag of a meta command can't be sent.
    Flag,
    /// The protocol with which the server is asked doesn't have this.
    Unsupported(Protocol, &'static str),
    /// A value can't be encoded, or decoded, for this reason.
    Value(String),
    /// Other clients changed the item during this many tries.
    Contended(u32),
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The key is empty, too long, or has a character that can't be sent. Nothing was sent.
    InvalidKey,
    /// A flag of a meta command has a space, or the client doesn't let its users set it. Nothing was sent.
    InvalidFlag,
    /// A value can't be encoded as JSON, or the one that was read is no JSON of the type that it should have.
    InvalidValue,
    /// The protocol with which the server is asked doesn't have the command, or a part of it: see
    /// [`Settings::protocol`](crate::client::Settings::protocol). Nothing was sent.
    Unsupported,
    /// There is no connection, or the server is ejected. Nothing was sent.
    Unavailable,
    /// The request or its reply took too long. The request may have been executed.
    Deadline,
    /// The connection ended before the reply. The request may have been executed.
    Lost,
    /// The reply is malformed, or belongs to another request.
    Protocol,
    /// The value is longer than [`Settings::max_value_size`](crate::client::Settings::max_value_size).
    TooLong,
    /// The server answered with an error.
    Refused,
    /// Other clients changed the item during each try of an update.
    Contended,
}

impl Error {
    pub(super) fn new(server: &str, cause: Cause) -> Error {
        Error {
            server: server.to_owned(),
            cause,
        }
    }

    /// The server, as it was named when the client was made.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        let failure = match &self.cause {
            Cause::Key(_) => return ErrorKind::InvalidKey,
            Cause::Flag => return ErrorKind::InvalidFlag,
            Cause::Value(_) => return ErrorKind::InvalidValue,
            Cause::Unsupported(..) => return ErrorKind::Unsupported,
            Cause::Contended(_) => return ErrorKind::Contended,
            Cause::Failure(failure) => failure,
        };
        match failure {
            UpstreamFailure::Unknown(_)
            | UpstreamFailure::Refused(_)
            | UpstreamFailure::ConnectDeadline(_)
            | UpstreamFailure::Ejected
            | UpstreamFailure::Abandoned
            | UpstreamFailure::Full(_) => ErrorKind::Unavailable,
            UpstreamFailure::ReadDeadline(_) | UpstreamFailure::WriteDeadline(_) => {
                ErrorKind::Deadline
            }
            UpstreamFailure::Closed | UpstreamFailure::Lost(_) => ErrorKind::Lost,
            UpstreamFailure::Garbage
            | UpstreamFailure::OutOfStep
            | UpstreamFailure::Unexpected(_)
            | UpstreamFailure::NotBinary
            | UpstreamFailure::Redirected(_) => ErrorKind::Protocol,
            UpstreamFailure::TooLong(_) => ErrorKind::TooLong,
            UpstreamFailure::ErrorLine(_)
            | UpstreamFailure::ErrorReply(_)
            | UpstreamFailure::Login(_) => ErrorKind::Refused,
        }
    }

    /// The error with which the server has answered.
    pub(crate) fn error_line(&self) -> Option<&str> {
        match &self.cause {
            Cause::Failure(UpstreamFailure::ErrorLine(line)) => Some(line),
            _ => None,
        }
    }

    /// Whether the cause is that the server can't be reached, or doesn't follow the protocol.
    pub(super) fn is_unavailability(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::Unavailable | ErrorKind::Deadline | ErrorKind::Lost | ErrorKind::Protocol
        )
    }

    /// Whether the server is ejected, so that nothing was sent.
    pub(super) fn is_ejection(&self) -> bool {
        matches!(self.cause, Cause::Failure(UpstreamFailure::Ejected))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = &self.server;
        match &self.cause {
            Cause::Failure(failure) => write!(f, "{server} {failure}"),
            Cause::Key(why) => write!(f, "a key for {server} {why}"),
            Cause::Flag => write!(
                f,
                "a meta command for {server} has a flag that is malformed or is q, b or O"
            ),
            Cause::Value(why) => write!(f, "a value of {server} is unusable: {why}"),
            Cause::Unsupported(Protocol::Memcached, what) => {
                write!(
                    f,
                    "{server} is asked in memcached's protocol, which has no {what}"
                )
            }
            Cause::Unsupported(Protocol::Resp, what) => {
                write!(
                    f,
                    "{server} is asked in RESP, where this client has no {what}"
                )
            }
            Cause::Contended(tries) => write!(
                f,
                "other clients changed the item on {server} during each of {tries} tries"
            ),
        }
    }
}

impl std::error::Error for Error {}
