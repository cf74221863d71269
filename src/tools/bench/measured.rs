//! The results of a run: counts, and latencies in HDR histograms.
//!
//! Latency is counted in nanoseconds with three significant digits, from the time at which a request was due to the
//! arrival of its reply. In a closed loop a request is due when it is sent. Each thread measures for itself; the results
//! are merged at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::action::{Action, Reply};
use super::connection::Request;
use super::items::difference;

/// The longest latency that is recorded exactly: ten minutes.
const LONGEST: u64 = 600_000_000_000;

/// Error texts that are counted separately; further ones are counted under one name.
const ERROR_TEXTS: usize = 10;

/// The results of one run on one server.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) gets: Histogram<u64>,
    pub(super) sets: Histogram<u64>,
    /// Counted from the sending of a request if that is later than it was due: a closed loop's view of an open
    /// loop.
    pub(super) from_sending: Histogram<u64>,
    /// The delay of requests after they were due and a connection was free: this tool's own share of the latency.
    pub(super) late: Histogram<u64>,
    pub(super) hits: u64,
    pub(super) misses: u64,
    /// The number of values that differ from those that were set, and the first of them.
    pub(super) wrong: u64,
    pub(super) first_wrong: Option<String>,
    /// Refusals by their text.
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) received: u64,
    pub(super) sent: u64,
    /// Requests that were due and not sent when the run ended.
    pub(super) unsent: u64,
    /// From the first request to the last reply.
    pub(super) elapsed: Duration,
    /// The time that all threads together waited for the server or for the time of the next request.
    pub(super) waiting: Duration,
    /// The number of threads.
    pub(super) threads: u32,
    /// The processor time of this process.
    pub(super) processor: Duration,
}

impl Measured {
    pub(super) fn new() -> Measured {
        let histogram = || Histogram::new_with_max(LONGEST, 3).expect("the bounds are valid");
        Measured {
            gets: histogram(),
            sets: histogram(),
            from_sending: histogram(),
            late: histogram(),
            hits: 0,
            misses: 0,
            wrong: 0,
            first_wrong: None,
            errors: BTreeMap::new(),
            received: 0,
            sent: 0,
            unsent: 0,
            elapsed: Duration::ZERO,
            waiting: Duration::ZERO,
            threads: 0,
            processor: Duration::ZERO,
        }
    }

    // ANCHOR: time
    /// Counts a request whose reply came at `now`.
    pub(super) fn time(&mut self, request: &Request, now: u64) {
        let latencies = match request.action {
            Action::Get => &mut self.gets,
            Action::Set | Action::Delete => &mut self.sets,
        };
        latencies.saturating_record(now.saturating_sub(request.due));
        if request.sent != request.due {
            self.from_sending
                .saturating_record(now.saturating_sub(request.sent));
        }
    }
    // ANCHOR_END: time

    /// Counts the meaning of a reply for one key. `expected` is the value that was set.
    pub(super) fn count(&mut self, action: Action, key: &[u8], expected: &[u8], reply: Reply<'_>) {
        match reply {
            Reply::Value(value) => {
                self.hits += 1;
                if let Some(difference) = difference(expected, value) {
                    self.wrong += 1;
                    self.first_wrong.get_or_insert_with(|| {
                        format!("{}: {difference}", String::from_utf8_lossy(key))
                    });
                }
            }
            Reply::Miss if action == Action::Get => self.misses += 1,
            Reply::Miss | Reply::Done => {}
            Reply::Refused(line) => self.refused(&String::from_utf8_lossy(line), 1),
        }
    }

    /// Notes that a request was sent this many nanoseconds late, and the server was not the cause.
    pub(super) fn sent_late(&mut self, nanos: u64) {
        self.late.saturating_record(nanos);
    }

    fn refused(&mut self, text: &str, count: u64) {
        let known = self.errors.len() < ERROR_TEXTS || self.errors.contains_key(text);
        let text = if known { text } else { "others" };
        *self.errors.entry(text.to_owned()).or_default() += count;
    }

    /// Adds the results of another thread, or of the next slice.
    pub(super) fn add(&mut self, other: &Measured) {
        for (sum, part) in [
            (&mut self.gets, &other.gets),
            (&mut self.sets, &other.sets),
            (&mut self.from_sending, &other.from_sending),
            (&mut self.late, &other.late),
        ] {
            sum.add(part).expect("the histograms have the same bounds");
        }
        self.hits += other.hits;
        self.misses += other.misses;
        self.wrong += other.wrong;
        if self.first_wrong.is_none() {
            self.first_wrong.clone_from(&other.first_wrong);
        }
        for (text, count) in &other.errors {
            self.refused(text, *count);
        }
        self.received += other.received;
        self.sent += other.sent;
        self.unsent += other.unsent;
        self.waiting += other.waiting;
    }

    /// Adds a run that came later, by the same threads.
    pub(super) fn append(&mut self, later: &Measured) {
        self.add(later);
        self.elapsed += later.elapsed;
        self.processor += later.processor;
        self.threads = later.threads;
    }

    /// The latencies of gets and sets together.
    pub(super) fn all(&self) -> Histogram<u64> {
        let mut all = self.gets.clone();
        all.add(&self.sets)
            .expect("the histograms have the same bounds");
        all
    }

    /// The number of answered requests.
    pub(super) fn requests(&self) -> u64 {
        self.gets.len() + self.sets.len()
    }

    /// Requests in a second.
    pub(super) fn rate(&self) -> f64 {
        self.requests() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The share of gets that found a value; `None` without gets.
    pub(super) fn hit_ratio(&self) -> Option<f64> {
        let gets = self.hits + self.misses;
        (gets > 0).then(|| self.hits as f64 / gets as f64)
    }

    /// The share of the run in which the threads of this tool were busy.
    pub(super) fn busy(&self) -> f64 {
        let all = self.elapsed.as_secs_f64() * f64::from(self.threads);
        (1.0 - self.waiting.as_secs_f64() / all.max(1e-9)).clamp(0.0, 1.0)
    }

    /// The number of replies that were refusals.
    pub(super) fn refusals(&self) -> u64 {
        self.errors.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_counts_from_the_time_at_which_a_request_was_due() {
        let mut measured = Measured::new();
        let late = Request {
            action: Action::Get,
            due: 1_000,
            sent: 5_000,
        };
        measured.time(&late, 9_000);
        assert_eq!(measured.gets.max(), measured.gets.highest_equivalent(8_000));
        let sending = measured.from_sending.max();
        assert_eq!(sending, measured.from_sending.highest_equivalent(4_000));
    }

    #[test]
    fn results_of_threads_add_up() {
        let counted = |replies: &[(Action, Reply<'_>)]| {
            let mut measured = Measured::new();
            for (action, reply) in replies {
                let request = Request {
                    action: *action,
                    due: 0,
                    sent: 0,
                };
                measured.time(&request, 10);
                measured.count(*action, b"k", b"v", *reply);
            }
            measured
        };
        let one = counted(&[
            (Action::Get, Reply::Value(b"v")),
            (Action::Get, Reply::Miss),
        ]);
        let other = counted(&[
            (Action::Set, Reply::Done),
            (Action::Get, Reply::Value(b"w")),
            (Action::Set, Reply::Refused(b"-ERR no")),
        ]);
        let mut all = Measured::new();
        all.add(&one);
        all.add(&other);
        assert_eq!((all.gets.len(), all.sets.len(), all.requests()), (3, 2, 5));
        assert_eq!((all.hits, all.misses, all.wrong), (2, 1, 1));
        assert_eq!(
            all.first_wrong.as_deref(),
            Some("k: it differs from the value that was set at byte 1")
        );
        assert_eq!(all.errors, BTreeMap::from([("-ERR no".to_owned(), 1)]));
    }

    #[test]
    fn a_server_with_ever_new_errors_does_not_fill_the_memory() {
        let mut measured = Measured::new();
        for number in 0..100 {
            measured.refused(&format!("error {number}"), 1);
        }
        assert_eq!(measured.errors.len(), ERROR_TEXTS + 1);
        assert_eq!(measured.refusals(), 100);
    }
}
