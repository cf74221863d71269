//! Times of a store's clock as times of the wall clock, and back.
//!
//! A store's clock follows the wall clock only at its start. Since then the wall clock may have been stepped, or
//! corrected bit by bit.

/// A smaller difference comes from reading two clocks one after the other. It is ignored, so that a time stays exactly
/// the same through any number of restarts.
const LEAST_MS: u64 = 1000;

/// The way from one clock to another.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeShift {
    from_ms: u64,
    to_ms: u64,
}

impl TimeShift {
    /// The way between two clocks that show these times now.
    pub(super) fn between(from_ms: u64, to_ms: u64) -> TimeShift {
        let to_ms = match from_ms.abs_diff(to_ms) {
            ..LEAST_MS => from_ms,
            _ => to_ms,
        };
        TimeShift { from_ms, to_ms }
    }

    /// A time of the first clock, as the second shows it.
    pub(super) fn shift(self, time_ms: u64) -> u64 {
        match self.to_ms.checked_sub(self.from_ms) {
            Some(later) => time_ms.saturating_add(later),
            None => time_ms.saturating_sub(self.from_ms - self.to_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_as_long_on_either_clock() {
        for (store_ms, wall_ms) in [(50_000, 90_000), (90_000, 50_000), (5_000, 5_999)] {
            let there = TimeShift::between(store_ms, wall_ms);
            let back = TimeShift::between(wall_ms, store_ms);
            let expires_ms = store_ms + 7_000;
            let far = store_ms.abs_diff(wall_ms) >= 1000;
            let on_wall = if far { wall_ms + 7_000 } else { expires_ms };
            assert_eq!(there.shift(expires_ms), on_wall);
            assert_eq!(back.shift(there.shift(expires_ms)), expires_ms);
        }
        let back = TimeShift::between(90_000, 50_000);
        assert_eq!(back.shift(10), 0);
        let there = TimeShift::between(50_000, 90_000);
        assert_eq!(there.shift(u64::MAX), u64::MAX);
    }
}
