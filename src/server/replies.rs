//! Memory for replies and for unfinished requests: a bound over all connections, and the policy at the bound.
//!
//! ```text
//!   turn ──reserve──▶ counted for the connection ──▶ written: the rest stays counted ──▶ all written: 0
//!          │                                           │
//!          └ no: Next::AwaitMemory                     └ all together over the bound: the largest is closed
//! ```
//!
//! A reply is counted once it is larger than [`OUTPUT_SOFT_LIMIT`](super::limits::OUTPUT_SOFT_LIMIT), before it is put
//! together, and so is every reply that the socket did not accept whole. So a client that reads its small replies
//! costs nothing here.
//!
//! A request of which a part has arrived is counted too, from [`COUNTED_REQUEST`](super::limits::COUNTED_REQUEST) bytes on.
//! The value of a plain set isn't: it arrives in the memory of its item.
//!
//! The policy has three rules:
//! - A large reply is made only while all replies, itself included, take at most three quarters of the bound. Otherwise its
//!   connection waits. The rest is for small replies, which never wait.
//! - If a connection has waited for [`REPLY_PATIENCE`](super::limits::REPLY_PATIENCE), a client that has not read its
//!   reply, or not sent the rest of its request, in as long is closed, the one with the most bytes first. Clients that read
//!   their replies within that time only slow each other down.
//! - If all together take more than the bound, a connection is closed at once: the one with the most bytes of those that
//!   have had some for as long as above, or else of all. That happens when many clients leave small replies unread or
//!   requests unfinished, or when changes whose replies are large can't wait.
//!
//! Redis closes the largest connection at its `maxmemory-clients` at once. Well-behaved clients that read many large
//! values at a time can reach the bound, so here they wait first.
//!
//! Cost: nothing for small replies that the socket takes. For others two additions to a shared counter, and at the
//! bound a look at all connections.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::connections::{Connection, Connections, ticks};
use super::limits::REPLY_RETRY;
use super::reply_memory::counted;

impl Connections {
    /// Bytes that replies and unfinished requests take now, as far as they are counted: large ones, and replies that clients
    /// have not read.
    pub fn reply_memory(&self) -> usize {
        self.replies.held.load(Relaxed)
    }

    /// Bytes that the replies and unfinished requests of all connections may take.
    pub fn max_reply_memory(&self) -> usize {
        self.replies.most.load(Relaxed)
    }

    /// Changes how many bytes the replies and unfinished requests of all connections may take.
    pub fn set_max_reply_memory(&self, bytes: usize) {
        self.replies.most.store(bytes, Relaxed);
    }

    /// Changes how long a connection waits for memory for its reply before a client is closed that has left its own
    /// unread for as long. A second by default.
    pub fn set_reply_patience(&self, patience: Duration) {
        let ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        self.replies.patience_ms.store(ms, Relaxed);
    }

    /// Bytes that one reply may take at most.
    pub fn max_reply(&self) -> usize {
        let most = self.max_reply_memory();
        most - most / 4
    }

    /// The number of times that a connection had to wait for memory for its reply.
    pub fn reply_waits(&self) -> u64 {
        self.replies.waits.load(Relaxed)
    }

    /// Connections that were closed because their replies or requests took too much memory.
    pub fn closed_for_replies(&self) -> u64 {
        self.replies.closed.load(Relaxed)
    }

    /// Counts this many bytes for the replies of a connection's turn. `false` if others have to be written before: then
    /// the session drops its part of the reply and returns [`Next::AwaitMemory`](super::Next::AwaitMemory).
    ///
    /// A reply over [`max_reply`](Connections::max_reply) is counted without a wait, which would have no end.
    pub(crate) fn reserve_reply(&self, connection: &Connection, bytes: usize) -> bool {
        let share = &connection.replies;
        let counted = share.bytes.load(Relaxed);
        if bytes <= counted || connection.is_detached() {
            return true;
        }
        let (more, most) = (bytes - counted, self.max_reply());
        let held = &self.replies.held;
        let fits = |held: usize| (bytes > most || held + more <= most).then_some(held + more);
        if held.fetch_update(Relaxed, Relaxed, fits).is_err() {
            // The size of the reply is not known. A further try should get further.
            if share.wanted.swap((2 * bytes).min(most), Relaxed) == 0 {
                share.wanted_since.store(ticks(), Relaxed);
                self.replies.waits.fetch_add(1, Relaxed);
            }
            // The session drops what it has. That is counted at once: otherwise several connections whose replies grow at the same
            // time would refuse each other again and again.
            share.kept.store(0, Relaxed);
            held.fetch_sub(share.bytes.swap(0, Relaxed), Relaxed);
            return false;
        }
        share.add(more, ticks());
        share.wanted.store(0, Relaxed);
        true
    }

    /// Counts this many bytes for a reply that can't wait, because its command has had its effect.
    pub(crate) fn count_reply(&self, connection: &Connection, bytes: usize) {
        let counted = connection.replies.bytes.load(Relaxed);
        if bytes > counted && !connection.is_detached() {
            self.replies.held.fetch_add(bytes - counted, Relaxed);
            connection.replies.add(bytes - counted, ticks());
        }
    }

    /// Counts this many bytes of a reply that the session keeps until later turns, beside those of its output. 0 when it has
    /// put all into the output. While the reply grows, its client has not left it unread.
    #[inline]
    pub(crate) fn keep_reply(&self, connection: &Connection, bytes: usize) {
        let share = &connection.replies;
        let before = share.kept.load(Relaxed);
        if bytes == before {
            return;
        }
        share.kept.store(bytes, Relaxed);
        if bytes > before {
            share.since.store(ticks(), Relaxed);
        }
    }

    /// Counts the rest of a connection's replies after a write, and closes connections if all take too much.
    #[inline]
    pub(super) fn settle_reply(&self, connection: &Connection, left: usize) {
        let left = left + connection.replies.kept.load(Relaxed);
        let counted = connection.replies.bytes.load(Relaxed);
        if counted != left {
            self.recount_reply(connection, left);
        }
    }

    #[cold]
    fn recount_reply(&self, connection: &Connection, left: usize) {
        let share = &connection.replies;
        let before = share.bytes.swap(left, Relaxed);
        if before == 0 {
            share.since.store(ticks(), Relaxed);
        }
        self.hold(before, left);
    }

    /// Notes what has arrived of a connection's unfinished request, and the memory that it is in. A large one is counted,
    /// and connections are closed if all take too much.
    #[inline]
    pub(super) fn settle_request(&self, connection: &Connection, arrived: usize, room: usize) {
        let share = &connection.replies;
        if share.request_room.load(Relaxed) != room {
            share.request_room.store(room, Relaxed);
        }
        if share.request.load(Relaxed) != arrived {
            self.recount_request(connection, arrived);
        }
    }

    #[cold]
    fn recount_request(&self, connection: &Connection, arrived: usize) {
        let share = &connection.replies;
        let before = counted(share.request.swap(arrived, Relaxed));
        let after = counted(arrived);
        if before == after {
            return;
        }
        if before == 0 {
            share.since.store(ticks(), Relaxed);
        }
        self.hold(before, after);
    }

    /// Changes the sum by that of one connection.
    fn hold(&self, before: usize, after: usize) {
        if after > before {
            self.replies.held.fetch_add(after - before, Relaxed);
        } else {
            self.replies.held.fetch_sub(before - after, Relaxed);
            self.notify_waiting();
        }
        let patience = self.replies.patience_ms.load(Relaxed);
        while self.reply_memory() > self.max_reply_memory()
            && (self.close_largest(patience) || self.close_largest(0))
        {}
    }

    /// Whether a connection that waits for memory may try again. If it has waited for long, a client that does not read
    /// is closed.
    pub(super) fn may_reply(&self, connection: &Connection) -> bool {
        let share = &connection.replies;
        let wanted = share.wanted.load(Relaxed);
        let fits = || self.reply_memory() + wanted <= self.max_reply() + share.bytes.load(Relaxed);
        if wanted == 0 || fits() {
            return true;
        }
        let waited = ticks().saturating_sub(share.wanted_since.load(Relaxed));
        let patience = self.replies.patience_ms.load(Relaxed);
        waited >= patience && self.close_largest(patience) && fits()
    }

    /// Blocks the thread of a connection that waits for memory until it may try again.
    pub(super) fn wait_to_reply(&self, connection: &Connection) {
        let replies = &self.replies;
        let mut waiting = replies
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *waiting += 1;
        while !self.may_reply(connection) {
            let woken = replies.freed.wait_timeout(waiting, REPLY_RETRY);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        *waiting -= 1;
    }

    fn notify_waiting(&self) {
        // A thread that is missed here checks again by itself, after a short time.
        if let Ok(waiting) = self.replies.waiting.try_lock()
            && *waiting > 0
        {
            self.replies.freed.notify_all();
        }
    }

    /// Closes the connection with the most bytes of those that have had some for this many milliseconds; `false` if there
    /// is none.
    fn close_largest(&self, age: u64) -> bool {
        let now = ticks();
        let mut largest = None;
        let mut most = 0;
        self.for_each_record(|connection| {
            let share = &connection.replies;
            let bytes = share.bytes.load(Relaxed) + share.counted_request();
            if bytes > most && now.saturating_sub(share.since.load(Relaxed)) >= age {
                (largest, most) = (Some(connection.clone()), bytes);
            }
        });
        let Some(connection) = largest else {
            return false;
        };
        // Its memory is freed when its worker closes it. Counted now, it is not closed twice.
        let unread = connection.replies.bytes.swap(0, Relaxed);
        let unfinished = counted(connection.replies.request.swap(0, Relaxed));
        self.replies.held.fetch_sub(unread + unfinished, Relaxed);
        self.replies.closed.fetch_add(1, Relaxed);
        log::warn!(
            "{} {}: closing, its client has not read {unread} bytes of replies and has sent {unfinished} bytes of an \
             unfinished request, and those of all connections take too much of the {} bytes that they may take",
            connection.protocol(),
            connection.peer(),
            self.max_reply_memory(),
        );
        connection.kill();
        true
    }
}
