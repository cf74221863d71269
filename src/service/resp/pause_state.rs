//! The state of CLIENT PAUSE: the end of the pause, and whether it holds all commands or writes alone.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A pause of clients, or none.
#[derive(Debug, Default)]
pub(super) struct Pause {
    /// The end of the pause by the store's clock, in milliseconds, shifted by one bit; 0 without a pause. The lowest bit is set if all
    /// commands wait, and not only those that write.
    end: AtomicU64,
}

impl Pause {
    /// Begins a pause up to this time, or extends the present one.
    pub(super) fn begin(&self, end_ms: u64, all: bool, now_ms: u64) {
        let longer = |old: u64| {
            let old = if old >> 1 > now_ms { old } else { 0 };
            let end = end_ms.max(old >> 1);
            Some(end << 1 | old & 1 | u64::from(all))
        };
        let _ = self.end.fetch_update(Relaxed, Relaxed, longer);
    }

    pub(super) fn end(&self) {
        self.end.store(0, Relaxed);
    }

    /// Whether there may be a pause.
    #[inline]
    pub(super) fn may_hold(&self) -> bool {
        self.end.load(Relaxed) != 0
    }

    /// The commands that wait at this time: `None` if no command does, or whether all do, and not only those that write.
    #[cold]
    pub(super) fn holds(&self, now_ms: u64) -> Option<bool> {
        let end = self.end.load(Relaxed);
        if end >> 1 > now_ms {
            return Some(end & 1 == 1);
        }
        // Not if another pause has begun meanwhile.
        let _ = self.end.compare_exchange(end, 0, Relaxed, Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_at_its_time_and_a_second_one_only_extends_it() {
        let pause = Pause::default();
        assert!(!pause.may_hold());
        pause.begin(2000, false, 1000);
        assert_eq!(pause.holds(1999), Some(false));
        pause.begin(1500, true, 1000);
        assert_eq!(pause.holds(1999), Some(true));
        assert_eq!(pause.holds(2000), None);
        assert!(!pause.may_hold());
        pause.begin(3000, false, 2500);
        assert_eq!(pause.holds(2999), Some(false));
        pause.end();
        assert_eq!(pause.holds(2999), None);
    }
}
