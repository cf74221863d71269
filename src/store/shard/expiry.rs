//! The expiry of a shard's items: whether they are alive, what happens when they have expired, and the counts of those that will.
//!
//! An item without a value is alive while it has a child that is alive. What is known of its children's expiries is in their
//! [list](crate::store::child_lists), so that reads of a hash with a million fields don't look at all of them.
//!
//! Cost: a look at the item and, if it has no value, at the head of its list. All children are looked at when one of them may have
//! expired since the last time and their number is wanted. A caller that can wait has [`ExpiryWalk`] look at them in pieces. They are
//! also looked at if each of them has an expiry, some have expired, and the one that would have expired last was removed
//! since the last time.

use super::*;

/// Children whose expiry is checked each time their parent is looked up.
const FEW_CHILDREN: usize = 64;

/// A walk over an item's children that removes those that have expired. It goes from the end to the front, because the last child moves to
/// the position of a removed one. So it may be done in pieces, between which others are removed.
#[derive(Debug)]
pub(in crate::store) struct ExpiryWalk {
    /// The children in front of this position have not been looked at.
    left: usize,
    /// The times at which those that were looked at expire.
    earliest_ms: u64,
    latest_ms: u64,
}

impl Default for ExpiryWalk {
    fn default() -> ExpiryWalk {
        ExpiryWalk {
            left: usize::MAX,
            earliest_ms: u64::MAX,
            latest_ms: 0,
        }
    }
}

impl Shard {
    /// Whether an item is alive; an expired one is removed with its subtree.
    ///
    /// An item without a value is alive while a child is, so a few children are checked first, and removed if they have expired.
    #[inline]
    pub(in crate::store) fn is_alive(&mut self, index: u32, now_ms: u64) -> bool {
        let slot = self.slab.slot(index);
        let lasts = !slot.has_expiry() && !slot.is_valueless();
        lasts || self.is_alive_by_record(index, now_ms)
    }

    fn is_alive_by_record(&mut self, index: u32, now_ms: u64) -> bool {
        let slot = self.slab.item(index);
        if slot.is_expired(now_ms) {
            self.expire(index);
            return false;
        }
        if !slot.is_valueless() || !slot.has_children() {
            return true;
        }
        if self.slab.children(index).len() <= FEW_CHILDREN {
            return self.remove_expired_children(index, now_ms);
        }
        // Of many children, the expired ones are left to the sweep.
        let lives = self.slab.has_live_child(index, now_ms);
        if !lives {
            self.expire(index);
        }
        lives
    }

    /// Removes an expired item.
    pub(in crate::store) fn expire(&mut self, index: u32) {
        let unfetched = !self.slab.slot(index).is_fetched();
        self.counters.expired_unfetched += u64::from(unfetched);
        self.counters.expired += self.remove_tree(index, true) as u64;
    }

    /// Removes the expired children; returns whether the parent still exists. Constant time if none has expired; otherwise
    /// all children are looked at, because their exact number is wanted.
    pub(in crate::store) fn remove_expired_children(&mut self, parent: u32, now_ms: u64) -> bool {
        if self.slab.child_expiries(parent).earliest_ms > now_ms {
            return true;
        }
        let is_large = self.slab.children(parent).len() > FEW_CHILDREN;
        if is_large
            && self.slab.slot(parent).is_valueless()
            && !self.slab.has_live_child(parent, now_ms)
        {
            self.expire(parent);
            return false;
        }
        let mut steps = usize::MAX;
        self.expire_children(parent, &mut ExpiryWalk::default(), now_ms, &mut steps);
        self.slab.get(parent as usize).is_some()
    }

    /// Does so many steps of a walk over the children of an item. Returns whether there are more. A parent without a value is gone
    /// with its last child. If no child was added since the walk began and none has got another expiry, the times in the head of
    /// the list are right after the last step.
    pub(in crate::store) fn expire_children(
        &mut self,
        parent: u32,
        walk: &mut ExpiryWalk,
        now_ms: u64,
        steps: &mut usize,
    ) -> bool {
        loop {
            let children = self.slab.children(parent);
            walk.left = walk.left.min(children.len());
            if walk.left == 0 {
                break;
            }
            if *steps == 0 {
                return true;
            }
            walk.left -= 1;
            let (child, is_last) = (children[walk.left], children.len() == 1);
            let items = self.slab.items();
            match self.slab.item(child).expires_ms() {
                Some(expires_ms) if expires_ms <= now_ms => {
                    self.expire(child);
                    if is_last {
                        return false;
                    }
                }
                Some(expires_ms) => {
                    walk.earliest_ms = walk.earliest_ms.min(expires_ms);
                    walk.latest_ms = walk.latest_ms.max(expires_ms);
                }
                None => {}
            }
            *steps = steps.saturating_sub(1 + items - self.slab.items());
        }
        let ExpiryWalk {
            earliest_ms,
            latest_ms,
            ..
        } = *walk;
        self.slab.set_earliest_expiry(parent, earliest_ms);
        self.slab.set_latest_expiry(parent, latest_ms);
        false
    }

    /// Sets or clears an item's expiry. That alone gives it no new CAS number.
    pub(in crate::store) fn set_expiry(&mut self, index: u32, expires_ms: Option<u64>) {
        self.count_expiry(index, -1);
        let head = ItemHeader {
            expires_ms,
            ..self.slab.item(index).head()
        };
        self.slab.rewrite_header(index, &head);
        self.count_expiry(index, 1);
        self.note_change(index);
    }

    /// Counts an item that has an expiry in (1) or out (-1).
    #[inline]
    pub(super) fn count_expiry(&mut self, index: u32, change: isize) {
        if self.slab.slot(index).has_expiry() {
            self.count_one_expiry(index, change);
        }
    }

    pub(super) fn count_one_expiry(&mut self, index: u32, change: isize) {
        let slot = self.slab.item(index);
        self.expiring = self.expiring.saturating_add_signed(change);
        if let Some(expires_ms) = slot.expires_ms().filter(|_| change > 0) {
            self.next_expiry = self.next_expiry.min(expires_ms);
            self.swept_expiry = self.swept_expiry.min(expires_ms);
            self.bell.note_expiry(expires_ms);
        }
        match slot.parent() {
            NONE if self.hides(index) => {}
            NONE => {
                let count = &mut self.expiring_items[usize::from(slot.db())];
                *count = count.saturating_add_signed(change);
            }
            parent => {
                let expires_ms = slot.expires_ms().unwrap_or(u64::MAX);
                self.slab
                    .count_expiring_child(parent, change as i32, expires_ms);
            }
        }
    }
}
