//! The operations on the store in which memcached's protocols meet.
//!
//! ```text
//!   classic (Words) ─┐                       ┌─ lock, look up, change ─▶ store
//!   meta    (flags) ─┼─▶ Operations::get … ──┤
//!   binary (header) ─┘         │             └─ TurnCounts
//!                              ▼
//!                     an outcome, which each protocol writes in its own words
//! ```
//!
//! A command's meaning is written once, here: what it does to an item, under which condition, and what `stats` counts.
//! There is no protocol's text here, neither read nor written. A path is one key, or the names of a nested key. An
//! exptime is the number that the client sent (see [`expires_ms`]). `expected` is a cas unique that the item must still
//! have.
//!
//! | operation | file |
//! |---|---|
//! | [`get`](Operations::get), also with a new exptime; [`touch`](Operations::touch) | `read` |
//! | [`meta_get`](Operations::meta_get): a read that may win the right to store an item anew | `recache` |
//! | [`store`](Operations::store): set, add, replace, append, prepend, each also as cas; [`refuse`](Operations::refuse) | `store` |
//! | [`arithmetic`](Operations::arithmetic): incr and decr, also with an initial value | `arithmetic` |
//! | [`delete`](Operations::delete), [`flush`](Operations::flush) | `remove` |
//! | [`invalidate`](Operations::invalidate): stale and empty items | `invalidate` |
//! | [`place`](Operations::place): changes of keys that a peer owns | `elsewhere` |
//!
//! Each operation takes the lock of one key for as long as it runs. A read calls the protocol under that lock, with the
//! item in place, so that a value is copied once, from the record into the output
//! ([`Output::value`](super::output::Output::value)).

mod arithmetic;
mod elsewhere;
mod exptime;
mod invalidate;
mod peer_state;
mod read;
mod recache;
mod remove;
mod reports;
mod store;

use crate::origin::CommandFetches;

use super::counters::TurnCounts;
use super::service_state::Shared;

pub(super) use arithmetic::{Arithmetic, ArithmeticOutcome, Initial};
pub(super) use exptime::{expires_ms, seconds_left};
pub(super) use invalidate::Invalidation;
pub(super) use peer_state::{PeerState, Place};
pub(super) use read::{FoundItem, GetOutcome};
pub(super) use recache::{MetaGet, ReadState};
pub(super) use remove::DeleteOutcome;
pub(super) use store::{NewValue, StoreMode, StoreOutcome, StoreRequest};

/// The store's database that memcached's clients see.
pub(super) const DATABASE: u8 = 0;

/// The operations of one turn, and what they count.
pub(super) struct Operations<'a> {
    pub(super) shared: &'a Shared,
    /// Added to the service's counters at the end of the turn.
    pub(super) counts: TurnCounts,
    /// The fetches that the current command waits for.
    pub(super) fetches: CommandFetches,
    /// The command can wait for them.
    pub(super) may_wait: bool,
    /// The current command's relation to peers.
    pub(super) peers: PeerState,
    /// The number of the connection, for `watch`.
    connection: u64,
}

impl<'a> Operations<'a> {
    pub(super) fn new(shared: &'a Shared, connection: u64) -> Operations<'a> {
        Operations {
            shared,
            counts: TurnCounts::default(),
            fetches: CommandFetches::default(),
            may_wait: true,
            peers: PeerState::default(),
            connection,
        }
    }
}
