//! Storing a value: set, add, replace, append and prepend, with or without a cas unique.

use crate::origin::{PeerReply, PeerRequest, PeerStatus};
use crate::store::{Entry, Marks, Node, Refused, Reservation, Tree};

use crate::service::memcached::prefixes::KeyUse;
use crate::service::memcached::watch::EventKinds;

use super::{DATABASE, Operations, Place, expires_ms};

/// A storage command without its key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreRequest {
    pub(crate) mode: StoreMode,
    /// The client's flags; an append or prepend leaves those of the item.
    pub(crate) flags: u32,
    /// The same holds for the exptime.
    pub(crate) exptime: i64,
    /// The cas unique that the item must have. A set or replace with one is a cas, for which a missing item is
    /// [`NotFound`](StoreOutcome::NotFound). An add ignores it.
    pub(crate) expected: Option<u64>,
    /// Stores also if the item's cas unique is higher than the expected one, and marks the item as stale.
    pub(crate) allows_stale: bool,
    /// The cas unique that the item gets.
    pub(crate) new_cas: Option<u64>,
    /// The exptime with which an append or prepend makes an item if there is none.
    pub(crate) vivify: Option<i64>,
    /// Whether the key was sent in base64.
    pub(crate) base64_key: bool,
}

impl StoreRequest {
    /// A storage command without further conditions.
    pub(crate) fn new(mode: StoreMode, flags: u32, exptime: i64) -> StoreRequest {
        StoreRequest {
            mode,
            flags,
            exptime,
            expected: None,
            allows_stale: false,
            new_cas: None,
            vivify: None,
            base64_key: false,
        }
    }

    /// Whether it is a set without conditions.
    pub(crate) fn is_plain(&self) -> bool {
        self.mode == StoreMode::Set && self.expected.is_none()
    }
}

/// The condition under which a value is stored, and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreMode {
    Set,
    Add,
    Replace,
    Append,
    Prepend,
}

/// The value of a storage command.
pub(crate) enum NewValue<'a> {
    /// In the connection's input.
    Bytes(&'a [u8]),
    /// In memory of the store. Not for append and prepend.
    Received(Reservation),
}

impl NewValue<'_> {
    fn length(&self) -> usize {
        match self {
            NewValue::Bytes(bytes) => bytes.len(),
            NewValue::Received(reservation) => reservation.length(),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            NewValue::Bytes(bytes) => bytes,
            NewValue::Received(_) => b"",
        }
    }
}

/// The outcome of a storage command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreOutcome {
    /// The value was stored.
    Stored {
        /// The item's new cas unique.
        cas: u64,
        /// Bytes of the whole value.
        length: usize,
    },
    /// The condition of an add or replace does not hold, an append or prepend has no item or makes it too large, or a
    /// parent is missing.
    NotStored,
    /// The item has another cas unique than the expected one.
    Exists,
    /// There is no item with the expected cas unique.
    NotFound,
    /// Key and value are over the limit of an item.
    TooLarge,
    /// There is no room.
    NoMemory,
}

impl Operations<'_> {
    /// Whether an item with such a key and value may be stored, as far as its size goes. If not, the protocol discards
    /// the value and calls [`refuse`](Operations::refuse).
    pub(crate) fn fits(&self, path: &[&[u8]], value: usize) -> bool {
        let key = path.last().map_or(0, |name| name.len());
        key.saturating_add(value) <= self.shared.max_item_size()
    }

    /// Counts a storage command whose value is not taken in, and reports it. With `removes` the stored item is removed, so that no
    /// client reads a value that a writer meant to replace; memcached does so for a set.
    pub(crate) fn refuse(
        &mut self,
        path: &[&[u8]],
        request: &StoreRequest,
        removes: bool,
        why: StoreOutcome,
    ) -> StoreOutcome {
        match why {
            StoreOutcome::TooLarge => self.counts.store_too_large += 1,
            _ => self.counts.store_no_memory += 1,
        }
        if removes {
            // Also on the peer that owns the key.
            self.note_change(path[0]);
        }
        let mut tree = self.shared.store.lock(DATABASE, path[0]);
        self.report_store(&mut tree, path, request, why, 0);
        if removes {
            match self.look_up(&mut tree, path) {
                Some(node) => tree.remove(node),
                None => tree.note_removal(path),
            }
        }
        why
    }

    /// Stores a value.
    pub(crate) fn store(
        &mut self,
        path: &[&[u8]],
        request: &StoreRequest,
        value: NewValue<'_>,
    ) -> StoreOutcome {
        self.counts.cmd_set += 1;
        if let NewValue::Bytes(bytes) = value {
            match self.place(path, || storing(path, request, bytes)) {
                Place::Here => {}
                Place::Elsewhere => return StoreOutcome::NoMemory,
                Place::Done(reply) => return stored(&reply),
            }
        } else {
            self.note_change(path[0]);
        }
        self.shared.prefixes.count(path[0], KeyUse::Set);
        let length = value.length();
        self.gather_room(path, length);
        let mut tree = self.shared.store.lock(DATABASE, path[0]);
        match self.store_locked(&mut tree, path, request, value) {
            Ok(StoreOutcome::NoMemory) => {
                drop(tree);
                self.refuse(path, request, false, StoreOutcome::NoMemory)
            }
            Ok(outcome) => {
                self.report_store(&mut tree, path, request, outcome, length);
                outcome
            }
            Err(why) => {
                drop(tree);
                self.refuse(path, request, request.is_plain(), why)
            }
        }
    }

    /// [`store`](Operations::store) under the lock of the path's first key. An error is to be
    /// [refused](Operations::refuse).
    fn store_locked(
        &mut self,
        tree: &mut Tree<'_>,
        path: &[&[u8]],
        request: &StoreRequest,
        value: NewValue<'_>,
    ) -> Result<StoreOutcome, StoreOutcome> {
        // A plain set has no condition, so it costs no look-up but the store's own.
        let is_plain = request.is_plain();
        let mut new = NewItem {
            expires_ms: expires_ms(request.exptime, tree.now_ms()),
            marks: Marks {
                base64_key: request.base64_key,
                ..Marks::default()
            },
        };
        if !is_plain || self.shared.log.wants(EventKinds::FETCHERS) {
            let there = self.look_up(tree, path);
            if !is_plain
                && let Err(outcome) = self.condition(tree, there, request, &value, &mut new)
            {
                return Ok(outcome);
            }
        }
        let entry = Entry {
            value: None,
            flags: request.flags,
            expires_ms: new.expires_ms,
        };
        let stored = match value {
            NewValue::Bytes(bytes) => {
                let value: Option<&[&[u8]]> = Some(&[bytes]);
                tree.put(path, Entry { value, ..entry })
            }
            NewValue::Received(received) => tree.put_received(path[0], entry, received),
        };
        match stored {
            Ok(node) => {
                if new.marks != Marks::default() {
                    tree.set_marks(node, new.marks);
                }
                Ok(stored_item(tree, node, request))
            }
            Err(Refused::NoParent) => Ok(StoreOutcome::NotStored),
            Err(Refused::TooLarge) => Err(StoreOutcome::TooLarge),
            Err(_) => Err(StoreOutcome::NoMemory),
        }
    }

    /// Checks the condition under which the value is stored in a new item. If that is not so, the outcome: of the
    /// condition, or of an append or prepend, which may have no memory.
    fn condition(
        &mut self,
        tree: &mut Tree<'_>,
        there: Option<Node>,
        request: &StoreRequest,
        value: &NewValue<'_>,
        new: &mut NewItem,
    ) -> Result<(), StoreOutcome> {
        // An item without data, such as a Redis hash, exists for `add` and is missing for the
        // others.
        let with_value = there.filter(|node| tree.item(*node).value().is_some());
        let Some(node) = with_value else {
            return self.missing(there, request, new, tree.now_ms());
        };
        let cas = tree.item(node).cas();
        let differs = request.expected.is_some_and(|expected| expected != cas);
        match request.mode {
            StoreMode::Add => Err(StoreOutcome::NotStored),
            StoreMode::Append if !differs => {
                Err(self.extend(tree, node, (b"", value.as_bytes()), request))
            }
            StoreMode::Prepend if !differs => {
                Err(self.extend(tree, node, (value.as_bytes(), b""), request))
            }
            StoreMode::Append | StoreMode::Prepend => Err(StoreOutcome::Exists),
            StoreMode::Set | StoreMode::Replace if !differs => {
                self.counts.cas_hits += u64::from(request.expected.is_some());
                Ok(())
            }
            // The client's cas unique is of an older value: the new value is better than none, but out of date.
            StoreMode::Set | StoreMode::Replace
                if request.allows_stale && (1..cas).contains(&request.expected.unwrap_or(0)) =>
            {
                self.counts.cas_hits += 1;
                let item = tree.item(node);
                new.expires_ms = item.expires_ms();
                new.marks.stale = true;
                new.marks.won = item.marks().won;
                Ok(())
            }
            StoreMode::Set | StoreMode::Replace => {
                self.counts.cas_badval += 1;
                Err(StoreOutcome::Exists)
            }
        }
    }

    /// The part of [`condition`](Operations::condition) for a missing item, or one without data.
    fn missing(
        &mut self,
        there: Option<Node>,
        request: &StoreRequest,
        new: &mut NewItem,
        now_ms: u64,
    ) -> Result<(), StoreOutcome> {
        match request.mode {
            StoreMode::Set | StoreMode::Replace if request.expected.is_some() => {
                self.counts.cas_misses += 1;
                Err(StoreOutcome::NotFound)
            }
            StoreMode::Add if there.is_none() => Ok(()),
            StoreMode::Append | StoreMode::Prepend if there.is_none() => {
                let exptime = request.vivify.ok_or(StoreOutcome::NotStored)?;
                new.expires_ms = expires_ms(exptime, now_ms);
                Ok(())
            }
            _ => Err(StoreOutcome::NotStored),
        }
    }

    /// `append` and `prepend`. An item that would grow too large stays as it is; memcached answers the same.
    fn extend(
        &self,
        tree: &mut Tree<'_>,
        node: Node,
        (before, after): (&[u8], &[u8]),
        request: &StoreRequest,
    ) -> StoreOutcome {
        let item = tree.item(node);
        let old = item.key().len() + item.value().unwrap_or_default().len();
        if old + before.len() + after.len() > self.shared.max_item_size() {
            return StoreOutcome::NotStored;
        }
        match tree.extend_value(node, before, after) {
            Ok(()) => {
                tree.clear_marks(node);
                stored_item(tree, node, request)
            }
            Err(Refused::OutOfMemory) => StoreOutcome::NoMemory,
            Err(_) => StoreOutcome::NotStored,
        }
    }

    /// Before an item is stored in a store that doesn't evict: gathers the room that removed items have left. If there is none, the
    /// store refuses the item, unless it takes the room of an older one.
    pub(super) fn gather_room(&self, path: &[&[u8]], value: usize) {
        let key = path.last().map_or(0, |name| name.len());
        self.shared.store.has_room_for(1, key + value);
    }
}

/// The parts of a new item beside its value and flags.
struct NewItem {
    expires_ms: Option<u64>,
    marks: Marks,
}

fn stored_item(tree: &mut Tree<'_>, node: Node, request: &StoreRequest) -> StoreOutcome {
    if let Some(cas) = request.new_cas {
        tree.set_cas(node, cas);
    }
    let item = tree.item(node);
    StoreOutcome::Stored {
        cas: item.cas(),
        length: item.value().map_or(0, <[u8]>::len),
    }
}

/// Storage, for the owner of the key.
fn storing(path: &[&[u8]], request: &StoreRequest, value: &[u8]) -> PeerRequest {
    let mut flags = vec!["c".to_owned(), "s".to_owned()];
    flags.push(format!("T{}", request.exptime));
    flags.push(format!("F{}", request.flags));
    flags.push(match request.mode {
        StoreMode::Set => "MS".into(),
        StoreMode::Add => "ME".into(),
        StoreMode::Replace => "MR".into(),
        StoreMode::Append => "MA".into(),
        StoreMode::Prepend => "MP".into(),
    });
    flags.extend(request.expected.map(|cas| format!("C{cas}")));
    PeerRequest {
        value: Some(value.to_vec()),
        ..PeerRequest::new("ms", path, flags)
    }
}

fn stored(reply: &PeerReply) -> StoreOutcome {
    match reply.status {
        PeerStatus::Done => StoreOutcome::Stored {
            cas: reply.number('c'),
            length: usize::try_from(reply.number('s')).unwrap_or_default(),
        },
        PeerStatus::NotStored => StoreOutcome::NotStored,
        PeerStatus::Exists => StoreOutcome::Exists,
        PeerStatus::NotFound | PeerStatus::Miss => StoreOutcome::NotFound,
    }
}
