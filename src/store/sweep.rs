//! Frees expired items that no client asks for, detached trees, and the memory of flushed items.
//!
//! A sweep looks at the slots of one shard after another, a slice at a time under the lock, and the
//! next sweep continues where it stopped. Shards in which nothing has expired yet are skipped: each has a time
//! before which none of its items expires, from the last sweep and the writes since. [`Sweeper`] is the thread that
//! does it: each tick a small part of the store, so that the whole store is checked within seconds. It sweeps again
//! at once if many items had expired. When nothing has expired, it sleeps until something will.
//!
//! It is woken when a tree is [detached](super::shard::detached), and frees it a piece at a time. A mutex isn't fair: a
//! thread that waits for it may miss the moment between two pieces. So the sweeper pauses after each piece.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::shards::{Store, locked};
use super::sweep_bell::{SweepBell, Wake};

/// Slots looked at under one lock: some tens of microseconds.
const SLICE: usize = 512;
/// Time between two pieces of detached trees, in which other threads get the lock.
const PAUSE: Duration = Duration::from_micros(50);
/// Time between two ticks of the sweeper.
const TICK: Duration = Duration::from_millis(100);
/// All slots are looked at within so many ticks, that is within ten seconds.
const ROUND: usize = 100;
/// A sweep that frees one in so many of the slots that it looked at is followed by another at once.
const RICH: usize = 4;

impl Store {
    /// Removes the expired items of about `slots` slots at most and returns their number. Each call
    /// continues where the last one stopped.
    pub(crate) fn sweep(&self, slots: usize) -> usize {
        let now_ms = self.now();
        let mut freed = 0;
        let mut left = slots;
        let mut passed = 0;
        while left > 0 && passed <= self.shards.len() {
            let cursor = self.swept.load(Ordering::Relaxed);
            let number = (cursor >> 32) as usize % self.shards.len();
            let from = (cursor & u64::from(u32::MAX)) as usize;
            let mut shard = locked(&self.shards[number]);
            let end = shard.slab.end();
            if from == 0 {
                shard.swept_expiry = u64::MAX;
            }
            let nothing_due = shard.expiring == 0 || shard.next_expiry > now_ms;
            let began = (!nothing_due).then(Instant::now);
            let to = if nothing_due {
                from
            } else {
                end.min(from + left.min(SLICE))
            };
            for index in from..to {
                let expiry = shard.slab.get(index).and_then(|slot| slot.expires_ms());
                match expiry {
                    // One of a detached tree goes with its tree.
                    Some(expires_ms)
                        if expires_ms <= now_ms && !shard.is_detached(index as u32) =>
                    {
                        let before = shard.slab.items();
                        shard.expire(index as u32);
                        freed += before - shard.slab.items();
                    }
                    Some(expires_ms) => shard.swept_expiry = shard.swept_expiry.min(expires_ms),
                    None => {}
                }
            }
            left -= to.saturating_sub(from);
            let next = if to < end && to > from {
                (number as u64) << 32 | to as u64
            } else {
                if shard.expiring == 0 {
                    shard.next_expiry = u64::MAX;
                } else if !nothing_due {
                    shard.next_expiry = shard.swept_expiry;
                }
                passed += 1;
                ((number as u64 + 1) % self.shards.len() as u64) << 32
            };
            self.swept.store(next, Ordering::Relaxed);
            self.settle(&mut shard);
            drop(shard);
            if let Some(began) = began {
                self.sweeps.report(began.elapsed(), now_ms);
            }
        }
        self.trim_after_removals();
        freed
    }
}

impl Store {
    /// Names the function that gets the time for which each slice of a sweep has locked its shard, and the Unix time in
    /// milliseconds. Only the first one counts.
    pub(crate) fn observe_sweeps(&self, observer: impl Fn(Duration, u64) + Send + Sync + 'static) {
        self.sweeps.set(Box::new(observer));
    }

    /// Unix time in milliseconds before which nothing expires.
    fn next_expiry(&self) -> u64 {
        let times = self.shards.iter().map(|shard| locked(shard).next_expiry);
        times.min().unwrap_or(u64::MAX)
    }

    /// The time that the sweeper sleeps; `None` without end.
    fn time_to_sweep(&self) -> Option<Duration> {
        self.sweep_bell.ring_before(u64::MAX);
        if self.sweep_bell.has_detached() {
            return Some(Duration::ZERO);
        }
        let next = self.next_expiry();
        self.sweep_bell.ring_before(next);
        if next == u64::MAX {
            return None;
        }
        let left = match self.clock() {
            Clock::System(_) => Duration::from_millis(next.saturating_sub(self.now_ms())),
            // A clock that is advanced by hand wakes no thread.
            Clock::Manual(_) => TICK,
        };
        Some(left.max(TICK))
    }
}

/// The thread that sweeps a store. It stops, promptly, when this is dropped.
#[derive(Debug)]
pub struct Sweeper {
    bell: Arc<SweepBell>,
    thread: Option<JoinHandle<()>>,
}

impl Sweeper {
    /// Starts to sweep. Fails if no thread can be started.
    pub fn start(store: Arc<Store>) -> io::Result<Sweeper> {
        let bell = Arc::clone(&store.sweep_bell);
        let thread = std::thread::Builder::new()
            .name("sweeper".into())
            .spawn(move || {
                loop {
                    match store.sweep_bell.wait(store.time_to_sweep()) {
                        Wake::Stopped => return,
                        Wake::Rung => continue,
                        Wake::Time => store.sweep_bell.ring_before(0),
                    }
                    // Items that expire meanwhile are looked for after each tick.
                    let tick = Instant::now() + TICK;
                    let bell = &store.sweep_bell;
                    store.free_detached(|| {
                        bell.wait(Some(PAUSE)) != Wake::Stopped && Instant::now() < tick
                    });
                    let slots = SLICE.max(store.slots() / ROUND);
                    let mut rounds = 0;
                    while store.sweep(slots) > slots / RICH && rounds < ROUND {
                        rounds += 1;
                    }
                }
            })?;
        Ok(Sweeper {
            bell,
            thread: Some(thread),
        })
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.bell.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the sweeper is on standard error already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Config, Entry};

    fn put(store: &Store, key: &[u8], expires_ms: Option<u64>) {
        let entry = Entry {
            value: Some(&[b"v"]),
            flags: 0,
            expires_ms,
        };
        store.lock(0, key).put(&[key], entry).unwrap();
    }

    #[test]
    fn the_time_before_which_nothing_expires_comes_from_writes_and_sweeps() {
        let store = Store::new(Config::default(), Clock::manual(1_000));
        assert_eq!(store.next_expiry(), u64::MAX);
        put(&store, b"never", None);
        assert_eq!(store.next_expiry(), u64::MAX);
        for number in 0..2_000u64 {
            put(&store, &number.to_le_bytes(), Some(5_000 + number));
        }
        put(&store, b"first", Some(2_000));
        assert_eq!(store.next_expiry(), 2_000);
        store.sweep(usize::MAX);
        assert_eq!(store.next_expiry(), 2_000, "nothing was due");
        store.clock().advance(Duration::from_millis(1_000));
        while store.sweep(100) == 0 {}
        // An item that is stored while the sweep is halfway through a shard counts too.
        put(&store, b"second", Some(3_000));
        for _ in 0..100 {
            store.sweep(100);
        }
        assert_eq!(store.next_expiry(), 3_000);
        put(&store, b"second", None);
        store.clock().advance(Duration::from_millis(1_000));
        store.sweep(usize::MAX);
        assert_eq!(store.next_expiry(), 5_000);
        store.clock().advance(Duration::from_secs(3_600));
        store.sweep(usize::MAX);
        store.sweep(usize::MAX);
        assert_eq!((store.next_expiry(), store.len(0)), (u64::MAX, 2));
    }

    #[test]
    fn the_time_of_a_sweep_is_reported_for_each_shard_in_which_something_is_due() {
        let store = Store::new(Config::default(), Clock::manual(1_000));
        let (reports, reported) = std::sync::mpsc::channel();
        store.observe_sweeps(move |_, now_ms| reports.send(now_ms).unwrap());
        put(&store, b"key", Some(2_000));
        store.sweep(usize::MAX);
        assert_eq!(reported.try_iter().count(), 0);
        store.clock().advance(Duration::from_millis(1_000));
        store.sweep(usize::MAX);
        assert_eq!(reported.try_iter().collect::<Vec<_>>(), [2_000]);
    }

    #[test]
    fn an_earlier_expiry_wakes_the_sweeper_and_a_later_one_does_not() {
        let bell = SweepBell::default();
        bell.ring_before(5_000);
        bell.note_expiry(5_000);
        assert_eq!(bell.wait(Some(Duration::ZERO)), Wake::Time);
        bell.note_expiry(4_999);
        assert_eq!(bell.wait(None), Wake::Rung);
        bell.note_expiry(1);
        assert_eq!(bell.wait(Some(Duration::ZERO)), Wake::Time, "it is awake");
        bell.stop();
        assert_eq!(bell.wait(None), Wake::Stopped);
    }
}
