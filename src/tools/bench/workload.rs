//! The requests of a run: their sequence, from a seed, and the time at which each is due.

use fastrand::Rng;

use super::action::Action;
use super::zipf::Zipf;

/// Gets to sets, as in `--ratio 9:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// This many gets,
    pub gets: u32,
    /// and this many sets among them, evenly spread.
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
        read().ok_or_else(|| format!("`{text}` is not a ratio of gets to sets; write 9:1, 1:0 for gets only, 0:1 for sets only"))
    }
}

/// The choice of the keys of requests.
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
    /// Gets and sets of random keys. Their numbers aren't random: the sets are spread evenly.
    Mix {
        ratio: Ratio,
        keys_in_get: usize,
        asked: u64,
        keys: KeyChoice,
        random: Rng,
    },
}

impl Workload {
    /// Gets and sets, from the request with the number `first` on; the same seed has the same keys.
    pub(super) fn mix(
        ratio: Ratio,
        keys_in_get: usize,
        keys: KeyChoice,
        seed: u64,
        first: u64,
    ) -> Workload {
        Workload::Mix {
            ratio,
            keys_in_get,
            asked: first,
            keys,
            random: Rng::with_seed(seed),
        }
    }

    /// The next request, if there is one, and its items in place of those in `items`.
    pub(super) fn next(&mut self, items: &mut Vec<u64>) -> Option<Action> {
        items.clear();
        match self {
            Workload::Fill { next, end } => {
                items.push(*next);
                *next += 1;
                (items[0] < *end).then_some(Action::Set)
            }
            Workload::Mix {
                ratio,
                keys_in_get,
                asked,
                keys,
                random,
            } => {
                let sets = u64::from(ratio.sets);
                let all = u64::from(ratio.gets) + sets;
                let in_turn = *asked % all;
                *asked += 1;
                // A set if the share of sets so far passes the next whole number.
                let (action, count) = match (in_turn + 1) * sets / all > in_turn * sets / all {
                    true => (Action::Set, 1),
                    false => (Action::Get, *keys_in_get),
                };
                items.extend((0..count).map(|_| keys.next(random)));
                Some(action)
            }
        }
    }
}

/// The times at which requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// The next when the last is answered.
    Closed,
    /// One after each interval in nanoseconds, the first after `offset`, whether others are answered or not.
    Open { interval: f64, offset: f64 },
}

impl Pace {
    // ANCHOR: due
    /// The time at which the request with this number is due, in nanoseconds of the run.
    pub(super) fn due(self, number: u64) -> Option<u64> {
        match self {
            Pace::Closed => None,
            Pace::Open { interval, offset } => Some((offset + interval * number as f64) as u64),
        }
    }
    // ANCHOR_END: due
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(ratio: &str, count: usize) -> String {
        let ratio = ratio.parse().expect("a ratio");
        let mut workload = Workload::mix(ratio, 1, KeyChoice::Uniform(10), 1, 0);
        let requests = requests(&mut workload, count);
        requests
            .iter()
            .map(|(action, _)| if *action == Action::Get { 'g' } else { 's' })
            .collect()
    }

    fn requests(workload: &mut Workload, count: usize) -> Vec<(Action, Vec<u64>)> {
        let mut items = Vec::new();
        let next = || Some((workload.next(&mut items)?, items.clone()));
        std::iter::from_fn(next).take(count).collect()
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
                let mut workload = Workload::mix(ratio, 1, keys.clone(), seed, 0);
                let requests = requests(&mut workload, 50);
                requests
                    .iter()
                    .map(|(_, items)| items[0])
                    .collect::<Vec<_>>()
            };
            assert_eq!(sequence(1), sequence(1));
            assert_ne!(sequence(1), sequence(2));
            assert!(sequence(3).iter().all(|key| *key < 1000));
        }
    }

    #[test]
    fn filling_sets_each_item_once() {
        let mut fill = Workload::Fill { next: 3, end: 6 };
        let items = requests(&mut fill, 10);
        assert_eq!(items, [3, 4, 5].map(|item| (Action::Set, vec![item])));
    }

    #[test]
    fn a_get_may_ask_for_several_keys_and_a_set_has_one() {
        let ratio = Ratio { gets: 2, sets: 1 };
        let mut workload = Workload::mix(ratio, 5, KeyChoice::Uniform(10), 1, 0);
        let asked = requests(&mut workload, 6);
        let counts = asked.iter().map(|(action, items)| (*action, items.len()));
        let (get, set) = ((Action::Get, 5), (Action::Set, 1));
        assert_eq!(counts.collect::<Vec<_>>(), [get, get, set, get, get, set]);
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
