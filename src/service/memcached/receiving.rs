//! A storage command whose large value is received into memory of the store.
//!
//! ```text
//!   set k 0 0 524288 CRLF xxxx… ─▶ Receiving: the line's facts, and a Reservation that the connection fills
//!                                    └ whole ─▶ TurnContext::store_received ─▶ reply
//! ```
//!
//! `set`, `add`, `replace` and `cas` of one key; `append` and `prepend` are put together from two values, and nested keys
//! are received in the connection's input. As in memcached, conditions are checked when the value has arrived.

use std::sync::Arc;

use crate::protocol::memcached::text::{self, StoreVerb, Words};
use crate::store::{self, Reservation};

/// The command, its value on its way.
pub(super) struct Receiving {
    pub(super) reservation: Reservation,
    pub(super) line: StorageLine,
}

/// The line of a storage command of one key, kept until its value has arrived.
pub(super) struct StorageLine {
    pub(super) key: Vec<u8>,
    length: usize,
    verb: StoreVerb,
    flags: u32,
    exptime: i32,
    unique: u64,
    noreply: bool,
}

impl Receiving {
    /// `None` if the value can't be received this way, or if none of it has arrived.
    pub(super) fn begin(
        store: &Arc<store::Store>,
        command: &text::StorageCommand<'_>,
        arrived: usize,
    ) -> Option<Box<Receiving>> {
        let joins = matches!(command.verb, StoreVerb::Append | StoreVerb::Prepend);
        let mut path = command.path;
        let key = path.next()?;
        if joins || !path.is_empty() || arrived == 0 {
            return None;
        }
        let reservation = store.reserve(key.len(), command.length)?;
        Some(Box::new(Receiving {
            reservation,
            line: StorageLine {
                key: key.to_vec(),
                length: command.length,
                verb: command.verb,
                flags: command.flags,
                exptime: command.exptime,
                unique: command.unique,
                noreply: command.noreply,
            },
        }))
    }
}

impl StorageLine {
    /// The command of the line.
    pub(super) fn command(&self) -> text::StorageCommand<'_> {
        text::StorageCommand {
            verb: self.verb,
            path: Words::new(&self.key),
            flags: self.flags,
            exptime: self.exptime,
            length: self.length,
            unique: self.unique,
            noreply: self.noreply,
        }
    }
}
