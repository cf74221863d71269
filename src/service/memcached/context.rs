//! The context of one turn's commands.

use std::time::Duration;

use crate::protocol::memcached::binary::ReplyTo;
use crate::server::Connection;
use crate::store::Reservation;

use super::command_counts::TurnCommands;
use super::large_listing::LargeListing;
use super::operations::Operations;
use super::output::Output;
use super::service_state::Shared;
use super::step::Step;

/// The context of one turn's commands. The commands are its methods, in the files beside this one.
pub(super) struct TurnContext<'a> {
    pub(super) shared: &'a Shared,
    pub(super) operations: Operations<'a>,
    pub(super) commands: TurnCommands<'a>,
    pub(super) output: Output<'a>,
    /// The connection whose turn it is.
    pub(super) connection: &'a Connection,
    /// No input follows that of this turn, so no value is received as it arrives.
    pub(super) input_is_whole: bool,
    /// A list of children that is done in pieces, or the rest of one that is sent in parts.
    pub(super) large: Option<Box<LargeListing>>,
    /// The time of the pieces of the current command that were done in earlier turns.
    pub(super) earlier: Duration,
    /// The request that statistics answer in frames of the binary protocol; otherwise they are lines.
    pub(super) stat_frames: Option<ReplyTo>,
}

impl<'a> TurnContext<'a> {
    /// The context of a turn that appends to `out`.
    pub(super) fn new(
        shared: &'a Shared,
        out: &'a mut Vec<u8>,
        connection: &'a Connection,
    ) -> Self {
        TurnContext {
            shared,
            operations: Operations::new(shared, connection.id()),
            commands: TurnCommands::new(&shared.commands),
            output: Output::new(out, &shared.connections, connection),
            connection,
            input_is_whole: false,
            large: None,
            earlier: Duration::ZERO,
            stat_frames: None,
        }
    }

    /// Forgets the fetches of a command that doesn't wait for them any more.
    #[inline]
    pub(super) fn after_fetches(&mut self, step: &Step) {
        match step {
            Step::Fetch(_) => self.operations.note_wait(),
            _ => self.operations.fetches.clear(),
        }
    }

    /// Memory of the store for a large value and the end of its line, if it is to be received as it arrives.
    pub(super) fn reserve(&self, key: &[u8], length: usize) -> Option<Reservation> {
        let store = &self.shared.store;
        self.may_receive(key)
            .then(|| store.reserve(key.len(), length))
            .flatten()
    }

    /// As [`reserve`](TurnContext::reserve), for a value with nothing behind it.
    pub(super) fn reserve_bare(&self, key: &[u8], length: usize) -> Option<Reservation> {
        let store = &self.shared.store;
        self.may_receive(key)
            .then(|| store.reserve_bare(key.len(), length))
            .flatten()
    }

    /// Whether a value may be received into memory of the store. One for a peer is collected in the connection's input.
    fn may_receive(&self, key: &[u8]) -> bool {
        !self.input_is_whole && !self.operations.is_elsewhere(key)
    }
}

/// Calls `work` with the names of a path; short paths cost no allocation.
pub(super) fn with_path<'a, R>(
    path: impl Iterator<Item = &'a [u8]> + Clone,
    work: impl FnOnce(&[&[u8]]) -> R,
) -> R {
    const FEW: usize = 8;
    let mut names = [&b""[..]; FEW];
    let mut depth = 0;
    for name in path.clone() {
        let Some(place) = names.get_mut(depth) else {
            return work(&path.collect::<Vec<_>>());
        };
        *place = name;
        depth += 1;
    }
    work(&names[..depth])
}
