//! The faults of a request that break the protocol, with the texts of Redis 7.0.

use std::fmt;

/// The error that Redis answers, after `ERR Protocol error: `, before it closes the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A line without an end.
    InlineTooBig,
    /// The number of words without an end of line.
    CountTooBig,
    /// The length of a bulk string without an end of line.
    LengthTooBig,
    /// Quotes of an inline command.
    UnbalancedQuotes,
    /// The number of words.
    InvalidCount,
    /// The length of a bulk string.
    InvalidLength,
    /// Too many words without a password.
    UnauthenticatedCount,
    /// Too long a bulk string without a password.
    UnauthenticatedLength,
    /// This byte stood where a bulk string has to begin.
    NotABulk(u8),
}

impl ProtocolError {
    /// The text for the client: bytes, because it may repeat one of the client's.
    pub fn text(&self) -> Vec<u8> {
        let text = match self {
            ProtocolError::InlineTooBig => "too big inline request",
            ProtocolError::CountTooBig => "too big mbulk count string",
            ProtocolError::LengthTooBig => "too big bulk count string",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
            ProtocolError::InvalidCount => "invalid multibulk length",
            ProtocolError::InvalidLength => "invalid bulk length",
            ProtocolError::UnauthenticatedCount => "unauthenticated multibulk length",
            ProtocolError::UnauthenticatedLength => "unauthenticated bulk length",
            ProtocolError::NotABulk(found) => {
                return [b"expected '$', got '", &[*found][..], b"'"].concat();
            }
        };
        text.into()
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text().escape_ascii())
    }
}

impl std::error::Error for ProtocolError {}
