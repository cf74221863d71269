//! The children of an item: a list of their slots, which is a record of the log.
//!
//! ```text
//!   record of the parent ─▶ how many, how many of them expire, from when, to when │ slot │ slot │ … │ room for more
//!                           4         4                        8          8         4      4
//! ```
//!
//! A child's record holds its position in its parent's list, so a child is removed in constant time:
//! the last one moves to its position. A walk over the list from the end to the front therefore
//! misses no child that stays, even if others are added or removed meanwhile. A full list is copied
//! into one that is half as long again.
//!
//! The times say without a look at the children whether one may have expired, and whether all have. They are bounds: a
//! child that goes, or gets another expiry, doesn't change them, until no child expires or
//! [`remove_expired_children`](super::shard::Shard::remove_expired_children) has looked at all. While the child that expires last
//! is there, the latest time is exact; a bit beside the number of children that expire says when it may not be.

use zerocopy::FromBytes;

use super::slab::ItemSlab;

/// Numbers in front of the slots: the number of slots, the number of children with an expiry of their own, and the times
/// of two numbers each.
const LENGTH: usize = 0;
const EXPIRING: usize = 1;
const EARLIEST: usize = 2;
const LATEST: usize = 4;
const HEAD: usize = 6;
/// The bit of the number of children that expire: the latest time may be too late.
const INEXACT: u32 = 1 << 31;
/// The numbers of an empty list.
const EMPTY: [u32; HEAD] = [0, 0, u32::MAX, u32::MAX, 0, 0];
/// Children that the shortest list has room for.
const SHORTEST: usize = 4;
/// Children that are looked at before all are, those that were added last.
const NEWEST: usize = 64;

/// The children of a list that have an expiry of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChildExpiries {
    pub(super) count: usize,
    /// None expires before this, in Unix milliseconds; `u64::MAX` if none expires.
    pub(super) earliest_ms: u64,
    /// None expires after this; 0 if none expires.
    pub(super) latest_ms: u64,
    /// Whether one expires then.
    pub(super) is_exact: bool,
}

fn time_at(list: &[u32], at: usize) -> u64 {
    u64::from(list[at]) | u64::from(list[at + 1]) << 32
}

fn set_time(list: &mut [u32], at: usize, ms: u64) {
    (list[at], list[at + 1]) = (ms as u32, (ms >> 32) as u32);
}

impl ItemSlab {
    fn list(&self, parent: u32) -> &[u32] {
        let list = self.get(parent as usize).and_then(|item| item.list());
        list.map_or(&[], |list| {
            <[u32]>::ref_from_bytes(self.log.record(list)).expect("records are aligned")
        })
    }

    fn list_mut(&mut self, parent: u32) -> Option<&mut [u32]> {
        let list = self.item(parent).list()?;
        Some(<[u32]>::mut_from_bytes(self.log.record_mut(list)).expect("records are aligned"))
    }

    /// The children of an item.
    pub(super) fn children(&self, parent: u32) -> &[u32] {
        match self.list(parent) {
            [] => &[],
            list => &list[HEAD..HEAD + list[LENGTH] as usize],
        }
    }

    /// Bytes of memory that the list of an item's children takes.
    pub(super) fn list_bytes(&self, parent: u32) -> usize {
        let list = self.item(parent).list();
        list.map_or(0, |list| {
            super::record_log::room(self.log.record(list).len())
        })
    }

    /// The expiries of an item's children.
    pub(super) fn child_expiries(&self, parent: u32) -> ChildExpiries {
        let list = match self.list(parent) {
            [] => &EMPTY,
            list => list,
        };
        ChildExpiries {
            count: (list[EXPIRING] & !INEXACT) as usize,
            earliest_ms: time_at(list, EARLIEST),
            latest_ms: time_at(list, LATEST),
            is_exact: list[EXPIRING] & INEXACT == 0,
        }
    }

    /// Counts a child that expires at this time in (1) or out (-1).
    pub(super) fn count_expiring_child(&mut self, parent: u32, change: i32, expires_ms: u64) {
        let Some(list) = self.list_mut(parent) else {
            return;
        };
        let (mut inexact, latest_ms) = (list[EXPIRING] & INEXACT, time_at(list, LATEST));
        let count = (list[EXPIRING] & !INEXACT).saturating_add_signed(change);
        if expires_ms >= latest_ms {
            inexact = if change > 0 { 0 } else { INEXACT };
        }
        list[EXPIRING] = count | inexact;
        if count == 0 {
            list[EXPIRING..HEAD].copy_from_slice(&EMPTY[EXPIRING..]);
        } else if change > 0 {
            let earliest_ms = time_at(list, EARLIEST).min(expires_ms);
            set_time(list, EARLIEST, earliest_ms);
            set_time(list, LATEST, latest_ms.max(expires_ms));
        }
    }

    /// Replaces the time before which no child expires, if any of them does.
    pub(super) fn set_earliest_expiry(&mut self, parent: u32, earliest_ms: u64) {
        if let Some(list) = self.list_mut(parent) {
            set_time(list, EARLIEST, earliest_ms);
        }
    }

    /// The same for the time at which the last of them expires.
    pub(super) fn set_latest_expiry(&mut self, parent: u32, latest_ms: u64) {
        if let Some(list) = self.list_mut(parent) {
            set_time(list, LATEST, latest_ms);
            list[EXPIRING] &= !INEXACT;
        }
    }

    /// Whether one of an item's children has not expired itself. Constant time, unless all children have an expiry, some have
    /// expired, and the child that would have expired last was removed since the last look: then all are looked at once.
    pub(super) fn has_live_child(&mut self, parent: u32, now_ms: u64) -> bool {
        let (children, expiries) = (self.children(parent), self.child_expiries(parent));
        if expiries.count < children.len() || expiries.earliest_ms > now_ms {
            return true;
        }
        if expiries.is_exact || expiries.latest_ms <= now_ms {
            return expiries.latest_ms > now_ms;
        }
        let mut newest = children.iter().rev().take(NEWEST);
        if newest.any(|child| !self.item(*child).is_expired(now_ms)) {
            return true;
        }
        let times = children.iter().map(|child| self.item(*child).expires_ms());
        let latest_ms = times.flatten().max().unwrap_or(0);
        self.set_latest_expiry(parent, latest_ms);
        latest_ms > now_ms
    }

    /// Adds a child at the end.
    pub(super) fn push_child(&mut self, parent: u32, child: u32) {
        let (list, length) = (self.list(parent), self.children(parent).len());
        if list.is_empty() {
            // The parent's record gets the field before there is a list that could be moved.
            let mut head = self.item(parent).head();
            head.list = Some(super::slot::NONE);
            self.rewrite_header(parent, &head);
            self.store_list(parent, &EMPTY, SHORTEST);
        } else if HEAD + length == list.len() {
            let old = self.item(parent).list();
            let list = list.to_vec();
            self.store_list(parent, &list, length + length / 2);
            old.into_iter().for_each(|old| self.log.free(old));
        }
        if !self.reads.is_empty() {
            self.reads.note_addition(parent);
        }
        if let Some(list) = self.list_mut(parent) {
            list[HEAD + length] = child;
            list[LENGTH] += 1;
        }
        self.evacuate();
    }

    /// Stores a list with room for `room` children.
    fn store_list(&mut self, parent: u32, list: &[u32], room: usize) {
        let bytes = (HEAD + room) * size_of::<u32>();
        let address = self.log.push(parent, bytes, |record| {
            let record = <[u32]>::mut_from_bytes(record).expect("records are aligned");
            record[..list.len()].copy_from_slice(list);
        });
        self.set_list(parent, address);
    }

    /// Removes the child at a position, and returns the child that stands there now, if there is
    /// one.
    pub(super) fn remove_child(&mut self, parent: u32, position: u32) -> Option<u32> {
        if !self.reads.is_empty() {
            let children = self.children(parent);
            let (child, last) = (children[position as usize], children[children.len() - 1]);
            self.keep_for_reads(child);
            self.keep_for_reads(last);
        }
        let at = HEAD + position as usize;
        let list = self.list_mut(parent)?;
        let last = HEAD + list[LENGTH] as usize - 1;
        list[at] = list[last];
        list[LENGTH] -= 1;
        let moved = (at < last).then_some(list[at]);
        let (length, room) = (last - HEAD, list.len() - HEAD);
        if length == 0 {
            self.drop_list(parent);
        } else if length < room / 4 && room > SHORTEST {
            let old = self.item(parent).list();
            let list = self.list(parent)[..last].to_vec();
            self.store_list(parent, &list, SHORTEST.max(2 * length));
            old.into_iter().for_each(|old| self.log.free(old));
            self.evacuate();
        }
        moved
    }

    /// Removes the last child of an item that goes away itself, so its list isn't copied into a shorter one.
    pub(super) fn pop_child(&mut self, parent: u32) {
        if !self.reads.is_empty() {
            self.reads.note_removal(parent);
        }
        if let Some(list) = self.list_mut(parent) {
            list[LENGTH] -= 1;
            if list[LENGTH] == 0 {
                self.drop_list(parent);
            }
        }
    }

    fn drop_list(&mut self, parent: u32) {
        let mut head = self.item(parent).head();
        let old = head.list.take();
        old.into_iter().for_each(|old| self.log.free(old));
        self.rewrite_header(parent, &head);
    }
}
