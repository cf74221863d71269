//! Ranks with a Zipf distribution: the rank r comes with a probability proportional to 1 / r^s.
//!
//! Rejection-inversion (Hörmann and Derflinger 1996) needs no table: a few logarithms a sample for any number of keys,
//! and fewer than 1.2 attempts on average.

use fastrand::Rng;

/// The distribution over the ranks from 0 to n - 1.
#[derive(Debug, Clone)]
pub(super) struct Zipf {
    ranks: f64,
    exponent: f64,
    /// The integral of the hat at its two ends.
    first: f64,
    last: f64,
    /// Candidates this close to their rank are taken without a further look.
    near: f64,
}

impl Zipf {
    /// Over `ranks` ranks, at least one; the exponent is above 0.
    pub(super) fn new(ranks: u64, exponent: f64) -> Zipf {
        let mut zipf = Zipf {
            ranks: ranks as f64,
            exponent,
            first: 0.0,
            last: 0.0,
            near: 0.0,
        };
        zipf.first = zipf.integral(1.5) - 1.0;
        zipf.last = zipf.integral(zipf.ranks + 0.5);
        zipf.near = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.weight(2.0));
        zipf
    }

    /// A rank; 0 is the most frequent.
    pub(super) fn sample(&self, random: &mut Rng) -> u64 {
        loop {
            let area = self.last + random.f64() * (self.first - self.last);
            let x = self.inverse(area);
            let rank = (x + 0.5).floor().clamp(1.0, self.ranks);
            if rank - x <= self.near || area >= self.integral(rank + 0.5) - self.weight(rank) {
                return rank as u64 - 1;
            }
        }
    }

    fn weight(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// The integral of the weight; exact for an exponent of 1, too.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        let y = (1.0 - self.exponent) * log;
        log * if y.abs() > 1e-8 {
            y.exp_m1() / y
        } else {
            1.0 + y / 2.0
        }
    }

    fn inverse(&self, area: f64) -> f64 {
        let y = (area * (1.0 - self.exponent)).max(-1.0);
        let log = if y.abs() > 1e-8 {
            y.ln_1p() / y
        } else {
            1.0 - y / 2.0
        };
        (log * area).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_have_the_frequencies_of_the_distribution() {
        const SAMPLES: u32 = 200_000;
        for exponent in [0.5, 0.99, 1.0, 1.3] {
            for ranks in [1, 2, 10, 1000] {
                let zipf = Zipf::new(ranks, exponent);
                let mut random = Rng::with_seed(7);
                let mut counts = vec![0u32; usize::try_from(ranks).expect("small")];
                for _ in 0..SAMPLES {
                    counts[zipf.sample(&mut random) as usize] += 1;
                }
                let weight = |rank: usize| (rank as f64 + 1.0).powf(-exponent);
                let all: f64 = (0..counts.len()).map(weight).sum();
                for (rank, &count) in counts.iter().enumerate().take(10) {
                    let expected = f64::from(SAMPLES) * weight(rank) / all;
                    // Six standard deviations: the seed is fixed, so the test passes always or never.
                    let off = (f64::from(count) - expected).abs();
                    assert!(
                        off <= 6.0 * expected.sqrt() + 1.0,
                        "{exponent} over {ranks}: rank {rank} came {count} times, expected {expected:.0}"
                    );
                }
            }
        }
    }
}
