//! Latencies as numbers of requests within bounds, and the quantiles of an interval.

/// Bounds that are kept, so that no server fills the memory.
const BOUNDS: usize = 200;

/// The bounds in seconds, ascending, each with the number of requests within it. The last bound is infinite.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Histogram(Vec<(f64, u64)>);

impl Histogram {
    /// Adds requests within a bound, to those of this bound that were added before.
    pub(super) fn add(&mut self, bound: f64, within: u64) {
        match self.0.binary_search_by(|it| it.0.total_cmp(&bound)) {
            Ok(place) => self.0[place].1 = self.0[place].1.saturating_add(within),
            Err(place) if self.0.len() < BOUNDS => self.0.insert(place, (bound, within)),
            Err(_) => {}
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What has come since another reading: all, if there was nothing before. It is empty if the bounds are others, or a number
    /// went back.
    pub(super) fn since(&self, before: &Histogram) -> Histogram {
        if before.is_empty() {
            return self.clone();
        }
        let pairs = self.0.iter().zip(&before.0);
        let differences = pairs.map(|((bound, after), (other, before))| {
            (bound == other).then_some((*bound, after.checked_sub(*before)?))
        });
        match self.0.len() == before.0.len() {
            true => Histogram(differences.collect::<Option<_>>().unwrap_or_default()),
            false => Histogram::default(),
        }
    }

    /// The time in seconds within which this part of the requests was answered, on a line between the bounds around it, as
    /// `histogram_quantile` of Prometheus. Behind the last finite bound, it is that bound. `None` without requests, or without
    /// two bounds.
    pub(super) fn quantile(&self, part: f64) -> Option<f64> {
        let [.., _, (_, all)] = self.0[..] else {
            return None;
        };
        if all == 0 {
            return None;
        }
        let wanted = part * all as f64;
        let (mut low, mut passed) = (0.0, 0);
        for (bound, within) in &self.0 {
            if *within as f64 >= wanted && bound.is_finite() {
                let inside = within.saturating_sub(passed).max(1) as f64;
                return Some(low + (bound - low) * (wanted - passed as f64).max(0.0) / inside);
            }
            if bound.is_finite() {
                (low, passed) = (*bound, *within);
            }
        }
        Some(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(f64, u64)]) -> Histogram {
        let mut histogram = Histogram::default();
        for (bound, within) in pairs {
            histogram.add(*bound, *within);
        }
        histogram
    }

    #[test]
    fn a_quantile_is_between_the_bounds_around_it() {
        let histogram = of(&[(f64::INFINITY, 100), (2.0, 90), (1.0, 50)]);
        assert_eq!(histogram.quantile(0.5), Some(1.0));
        assert_eq!(histogram.quantile(0.25), Some(0.5));
        assert_eq!(histogram.quantile(0.7), Some(1.5));
        assert_eq!(histogram.quantile(0.99), Some(2.0));
        assert_eq!(of(&[(0.1, 0), (f64::INFINITY, 0)]).quantile(0.5), None);
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(of(&[(f64::INFINITY, 7)]).quantile(0.5), None);
        // All took longer than the last finite bound, or as long as the first.
        assert_eq!(
            of(&[(0.1, 0), (0.5, 0), (f64::INFINITY, 7)]).quantile(0.5),
            Some(0.5)
        );
        assert_eq!(
            of(&[(0.1, 8), (0.5, 8), (f64::INFINITY, 8)]).quantile(0.5),
            Some(0.05)
        );
        let many: Vec<_> = (0..9000).map(|bound| (f64::from(bound), 1)).collect();
        assert_eq!(of(&many).0.len(), BOUNDS);
    }

    #[test]
    fn histograms_of_the_same_bound_are_added_and_those_of_an_interval_subtracted() {
        let before = of(&[(0.1, 1), (0.1, 2), (f64::INFINITY, 4)]);
        let after = of(&[(0.1, 5), (f64::INFINITY, 10)]);
        assert_eq!(after.since(&before), of(&[(0.1, 2), (f64::INFINITY, 6)]));
        assert_eq!(after.since(&Histogram::default()), after);
        for other in [
            of(&[(0.2, 1), (f64::INFINITY, 4)]),
            of(&[(0.1, 6), (f64::INFINITY, 9)]),
            of(&[(0.1, 1)]),
        ] {
            assert!(after.since(&other).is_empty());
        }
    }
}
