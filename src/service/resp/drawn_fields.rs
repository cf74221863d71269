//! The state of HRANDFIELD with a large count between two pieces. The command is in `hash_random`.

use std::collections::HashSet;
use std::time::Duration;

use ahash::RandomState;

use super::random_order::{RandomOrder, random_below};
use crate::store::{Item, Node, Tree};

/// Fields that are drawn in a piece: a lock is held for some tens of microseconds.
const PIECE: usize = 64;
/// Bytes of a page of the reply, about.
const PAGE: usize = 32 << 10;
/// Bytes that a noted name takes, about.
const NOTED: usize = 20;
/// Sets of noted names, a power of two. One set of half a million names took 8 ms to grow.
const SETS: usize = 256;

/// The number of fields that a command asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldCount {
    pub(super) count: usize,
    /// Whether a field may come several times.
    pub(super) may_repeat: bool,
}

/// The fields that were drawn until now.
pub(crate) struct DrawnFields {
    /// The order of the positions, if no field may repeat.
    order: RandomOrder,
    /// The number of positions of the order that were looked at.
    looked: usize,
    names: NotedNames,
    pub(super) count: usize,
    pub(super) pages: Vec<Vec<u8>>,
    bytes: usize,
    /// The time of the pieces until now.
    pub(super) time: Duration,
}

/// The names of the fields that were drawn, if no field may repeat: one that has moved to another position isn't drawn again.
///
/// They are noted by their hashes, in several sets, because a set that grows moves all that it has at once.
struct NotedNames {
    sets: Vec<HashSet<u64, RandomState>>,
    hasher: RandomState,
    count: usize,
}

impl NotedNames {
    fn new() -> NotedNames {
        NotedNames {
            sets: Vec::new(),
            hasher: RandomState::new(),
            count: 0,
        }
    }

    /// Notes a name. Returns whether it is new.
    fn insert(&mut self, name: &[u8]) -> bool {
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, HashSet::default);
        }
        let hash = self.hasher.hash_one(name);
        let is_new = self.sets[hash as usize % SETS].insert(hash);
        self.count += usize::from(is_new);
        is_new
    }
}

impl DrawnFields {
    pub(super) fn new(fields: usize) -> DrawnFields {
        DrawnFields {
            order: RandomOrder::new(fields),
            looked: 0,
            names: NotedNames::new(),
            count: 0,
            pages: Vec::new(),
            bytes: 0,
            time: Duration::ZERO,
        }
    }

    /// Bytes that the session keeps.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.names.count * NOTED
    }

    pub(super) fn is_whole(&self, wanted: FieldCount) -> bool {
        let is_exhausted = !wanted.may_repeat && self.looked == self.order.length();
        self.count == wanted.count || is_exhausted
    }

    /// Draws some fields of a hash. `form` appends the element of a reply.
    pub(super) fn draw(
        &mut self,
        tree: &Tree<'_>,
        hash: Node,
        wanted: FieldCount,
        mut form: impl FnMut(&mut Vec<u8>, &Item<'_>),
    ) {
        let fields = tree.listed_children(hash);
        for _ in 0..PIECE {
            if self.is_whole(wanted) {
                return;
            }
            let position = match wanted.may_repeat {
                true => random_below(fields),
                false => self.order.position(self.looked),
            };
            self.looked += 1;
            let node = tree.child_at(hash, position);
            let Some(node) = node.filter(|node| !tree.is_expired(*node)) else {
                continue;
            };
            let field = tree.item(node);
            if !wanted.may_repeat && !self.names.insert(field.key()) {
                continue;
            }
            if self.pages.last().is_none_or(|page| page.len() >= PAGE) {
                self.pages.push(Vec::new());
            }
            let Some(page) = self.pages.last_mut() else {
                return;
            };
            let before = page.len();
            form(page, &field);
            self.bytes += page.len() - before;
            self.count += 1;
        }
    }
}
