//! The state of a copy between two pieces: `copying` has the idea.

use super::rename::TopKey;
use crate::store::entry::Refused;
use crate::store::ongoing_copies::{ItemChanges, NamesBelow};

/// The two names of a copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CopyOrder<'a> {
    pub(crate) from: TopKey<'a>,
    pub(crate) to: TopKey<'a>,
    /// Whether an item that is there is replaced. If not, nothing is copied.
    pub(crate) replaces: bool,
}

/// A copy that has begun and isn't whole.
#[derive(Debug)]
pub(super) struct BegunCopy {
    pub(super) changes: ItemChanges,
    /// The numbers of the shards of the tree and of the copy.
    pub(super) shards: [usize; 2],
    pub(super) top: NodePair,
    /// The nodes whose children are still to be copied; the last one comes next.
    pub(super) open: Vec<OpenNode>,
    /// Pieces after the end of the walk.
    pub(super) last_pieces: usize,
}

/// A node of the tree and its copy: the indices of their slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodePair {
    pub(super) source: u32,
    pub(super) target: u32,
}

/// A node whose children are being copied.
#[derive(Debug)]
pub(super) struct OpenNode {
    pub(super) names: NamesBelow,
    pub(super) nodes: NodePair,
    /// The position of the next child.
    pub(super) next: usize,
}

/// Why a copy can't go on.
pub(super) enum Stopped {
    /// The tree or the copy is no longer there.
    Gone,
    Refused(Refused),
}

impl From<Refused> for Stopped {
    fn from(why: Refused) -> Stopped {
        Stopped::Refused(why)
    }
}
