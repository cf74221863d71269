//! Requests: finds the end of the next one in the bytes of a client, and its route.
//!
//! ```text
//!   bytes of a client ──▶ RequestFramer::frame ──▶ Request { bytes, route, shape, … }  ──▶ an upstream's output
//!                            │                               │
//!                            ├▶ Incomplete                   └ Split: divide makes a request for each upstream
//!                            ├▶ Large                          over the limit: streamed over a connection of its own,
//!                            │                                 or held whole if all of it decides where it goes
//!                            └▶ Bad                            the reply of a real server, and whether it closes
//! ```
//!
//! A framer reads only the parts of a request that routing needs: its keys and its effect on the connection. An unknown
//! command, or one with too few words, is forwarded, and the upstream answers it. The framer keeps the bytes of two
//! clients apart: a request uses a shared connection only if its end and its number of replies are certain.
//!
//! Cost: no bytes are copied. A framer takes a few bytes while its client is quiet; the [`RequestBuffers`] belongs to a
//! worker.

mod admission;
mod binary;
mod command_route;
mod frame;
mod keys;
mod lines;
mod memcached;
mod meta;
mod resp;
mod table;

use crate::protocol::resp::Reader;

pub use admission::Admission;
pub use binary::BinaryFramer;
pub(crate) use frame::RequestWords;
pub use frame::{
    ConnectionCommand, DedicatedReason, LargeRequest, LocalCommand, MergeRule, MetaForm, Remainder,
    Request, RequestBuffers, RequestFrame, Route,
};
pub use keys::RequestKeys;
pub use lines::LineFramer;

/// Finds the requests of one client.
#[derive(Debug)]
pub enum RequestFramer {
    /// Of RESP2 or RESP3.
    Resp {
        /// The position of the reader.
        reader: Reader,
        /// The next request may be as long as [`WHOLE_LIMIT`](frame::WHOLE_LIMIT).
        whole: bool,
        /// Until the client has authenticated far less is accepted.
        admission: Admission,
    },
    /// Of memcached's text protocol, or of either of its protocols until the first byte.
    Memcached(LineFramer),
    /// Of memcached's binary protocol.
    Binary(BinaryFramer),
}

impl RequestFramer {
    /// For a client that speaks RESP.
    pub fn resp() -> RequestFramer {
        RequestFramer::Resp {
            reader: Reader::default(),
            whole: false,
            admission: Admission::default(),
        }
    }

    /// For a client that speaks one of memcached's protocols, by its first byte.
    pub fn memcached() -> RequestFramer {
        RequestFramer::Memcached(LineFramer::default())
    }

    /// Whether its client speaks memcached's binary protocol.
    pub(crate) fn is_binary(&self) -> bool {
        matches!(self, RequestFramer::Binary(_))
    }

    /// Chooses the protocol of a client of memcached by its first byte, if it has arrived.
    pub(crate) fn choose_protocol(&mut self, input: &[u8]) {
        if let RequestFramer::Memcached(lines) = self
            && lines.begins_binary(input)
        {
            *self = RequestFramer::Binary(BinaryFramer::default());
        }
    }

    /// Notes whether the client has authenticated. Until then its requests are bounded as Redis bounds them, and in
    /// memcached's binary protocol only those of authentication are taken.
    pub(crate) fn admit(&mut self, now: Admission) {
        match self {
            RequestFramer::Resp { admission, .. } => *admission = now,
            RequestFramer::Binary(framer) => framer.admit(now),
            RequestFramer::Memcached(_) => {}
        }
    }

    /// Has the next request, which was just found to be [`RequestFrame::Large`], held until it is complete. Returns
    /// whether that is possible: not if it exceeds [`WHOLE_LIMIT`](frame::WHOLE_LIMIT).
    pub(crate) fn hold_whole(&mut self) -> bool {
        match self {
            RequestFramer::Resp { whole, .. } => {
                *whole = !*whole;
                *whole
            }
            RequestFramer::Memcached(_) | RequestFramer::Binary(_) => false,
        }
    }

    /// Looks for one request at the start of `input`, which begins with the first byte that no earlier call consumed.
    pub fn frame<'a>(
        &mut self,
        input: &'a [u8],
        scratch: &'a mut RequestBuffers,
    ) -> RequestFrame<'a> {
        self.choose_protocol(input);
        match self {
            RequestFramer::Resp {
                reader,
                whole,
                admission,
            } => {
                let unauthenticated = *admission == Admission::Due;
                resp::frame(reader, whole, unauthenticated, input, scratch)
            }
            RequestFramer::Memcached(lines) => memcached::frame(lines, input, scratch),
            RequestFramer::Binary(framer) => framer.frame(input, &mut scratch.rebuilt),
        }
    }
}

/// Whether the proxy has a rule for a command of Redis, of this name and with this word behind it; others are routed
/// by their first argument, if they have one.
pub fn is_known(name: &[u8], subcommand: Option<&[u8]>) -> bool {
    table::find(name).is_some_and(|entry| entry.includes(subcommand))
}

/// The names of Redis's commands for which the proxy has a rule, in the order of their numbers.
pub(crate) fn command_names() -> impl ExactSizeIterator<Item = &'static str> {
    table::TABLE.iter().map(|entry| entry.name)
}

/// The number of a command. Its name may have any letter case.
pub(crate) fn command_number(name: &[u8]) -> Option<usize> {
    table::number(name)
}

#[cfg(test)]
mod tests;
