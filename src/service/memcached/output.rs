//! The output of one turn, and its bounds.

use crate::server::limits::OUTPUT_SOFT_LIMIT;
use crate::server::{Connection, Connections, Insertion};
use crate::service::kept_insertions::KeptInsertions;
use crate::store::SharedValue;

use super::operations::FoundItem;

/// The replies of one turn.
pub(super) struct Output<'a> {
    /// The bytes to send.
    pub(super) bytes: &'a mut Vec<u8>,
    /// Large values that belong into the bytes. The turn ends behind one.
    pub(super) insertions: KeptInsertions,
    /// The connection writes such values.
    pub(super) may_insert: bool,
    /// Bytes of replies beyond which the turn ends.
    pub(super) limit: usize,
    /// The length of the output before the turn.
    start: usize,
    connections: &'a Connections,
    connection: &'a Connection,
}

impl<'a> Output<'a> {
    pub(super) fn new(
        bytes: &'a mut Vec<u8>,
        connections: &'a Connections,
        connection: &'a Connection,
    ) -> Output<'a> {
        Output {
            limit: OUTPUT_SOFT_LIMIT,
            start: bytes.len(),
            bytes,
            insertions: KeptInsertions::default(),
            may_insert: false,
            connections,
            connection,
        }
    }

    /// Whether nothing was answered in this turn.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() == self.start
    }

    /// Whether the turn has to end.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() - self.start > self.limit
    }

    /// Whether the output may have so many further bytes. If not, the replies of other connections have to be written
    /// first; then the command is done again.
    pub(super) fn has_memory(&self, bytes: usize) -> bool {
        let total = self.bytes.len() - self.start + bytes;
        total <= OUTPUT_SOFT_LIMIT || self.connections.reserve_reply(self.connection, total)
    }

    /// Appends bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a reply, unless the command has `noreply`.
    pub(super) fn reply(&mut self, noreply: bool, reply: &[u8]) {
        if !noreply {
            self.push(reply);
        }
    }

    /// Appends an item's value: a copy, or a large one to be written from its record if the connection does that.
    #[inline]
    pub(super) fn value(&mut self, found: &mut FoundItem<'_, '_>) {
        if found.value().len() >= SharedValue::LEAST
            && self.may_insert
            && let Some(shared) = found.share_value()
        {
            self.insertions.push(Insertion {
                at: self.bytes.len(),
                bytes: Box::new(shared),
            });
            return;
        }
        self.copy(found.value());
    }

    /// Appends a value if a copy of it is right for its length, as for most; otherwise it is for [`value`](Output::value).
    #[inline]
    pub(super) fn copy_small(&mut self, value: &[u8]) -> bool {
        let is_small = value.len() < SharedValue::LEAST;
        if is_small {
            self.copy(value);
        }
        is_small
    }

    fn copy(&mut self, value: &[u8]) {
        // Room for what follows a value, too.
        self.bytes.reserve(value.len() + 64);
        self.bytes.extend_from_slice(value);
    }
}
