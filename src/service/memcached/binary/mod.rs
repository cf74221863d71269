//! memcached's binary protocol on the store.
//!
//! ```text
//!   input ─▶ BinarySession::step ─▶ binary::parse ─▶ TurnContext (a method for each command) ─▶ Operations ─▶ Tree
//!                 │                                     │
//!                 └ a value that is on its way,         └ Output: the outcome as a status
//!                   or a body that is discarded
//! ```
//!
//! The files: `session` has the steps and the values, `commands` the other commands, `sasl` those of authentication. What a
//! command does to an item is in `operations`, where the text protocol's commands meet it too, so both
//! protocols see the same items.
//!
//! A key is any bytes, and one key: a space in it does not make it a path. A header has one length of a key, so a path
//! would need a separator, and every byte may be a part of a key that a client has already stored. Nested keys are
//! reached by the text protocol.
//!
//! A quiet command has no answer in the usual case: success, but for a retrieval a miss. Its errors are answered, as in
//! memcached. Cost of a `get` that hits: one look-up in the table of opcodes, one lock, one look-up, one copy of the
//! value into the output, none if it is large.

mod commands;
mod sasl;
mod session;

pub(super) use session::BinarySession;
