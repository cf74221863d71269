//! Random numbers, and the numbers below a length in a random order.

use std::cell::Cell;

use ahash::RandomState;

/// The numbers below a length in a random order, without a list of them.
///
/// A Feistel network exchanges the numbers of twice so many bits as a half has; one that is too high is exchanged again until it is
/// below the length.
pub(super) struct RandomOrder {
    keys: RandomState,
    length: usize,
    /// Bits of a half.
    bits: u32,
}

impl RandomOrder {
    const ROUNDS: u64 = 4;

    pub(super) fn new(length: usize) -> RandomOrder {
        let bits = usize::BITS - length.saturating_sub(1).leading_zeros();
        RandomOrder {
            keys: RandomState::new(),
            length,
            bits: bits.div_ceil(2),
        }
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The number at a position of the order, which is below the length.
    pub(super) fn position(&self, number: usize) -> usize {
        let mask = (1 << self.bits) - 1;
        let mut number = number as u64;
        loop {
            let (mut left, mut right) = (number >> self.bits, number & mask);
            for round in 0..RandomOrder::ROUNDS {
                let mixed = self.keys.hash_one((round, right)) & mask;
                (left, right) = (right, left ^ mixed);
            }
            number = left << self.bits | right;
            if number < self.length as u64 {
                return number as usize;
            }
        }
    }
}

/// A random number below `bound`, all about equally likely; 0 if the bound is 0.
pub(super) fn random_below(bound: usize) -> usize {
    thread_local! {
        /// The seed, and the number of draws so far.
        static DRAWS: (RandomState, Cell<u64>) = (RandomState::new(), Cell::new(0));
    }
    let random = DRAWS.with(|(state, draws)| {
        draws.set(draws.get().wrapping_add(1));
        state.hash_one(draws.get())
    });
    // The high half of the product spreads 64 bits over the bound.
    ((u128::from(random) * bound as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_order_has_every_number_once() {
        for length in [1, 2, 3, 4, 5, 15, 16, 17, 1000, 65_537] {
            let order = RandomOrder::new(length);
            let mut numbers: Vec<usize> = (0..length).map(|n| order.position(n)).collect();
            let is_sorted = numbers.is_sorted();
            numbers.sort_unstable();
            assert!(numbers.iter().copied().eq(0..length));
            assert!(length < 100 || !is_sorted);
        }
    }

    #[test]
    fn each_number_is_the_first_of_some_order() {
        let mut seen = [0; 10];
        for _ in 0..10_000 {
            seen[RandomOrder::new(10).position(0)] += 1;
        }
        assert!(
            seen.iter().all(|&count| (700..1300).contains(&count)),
            "{seen:?}"
        );
    }

    #[test]
    fn every_number_below_the_bound_comes_up() {
        let mut seen = [0; 10];
        for _ in 0..10_000 {
            seen[random_below(10)] += 1;
        }
        assert!(
            seen.iter().all(|&count| (700..1300).contains(&count)),
            "{seen:?}"
        );
        assert_eq!(random_below(0), 0);
        assert_eq!(random_below(1), 0);
    }
}
