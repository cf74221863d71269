//! A request in memory, borrowing from the input.

use super::header::Header;
use super::status::Status;
use crate::protocol::memcached::text::StoreVerb;

/// The fields of a request that its reply repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyTo {
    /// The opcode, as the client sent it.
    pub opcode: u8,
    /// The client's own number.
    pub opaque: u32,
}

impl From<&Header> for ReplyTo {
    fn from(header: &Header) -> ReplyTo {
        ReplyTo {
            opcode: header.opcode,
            opaque: header.opaque,
        }
    }
}

/// One request. The value of a storage command or the data of an authentication follows in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The fields for the reply.
    pub to: ReplyTo,
    /// No reply is wanted for the usual case: success, but for a retrieval a miss. Errors are answered.
    pub quiet: bool,
    /// The cas unique that the item must have; 0 for any.
    pub cas: u64,
    /// The command.
    pub command: Command<'a>,
}

/// The command of a [`Request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Reads an item.
    Retrieve {
        /// The key.
        key: &'a [u8],
        /// A new expiration time for the item.
        exptime: Option<u32>,
        /// Whether the reply has the key, too.
        with_key: bool,
    },
    /// Gives an item a new expiration time.
    Touch {
        /// The key.
        key: &'a [u8],
        /// The expiration time.
        exptime: u32,
    },
    /// Stores the value that follows.
    Store(Store<'a>),
    /// Removes an item.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// Changes a number.
    Count(Count<'a>),
    /// Removes all items, at this time; 0 is now.
    Flush {
        /// The time, as an exptime.
        delay: u32,
    },
    /// Is answered.
    Noop,
    /// Asks for the version.
    Version,
    /// Asks for statistics: the general ones without a name.
    Stat {
        /// The name of a group.
        name: &'a [u8],
    },
    /// Closes the connection.
    Quit,
    /// Belongs to authentication.
    Sasl(Sasl<'a>),
}

/// A storage command without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Store<'a> {
    /// The kind of command; never [`StoreVerb::Cas`], because any request may have a cas unique.
    pub verb: StoreVerb,
    /// The key.
    pub key: &'a [u8],
    /// The client's flags; 0 for `append` and `prepend`.
    pub flags: u32,
    /// The expiration time; 0 for `append` and `prepend`.
    pub exptime: u32,
    /// The length of the value, within 1 GiB.
    pub length: usize,
}

/// `incr` or `decr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Whether the number goes down.
    pub down: bool,
    /// The amount.
    pub delta: u64,
    /// The number and the expiration time of a new item if none is stored. `None` if a miss creates none.
    pub initial: Option<(u64, u32)>,
}

/// A command of authentication; its data follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sasl<'a> {
    /// The kind of command.
    pub step: SaslStep,
    /// The name of the mechanism.
    pub mechanism: &'a [u8],
    /// The length of the data, within 1 GiB.
    pub length: usize,
}

/// The kind of a [`Sasl`] command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslStep {
    /// Asks for the names of the mechanisms.
    List,
    /// Begins with a mechanism.
    Start,
    /// Goes on.
    Continue,
}

/// A request that is answered with an error, whatever the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadRequest {
    /// The fields for the reply.
    pub to: ReplyTo,
    /// The status of the reply.
    pub status: Status,
    /// The way to continue.
    pub then: AfterBadRequest,
}

/// The way to continue after a bad request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterBadRequest {
    /// With a request, after this many bytes that are discarded before the reply.
    Continue {
        /// Bytes behind the key, whether or not they have arrived.
        discard: usize,
    },
    /// Not at all: the connection is closed after the reply.
    Close,
}
