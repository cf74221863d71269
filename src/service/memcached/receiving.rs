//! A storage command whose large value is received into memory of the store.
//!
//! ```text
//!   set k 0 0 524288 CRLF xxxx… ─▶ Receiving: the command, and a Reservation that the connection fills
//!                                    └ whole ─▶ Operations::store ─▶ reply
//! ```
//!
//! `set`, `add`, `replace` and `cas` of one key; `append` and `prepend` are put together from two values, and nested keys
//! are received in the connection's input. As in memcached, conditions are checked when the value has arrived.

use crate::store::Reservation;

use super::context::TurnContext;
use super::operations::{StoreMode, StoreRequest};

/// The command, its value on its way. `R` is the protocol's own part: what it needs for the reply.
pub(super) struct Receiving<R> {
    pub(super) reservation: Reservation,
    pub(super) key: Vec<u8>,
    pub(super) request: StoreRequest,
    pub(super) reply: R,
}

/// The form of the reply to a text command, beside its outcome.
pub(super) enum ReceivedReply {
    /// A classic command.
    Classic { noreply: bool },
    /// `ms`: its flags, and whether the key was sent in base64.
    Meta { flags: Vec<u8>, base64_key: bool },
}

/// The line of a storage command in the text protocol, classic or meta. A data block follows.
pub(super) trait StorageLine {
    /// Bytes of the value.
    fn length(&self) -> usize;

    /// Refuses a command whose item is too large, before any of its value is taken in: the reply that follows the
    /// value. `None` if it is not.
    fn refuse_if_too_large(&self, context: &mut TurnContext<'_>) -> Option<&'static [u8]>;

    /// Stores the value and writes the reply.
    fn store(&self, context: &mut TurnContext<'_>, value: &[u8]);

    /// Answers a value behind which the line doesn't end.
    fn bad_data_chunk(&self, context: &mut TurnContext<'_>);

    /// Begins to receive the value into memory of the store, if that can be done.
    fn receive(&self, context: &TurnContext<'_>) -> Option<Box<Receiving<ReceivedReply>>>;
}

impl<R> Receiving<R> {
    /// `None` if the value can't be received this way. `reserve` is called with the key.
    pub(super) fn begin(
        key: &[u8],
        request: &StoreRequest,
        reply: impl FnOnce() -> R,
        reserve: impl FnOnce(&[u8]) -> Option<Reservation>,
    ) -> Option<Box<Receiving<R>>> {
        if matches!(request.mode, StoreMode::Append | StoreMode::Prepend) {
            return None;
        }
        let reservation = reserve(key)?;
        Some(Box::new(Receiving {
            reservation,
            key: key.to_vec(),
            request: *request,
            reply: reply(),
        }))
    }
}
