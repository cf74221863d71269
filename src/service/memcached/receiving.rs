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

use super::operations::{StoreMode, StoreRequest};

/// The command, its value on its way. `R` is the protocol's own part: what it needs for the reply.
pub(super) struct Receiving<R> {
    pub(super) reservation: Reservation,
    pub(super) key: Vec<u8>,
    pub(super) request: StoreRequest,
    pub(super) reply: R,
}

impl<R> Receiving<R> {
    /// `None` if the value can't be received this way. `reserve` is called with the length of the key.
    pub(super) fn begin(
        key: &[u8],
        request: &StoreRequest,
        reply: R,
        reserve: impl FnOnce(usize) -> Option<Reservation>,
    ) -> Option<Box<Receiving<R>>> {
        if matches!(request.mode, StoreMode::Append | StoreMode::Prepend) {
            return None;
        }
        let reservation = reserve(key.len())?;
        Some(Box::new(Receiving {
            reservation,
            key: key.to_vec(),
            request: *request,
            reply,
        }))
    }
}
