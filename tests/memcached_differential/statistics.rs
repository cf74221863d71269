//! The figures of `stats`: both servers have the same names, and a stream changes those that requests determine alike.

use larder::tools::transcript::readable;

use super::figures::{Figures, figures, growth};
use super::streams::{FORMS, Form, goes_in_steps, stream};
use super::support::{Kind, skipped_without};
use super::{Both, Ending, numbers};

/// Streams of each protocol whose figures are compared.
const STREAMS: u64 = 300;

/// Names that larder does not have.
const ABSENT: &[&str] = &["libevent"];

impl Both {
    fn figures(&self) -> [Figures; 2] {
        let stats = [b"stats\r\n".to_vec()];
        let replies = [
            self.ask_larder(&stats, None),
            self.ask_memcached(&stats, None),
        ];
        replies.map(|reply| figures(&reply))
    }

    /// The counts of a stream by both servers, if they differ.
    fn difference_in_counts(
        &self,
        form: Form,
        steps: bool,
        requests: &[Vec<u8>],
    ) -> Option<String> {
        let before = self.figures();
        let end = Ending::of(form);
        let mut requests = requests.to_vec();
        requests.push(end.request.repeat(3));
        let steps = steps.then_some(&end);
        self.ask_larder(&requests, steps);
        self.ask_memcached(&requests, steps);
        let after = self.figures();
        let [ours, theirs] = [0, 1].map(|at| growth(&before[at], &after[at]));
        // A figure that 1.6.18 does not have is not compared.
        let differences = theirs.iter().filter_map(|(name, by)| {
            let ours = ours.get(name);
            let is_same = ours == Some(by);
            (!is_same).then(|| format!("{name}: larder {ours:?}, memcached {by}\n"))
        });
        Some(differences.collect::<String>()).filter(|text| !text.is_empty())
    }
}

fn streams_are_counted_alike(kind: Kind, valid: bool) {
    let Some(both) = Both::start(kind) else {
        skipped_without(kind, "figures of streams were not compared");
        return;
    };
    for number in numbers(STREAMS) {
        for form in FORMS {
            both.flush();
            let steps = goes_in_steps(valid, number);
            let mut requests = stream(form, valid, number);
            let Some(mut difference) = both.difference_in_counts(form, steps, &requests) else {
                continue;
            };
            let mut at = 0;
            while at < requests.len() {
                let mut fewer = requests.clone();
                fewer.remove(at);
                both.flush();
                match both.difference_in_counts(form, steps, &fewer) {
                    Some(smaller) => (requests, difference) = (fewer, smaller),
                    None => at += 1,
                }
            }
            panic!(
                "{form:?} stream {number} (valid: {valid}):\n{}\n{difference}",
                readable(&requests.concat())
            );
        }
    }
}

#[test]
fn valid_streams_are_counted_as_memcached_counts_them() {
    streams_are_counted_alike(Kind::Memcached, true);
}

#[test]
fn valid_streams_are_counted_as_the_newest_memcached_counts_them() {
    streams_are_counted_alike(Kind::NewMemcached, true);
}

#[test]
fn nearly_valid_streams_are_counted_as_the_newest_memcached_counts_them() {
    streams_are_counted_alike(Kind::NewMemcached, false);
}

#[test]
fn stats_has_the_names_of_the_newest_memcached() {
    let Some(both) = Both::start(Kind::NewMemcached) else {
        skipped_without(Kind::NewMemcached, "the names of figures were not compared");
        return;
    };
    let [ours, theirs] = both.figures();
    let missing = theirs.keys().filter(|name| !ours.contains_key(*name));
    let missing: Vec<&str> = missing.map(String::as_str).collect();
    assert_eq!(missing, ABSENT);
}
