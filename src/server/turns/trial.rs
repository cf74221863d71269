//! A trial: two numbers of workers are compared by the bytes that pass with each of them.
//!
//! Where all cores are in use, the times of the workers don't show whether another worker makes the server faster. The
//! system shares the cores among all threads that want them, so two workers get more time than one, and all others get
//! less. If the server was the slower side, more requests are answered. If the clients were, fewer are sent. So the server
//! tries it:
//!
//! ```text
//!   workers      2     1  1     2  2     1      each slice has its rate, and each pair of them a ratio
//!               └── pair ──┘└── pair ──┘ …      the larger number is better if the median is above GAIN
//! ```
//!
//! The order changes from pair to pair, so a load that rises or falls meanwhile favours neither.
//!
//! Cost: half of the slices have the number that turns out to be worse. [`active_workers`](super::active_workers) decides
//! how often that happens. This is a value without clock or sockets.

/// Pairs of slices.
const PAIRS: usize = 3;
/// The least length of a slice, in milliseconds: long enough that each thread has run several times.
const SLICE: u64 = 50;
/// Slices are longer by this part of a millisecond for each connection, because half of the connections move.
const SLICE_PER_CONNECTION: f64 = 0.1;
/// A slice that took so much longer than planned had no work for a part of it, and is repeated.
const LATE: f64 = 1.5;
/// The most slices that are repeated.
const REPEATS: u32 = 6;
/// The ratio of the rates from which on the larger number is better. A smaller gain isn't worth the time of other threads.
const GAIN: f64 = 1.1;

/// A trial that is under way.
#[derive(Debug)]
pub(super) struct Trial {
    /// The smaller of the two numbers; the other one is larger by one.
    fewer: usize,
    /// The number that was active before.
    before: usize,
    /// Milliseconds of a slice.
    slice: u64,
    /// Bytes a second of the slices so far.
    rates: Vec<f64>,
    repeats: u32,
}

impl Trial {
    /// Compares this number with the next larger one; the server has `before` active workers.
    pub(super) fn new(fewer: usize, before: usize, connections: usize) -> Trial {
        Trial {
            fewer,
            before,
            slice: SLICE + (connections as f64 * SLICE_PER_CONNECTION) as u64,
            rates: Vec::with_capacity(2 * PAIRS),
            repeats: 0,
        }
    }

    /// The number of active workers in the current slice.
    pub(super) fn workers(&self) -> usize {
        if matches!(self.rates.len() % 4, 0 | 3) {
            2 * self.fewer + 1 - self.before
        } else {
            self.before
        }
    }

    /// The length of a slice, in milliseconds.
    pub(super) fn slice(&self) -> u64 {
        self.slice
    }

    /// Ends a slice that took so long and had this rate. After the last one: the better of the two numbers.
    pub(super) fn end_slice(&mut self, seconds: f64, rate: f64) -> Option<usize> {
        if seconds > LATE * self.slice as f64 / 1e3 {
            self.repeats += 1;
            return (self.repeats > REPEATS).then_some(self.before);
        }
        self.rates.push(rate);
        (self.rates.len() == 2 * PAIRS).then(|| self.better())
    }

    fn better(&self) -> usize {
        // The other number comes first in the first pair, second in the second.
        let ratio = |(pair, rates): (usize, &[f64])| {
            let other_is_first = pair % 2 == 0;
            let more_is_first = other_is_first == (self.before == self.fewer);
            match more_is_first {
                true => rates[0] / rates[1].max(1.0),
                false => rates[1] / rates[0].max(1.0),
            }
        };
        let mut ratios: Vec<f64> = self.rates.chunks(2).enumerate().map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        self.fewer + usize::from(ratios[PAIRS / 2] > GAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length of a slice that was on time, and of one without work, in seconds.
    const ON_TIME: f64 = SLICE as f64 / 1e3;
    const LONG: f64 = 10.0 * ON_TIME;

    /// The outcome and the numbers of workers of the slices, if `rate` gives the rate for a number and a slice.
    fn run(before: usize, rate: impl Fn(usize, usize) -> f64) -> (usize, Vec<usize>) {
        let mut trial = Trial::new(1, before, 0);
        let mut numbers = Vec::new();
        loop {
            numbers.push(trial.workers());
            let rate = rate(trial.workers(), numbers.len());
            if let Some(better) = trial.end_slice(ON_TIME, rate) {
                return (better, numbers);
            }
            assert!(numbers.len() < 100);
        }
    }

    #[test]
    fn the_number_with_the_clearly_higher_rate_is_better() {
        for before in [1, 2] {
            let other = 3 - before;
            let order = vec![other, before, before, other, other, before];
            assert_eq!(
                run(before, |workers, _| [100.0, 130.0][workers - 1]),
                (2, order.clone())
            );
            assert_eq!(
                run(before, |workers, _| [100.0, 70.0][workers - 1]),
                (1, order.clone())
            );
            // A small gain isn't worth another thread.
            assert_eq!(
                run(before, |workers, _| [100.0, 105.0][workers - 1]),
                (1, order)
            );
        }
    }

    #[test]
    fn a_load_that_changes_meanwhile_favours_neither() {
        for before in [1, 2] {
            let rising = |_, slice: usize| 100.0 + 15.0 * slice as f64;
            assert_eq!(run(before, rising).0, 1);
            let falling = |workers: usize, slice: usize| {
                [100.0, 140.0][workers - 1] * (1.0 - 0.1 * slice as f64)
            };
            assert_eq!(run(before, falling).0, 2);
            let one_bad_slice = |workers: usize, slice: usize| {
                [100.0, 140.0][workers - 1] * if slice == 4 { 0.1 } else { 1.0 }
            };
            assert_eq!(run(before, one_bad_slice).0, 2);
        }
    }

    #[test]
    fn a_slice_without_work_is_repeated_and_a_trial_without_work_is_given_up() {
        let mut trial = Trial::new(1, 1, 0);
        assert_eq!(trial.workers(), 2);
        assert_eq!(trial.end_slice(LONG, 1.0), None);
        assert_eq!(trial.workers(), 2, "the same slice");
        assert_eq!(trial.end_slice(ON_TIME, 140.0), None);
        assert_eq!(trial.workers(), 1, "the next");
        for _ in 1..REPEATS {
            assert_eq!(trial.end_slice(LONG, 1.0), None);
        }
        assert_eq!(trial.end_slice(LONG, 1.0), Some(1));
    }

    #[test]
    fn slices_are_longer_with_many_connections() {
        assert_eq!(Trial::new(1, 1, 64).slice(), SLICE + 6);
        assert_eq!(Trial::new(1, 1, 10_000).slice(), SLICE + 1000);
    }
}
