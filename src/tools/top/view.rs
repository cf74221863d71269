//! One server as the screen shows it: its last reading, its rates, and their history.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::rates::{Rates, ratio};
use super::reading::{Counter, Latencies, Reading, UpstreamFigures};

/// Intervals that are kept: three minutes at one second.
pub(super) const HISTORY: usize = 180;

/// Replies among which the median and the slowest are sought.
const REPLIES: usize = 60;

/// The outcome of one attempt to ask a server.
#[derive(Debug, Clone)]
pub(super) enum Sampled {
    Up(Box<Reading>),
    /// The reason, a sentence part such as `refused the connection`.
    Down(String),
}

/// The state of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// No outcome yet.
    Asked,
    Up,
    Down(String),
}

/// The figures of one interval, for the sparklines.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Point {
    pub(super) requests: Option<f64>,
    pub(super) hit_ratio: Option<f64>,
    pub(super) evictions: Option<f64>,
    pub(super) expired: Option<f64>,
    pub(super) received: Option<f64>,
    pub(super) sent: Option<f64>,
    pub(super) latency: Option<f64>,
    pub(super) errors: Option<f64>,
    /// The 99th percentile of clients' requests in the server, in seconds.
    pub(super) answers: Option<f64>,
}

/// A server.
#[derive(Debug, Clone)]
pub(super) struct ServerView {
    pub(super) address: String,
    pub(super) state: State,
    /// The last reading, while the server is up.
    pub(super) reading: Option<Reading>,
    read_at: Option<Instant>,
    pub(super) rates: Option<Rates>,
    pub(super) history: VecDeque<Point>,
    replies: VecDeque<Duration>,
}

impl ServerView {
    pub(super) fn new(address: String) -> ServerView {
        ServerView {
            address,
            state: State::Asked,
            reading: None,
            read_at: None,
            rates: None,
            history: VecDeque::new(),
            replies: VecDeque::new(),
        }
    }

    /// Takes the outcome of an attempt that ended at this time.
    pub(super) fn update(&mut self, sampled: Sampled, at: Instant) {
        let point = match sampled {
            Sampled::Down(reason) => {
                self.state = State::Down(reason);
                (self.reading, self.read_at, self.rates) = (None, None, None);
                self.replies.clear();
                Point::default()
            }
            Sampled::Up(reading) => {
                self.state = State::Up;
                push(&mut self.replies, reading.latency, REPLIES);
                let before = self.reading.as_ref().zip(self.read_at);
                self.rates = before.and_then(|(before, then)| {
                    Rates::between(before, &reading, at.saturating_duration_since(then))
                });
                let point = Point::of(self.rates.as_ref(), reading.latency);
                (self.reading, self.read_at) = (Some(*reading), Some(at));
                point
            }
        };
        push(&mut self.history, Some(point), HISTORY);
    }

    /// The median and the slowest of the last replies to requests of this tool.
    pub(super) fn latencies(&self) -> Option<(Duration, Duration)> {
        let mut sorted: Vec<Duration> = self.replies.iter().copied().collect();
        sorted.sort_unstable();
        Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
    }

    /// The median and the 99th percentile of a server behind it, in seconds: of the last interval, or since the start if that is
    /// what it reports.
    pub(super) fn latencies_of(&self, upstream: &UpstreamFigures) -> Option<[f64; 2]> {
        match upstream.latencies {
            Latencies::SinceStart(both) => Some(both),
            Latencies::Counted(_) => {
                let rates = self.rates.as_ref()?;
                rates.upstreams.get(&upstream.address)?.latencies
            }
        }
    }

    /// The rate of a counter.
    pub(super) fn rate(&self, counter: Counter) -> Option<f64> {
        self.rates.as_ref()?.counters.get(counter)
    }

    /// The hit ratio since the server's start, or since its statistics were reset.
    pub(super) fn hit_ratio_since_start(&self) -> Option<f64> {
        let counters = &self.reading.as_ref()?.counters;
        let (hits, misses) = (counters.get(Counter::Hits)?, counters.get(Counter::Misses)?);
        ratio(hits as f64, misses as f64)
    }
}

impl Point {
    fn of(rates: Option<&Rates>, latency: Option<Duration>) -> Point {
        let rate = |counter| rates.and_then(|rates| rates.counters.get(counter));
        Point {
            requests: rate(Counter::Requests),
            hit_ratio: rates.and_then(Rates::hit_ratio),
            evictions: rate(Counter::Evictions),
            expired: rate(Counter::Expired),
            received: rate(Counter::Received),
            sent: rate(Counter::Sent),
            latency: latency.map(|latency| latency.as_secs_f64()),
            errors: rate(Counter::Errors),
            answers: rates.and_then(|rates| Some(rates.latencies?[1])),
        }
    }
}

/// Adds a value behind the others, of which the oldest leaves.
fn push<T>(values: &mut VecDeque<T>, value: Option<T>, most: usize) {
    let Some(value) = value else { return };
    if values.len() == most {
        values.pop_front();
    }
    values.push_back(value);
}
