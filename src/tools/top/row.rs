//! The figures of one line of the table: of a server, or of all together.

use std::time::Duration;

use super::rates::{Rates, ratio};
use super::reading::{Counter, Gauges, PerCounter};
use super::view::{ServerView, State};

/// A line of the table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) program: String,
    pub(super) state: State,
    pub(super) rates: PerCounter<f64>,
    pub(super) hit_ratio: Option<f64>,
    pub(super) gauges: Gauges,
    /// The median and the slowest of the last replies.
    pub(super) latencies: Option<(Duration, Duration)>,
}

impl Row {
    /// The line of a server.
    pub(super) fn of(view: &ServerView) -> Row {
        let reading = view.reading.as_ref();
        let rates = view.rates.as_ref();
        Row {
            name: view.address.clone(),
            program: reading.map_or(String::new(), |reading| reading.program.to_owned()),
            state: view.state.clone(),
            rates: rates.map_or(PerCounter::none(), |rates| rates.counters),
            hit_ratio: rates.and_then(Rates::hit_ratio),
            gauges: reading.map_or(Gauges::default(), |reading| reading.gauges),
            latencies: view.latencies(),
        }
    }

    /// The line of all together: sums, the hit ratio of all reads, and the slowest reply. A limit of memory is one only if all
    /// servers have one.
    pub(super) fn total(rows: &[Row]) -> Row {
        let up: Vec<&Row> = rows.iter().filter(|row| row.state == State::Up).collect();
        let mut rates = PerCounter::none();
        for counter in Counter::ALL {
            let known = up.iter().filter_map(|row| row.rates.get(counter));
            rates.set(counter, known.reduce(|sum, rate| sum + rate));
        }
        let sum = |gauge: fn(&Gauges) -> Option<u64>| {
            let known = up.iter().filter_map(|row| gauge(&row.gauges));
            known.reduce(u64::saturating_add)
        };
        let limited = up.iter().all(|row| row.gauges.memory_limit.is_some());
        let slowest = up
            .iter()
            .filter_map(|row| row.latencies)
            .max_by_key(|it| it.1);
        Row {
            name: format!("total, {}/{} up", up.len(), rows.len()),
            program: String::new(),
            state: State::Up,
            hit_ratio: rates
                .get(Counter::Hits)
                .zip(rates.get(Counter::Misses))
                .and_then(|(hits, misses)| ratio(hits, misses)),
            rates,
            gauges: Gauges {
                memory: sum(|gauges| gauges.memory),
                memory_limit: sum(|gauges| gauges.memory_limit).filter(|_| limited),
                items: sum(|gauges| gauges.items),
                connections: sum(|gauges| gauges.connections),
                max_connections: None,
            },
            latencies: slowest,
        }
    }

    /// The part of the memory's limit that is used.
    pub(super) fn memory_part(&self) -> Option<f64> {
        Some(self.gauges.memory? as f64 / self.gauges.memory_limit? as f64)
    }
}
