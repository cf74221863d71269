//! What a run asks for: the sequence of requests, from a seed, and when each is due.

use fastrand::Rng;

use super::dialect::Action;
use super::zipf::Zipf;

/// Gets to sets, as `--ratio 9:1` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// So many gets,
    pub gets: u32,
    /// and so many sets among them, evenly spread.
    pub sets: u32,
}

impl std::str::FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Ratio, String> {
        let read = || {
            let (gets, sets) = text.split_once(':')?;
            let ratio = Ratio {
                gets: gets.parse().ok()?,
                sets: sets.parse().ok()?,
            };
            (ratio.gets > 0 || ratio.sets > 0).then_some(ratio)
        };
        read().ok_or_else(|| format!("`{text}` is no ratio of gets to sets; write 9:1, 1:0 for gets only, 0:1 for sets only"))
    }
}

/// How the keys of requests are chosen.
#[derive(Debug, Clone)]
pub(super) enum KeyChoice {
    /// All with the same probability.
    Uniform(u64),
    /// Few keys get most of the requests.
    Zipf(Zipf),
}

impl KeyChoice {
    fn next(&self, random: &mut Rng) -> u64 {
        match self {
            KeyChoice::Uniform(keys) => random.u64(..*keys),
            KeyChoice::Zipf(zipf) => zipf.sample(random),
        }
    }
}

/// A sequence of requests.
#[derive(Debug, Clone)]
pub(super) enum Workload {
    /// A set of each item, once.
    Fill { next: u64, end: u64 },
    /// Gets and sets of keys by chance. How many of each is certain: the sets are spread evenly.
    Mix {
        ratio: Ratio,
        asked: u64,
        keys: KeyChoice,
        random: Rng,
    },
}

impl Workload {
    /// Gets and sets, from the request with the number `first` on; the same seed has the same keys.
    pub(super) fn mix(ratio: Ratio, keys: KeyChoice, seed: u64, first: u64) -> Workload {
        Workload::Mix {
            ratio,
            asked: first,
            keys,
            random: Rng::with_seed(seed),
        }
    }

    /// The next request, if there is one.
    pub(super) fn next(&mut self) -> Option<(Action, u64)> {
        match self {
            Workload::Fill { next, end } => {
                let item = *next;
                *next += 1;
                (item < *end).then_some((Action::Set, item))
            }
            Workload::Mix {
                ratio,
                asked,
                keys,
                random,
            } => {
                let sets = u64::from(ratio.sets);
                let all = u64::from(ratio.gets) + sets;
                let in_turn = *asked % all;
                *asked += 1;
                // A set where the share of sets so far passes the next whole number.
                let action = match (in_turn + 1) * sets / all > in_turn * sets / all {
                    true => Action::Set,
                    false => Action::Get,
                };
                Some((action, keys.next(random)))
            }
        }
    }
}

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// The next when the last is answered.
    Closed,
    /// One after each interval of so many nanoseconds, the first after `offset`, whether others are answered or not.
    Open { interval: f64, offset: f64 },
}

impl Pace {
    /// When the request with this number is due, in nanoseconds of the run.
    pub(super) fn due(self, number: u64) -> Option<u64> {
        match self {
            Pace::Closed => None,
            Pace::Open { interval, offset } => Some((offset + interval * number as f64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(ratio: &str, count: usize) -> String {
        let ratio = ratio.parse().expect("a ratio");
        let mut workload = Workload::mix(ratio, KeyChoice::Uniform(10), 1, 0);
        let requests = std::iter::from_fn(|| workload.next()).take(count);
        requests
            .map(|(action, _)| if action == Action::Get { 'g' } else { 's' })
            .collect()
    }

    #[test]
    fn gets_and_sets_come_in_their_ratio_and_evenly() {
        assert_eq!(actions("9:1", 20), "gggggggggsgggggggggs");
        assert_eq!(actions("1:0", 5), "ggggg");
        assert_eq!(actions("0:1", 5), "sssss");
        assert_eq!(actions("1:1", 4), "gsgs");
        assert_eq!(actions("1:3", 8), "gsssgsss");
        for wrong in ["", "9", "0:0", "a:1", "9:1:1", "-1:1"] {
            assert!(wrong.parse::<Ratio>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_seed_has_the_same_keys_again_and_another_seed_others() {
        let ratio = Ratio { gets: 1, sets: 0 };
        for keys in [
            KeyChoice::Uniform(1000),
            KeyChoice::Zipf(Zipf::new(1000, 0.9)),
        ] {
            let sequence = |seed| {
                let mut workload = Workload::mix(ratio, keys.clone(), seed, 0);
                let requests = std::iter::from_fn(move || workload.next()).take(50);
                requests.map(|(_, key)| key).collect::<Vec<_>>()
            };
            assert_eq!(sequence(1), sequence(1));
            assert_ne!(sequence(1), sequence(2));
            assert!(sequence(3).iter().all(|key| *key < 1000));
        }
    }

    #[test]
    fn filling_sets_each_item_once() {
        let mut fill = Workload::Fill { next: 3, end: 6 };
        let items: Vec<_> = std::iter::from_fn(|| fill.next()).collect();
        assert_eq!(items, [3, 4, 5].map(|item| (Action::Set, item)));
        assert_eq!(fill.next(), None);
    }

    #[test]
    fn an_open_loop_is_due_by_the_clock_alone() {
        let pace = Pace::Open {
            interval: 1500.0,
            offset: 500.0,
        };
        assert_eq!(pace.due(0), Some(500));
        assert_eq!(pace.due(1_000_000), Some(1_500_000_500));
        assert_eq!(Pace::Closed.due(7), None);
    }
}
