//! A copy of a tree under another name or in another database, in pieces: COPY.
//!
//! ```text
//!   shard of the tree              shard of the copy
//!   h ─┬─ f1        copied         (h2) ─┬─ f1      no path leads to h2; when all is copied, it is attached:
//!      ├─ f2        copied               └─ f2      then it comes into the place of an item that has its name
//!      ⋮                ▲ changes here are noted, and made to the copy in a later piece
//!      └─ f1000000  not yet
//! ```
//!
//! A piece copies some items under the locks of both shards; between two pieces no lock is held. Each item that is changed, added
//! or removed meanwhile, or moved to another position, is [noted](crate::store::ongoing_copies). A later piece brings its copy up to
//! date, if that of the item above it is there. When the walk over the tree is at its end and no change is left, the same piece
//! attaches the copy. So the copy is the tree as it is in that moment.
//!
//! If the tree is removed or replaced, or either key gets another shard, the copy begins anew; after [`MOST_RESTARTS`], it is done
//! under one lock. So is the rest of one whose tree changes faster than it is copied.
//!
//! Memory counts as that of any write. The items of a copy may be evicted before it is attached, as those of any tree. A store that
//! refuses writes refuses the copy when it is full, and what was copied is removed, a piece at a time.
//!
//! Cost: about a microsecond for each item. A small tree is copied in one piece.

use std::sync::Arc;

use super::begun_copy::{BegunCopy, CopyOrder, Stopped};
use super::copy_piece::CopyPiece;
use crate::store::entry::Refused;
use crate::store::shards::{Store, locked};

/// Items of a piece: the locks are held for some tens of microseconds.
const PIECE: usize = 64;
/// Copies that were begun again, after which one is done at once.
const MOST_RESTARTS: u8 = 3;
/// Noted changes, after which the rest of a copy is done at once.
const MOST_CHANGES: usize = 1 << 14;
/// Pieces after the end of the walk, after which the rest is done at once.
const MOST_LAST_PIECES: usize = 1 << 10;

/// What a piece has come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CopyState {
    /// There are more pieces.
    Partial,
    /// The copy is whole, or there is nothing to copy, or an item that may not be replaced.
    Done(Result<bool, Refused>),
}

/// A copy that may be done in pieces. If it is dropped before it is done, nothing is left of it.
#[derive(Debug)]
pub(crate) struct TreeCopy {
    store: Arc<Store>,
    begun: Option<BegunCopy>,
    restarts: u8,
}

impl BegunCopy {
    /// The items of the next piece.
    fn steps(&self) -> usize {
        let is_too_slow =
            self.changes.lock().len() > MOST_CHANGES || self.last_pieces > MOST_LAST_PIECES;
        if is_too_slow { usize::MAX } else { PIECE }
    }
}

impl TreeCopy {
    pub(crate) fn new(store: &Arc<Store>) -> TreeCopy {
        TreeCopy {
            store: Arc::clone(store),
            begun: None,
            restarts: 0,
        }
    }

    /// Bytes that noted changes take, about.
    pub(crate) fn bytes(&self) -> usize {
        let begun = self.begun.as_ref();
        begun.map_or(0, |begun| begun.changes.lock().bytes())
    }

    /// Does the next piece, or all of it. The order is the same each time.
    pub(crate) fn go_on(&mut self, order: &CopyOrder<'_>, at_once: bool) -> CopyState {
        let state = self.do_piece(order, at_once);
        self.store.trim_after_removals();
        state
    }

    fn do_piece(&mut self, order: &CopyOrder<'_>, at_once: bool) -> CopyState {
        loop {
            let mut piece = CopyPiece::lock(&self.store, order);
            let begun = match self.begun {
                Some(ref mut begun) => begun,
                ref mut none => match piece.begin(self.restarts == 0) {
                    Ok(begun) => none.insert(begun),
                    Err(result) => return CopyState::Done(result),
                },
            };
            let is_last = at_once || self.restarts > MOST_RESTARTS;
            let steps = if is_last { usize::MAX } else { begun.steps() };
            let result = piece.go_on(begun, steps);
            drop(piece);
            match result {
                Ok(None) => return CopyState::Partial,
                Ok(Some(copied)) => {
                    self.end();
                    return CopyState::Done(Ok(copied));
                }
                Err(Stopped::Refused(why)) => {
                    self.end();
                    return CopyState::Done(Err(why));
                }
                Err(Stopped::Gone) => {
                    self.end();
                    self.restarts += 1;
                }
            }
        }
    }

    /// Forgets what was begun, and removes it if it wasn't attached.
    fn end(&mut self) {
        let Some(begun) = self.begun.take() else {
            return;
        };
        let [source, target] = begun.shards.map(|number| &self.store.shards[number]);
        locked(source).copies.remove_source(&begun.changes);
        let mut target = locked(target);
        target.remove_unfinished(&begun.changes);
        self.store.settle(&mut target);
    }
}

impl Drop for TreeCopy {
    fn drop(&mut self) {
        self.end();
        self.store.trim_after_removals();
    }
}
