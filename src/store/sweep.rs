//! Frees expired items that no client asks for.
//!
//! A sweep looks at the slots of one shard after another, a slice at a time under the lock, and the
//! next sweep continues where it stopped. Shards in which nothing can expire are skipped.
//! [`Sweeper`] is the thread that does it: each tick a small part of the store, so that the whole
//! store is checked within seconds. It sweeps again at once if many items had expired.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use super::shards::{Store, locked};

/// Slots looked at under one lock: some tens of microseconds.
const SLICE: usize = 512;
/// Time between two ticks of the sweeper.
const TICK: Duration = Duration::from_millis(100);
/// All slots are looked at within so many ticks, that is within ten seconds.
const ROUND: usize = 100;
/// A sweep that frees one in so many of the slots that it looked at is followed by another at once.
const RICH: usize = 4;

impl Store {
    /// Removes the expired items of up to about so many slots and returns their number. Each call
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
            let to = if shard.expiring == 0 {
                from
            } else {
                end.min(from + left.min(SLICE))
            };
            for index in from..to {
                if shard
                    .slab
                    .get(index)
                    .is_some_and(|slot| slot.is_expired(now_ms))
                {
                    let before = shard.slab.items();
                    shard.expire(index as u32);
                    freed += before - shard.slab.items();
                }
            }
            left -= to.saturating_sub(from);
            let next = if to < end && to > from {
                (number as u64) << 32 | to as u64
            } else {
                passed += 1;
                ((number as u64 + 1) % self.shards.len() as u64) << 32
            };
            self.swept.store(next, Ordering::Relaxed);
            self.settle(&mut shard);
        }
        freed
    }
}

/// The thread that sweeps a store. It stops, promptly, when this is dropped.
#[derive(Debug)]
pub struct Sweeper {
    /// Dropped to tell the thread to stop.
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sweeper {
    /// Starts to sweep. Fails if no thread can be started.
    pub fn start(store: Arc<Store>) -> io::Result<Sweeper> {
        let (alive, stop) = bounded::<()>(0);
        let thread = std::thread::Builder::new()
            .name("sweeper".into())
            .spawn(move || {
                while stop.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    let slots = SLICE.max(store.slots() / ROUND);
                    let mut rounds = 0;
                    while store.sweep(slots) > slots / RICH && rounds < ROUND {
                        rounds += 1;
                    }
                }
            })?;
        Ok(Sweeper {
            alive: Some(alive),
            thread: Some(thread),
        })
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the sweeper is on standard error already.
            let _ = thread.join();
        }
    }
}
