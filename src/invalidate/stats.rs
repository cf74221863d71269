//! The statistics and their output: `stats invalidate`, the section `invalidate` of `INFO`, `--inspect`.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::invalidate::figures::{InvalidationFigures, TargetFigures};
use crate::pool::UpstreamFailure;

/// The phase of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum DeliveryPhase {
    /// It has no connection.
    Down = 0,
    Flush,
    Replay,
    Fresh,
}

/// The statistics of a delivery.
#[derive(Debug, Default)]
pub(crate) struct DeliveryStats {
    phase: AtomicU8,
    /// The recorder has stopped sending it fresh changes.
    behind: AtomicBool,
    /// Keys in its pending set.
    pub(crate) pending: AtomicU64,
    delivered: AtomicU64,
    retries: AtomicU64,
    /// The sequence, which is a time, of the changes that are being sent; 0 for none.
    sending: AtomicU64,
    error: Mutex<Option<String>>,
}

impl DeliveryStats {
    pub(crate) fn set_phase(&self, phase: DeliveryPhase) {
        self.phase.store(phase as u8, Relaxed);
    }

    fn phase(&self) -> u8 {
        self.phase.load(Relaxed)
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Relaxed)
    }

    pub(crate) fn set_behind(&self, behind: bool) {
        self.behind.store(behind, Relaxed);
    }

    pub(crate) fn delivered(&self, count: usize) {
        self.delivered.fetch_add(count as u64, Relaxed);
    }

    pub(crate) fn retried(&self, count: usize) {
        self.retries.fetch_add(count as u64, Relaxed);
    }

    pub(crate) fn sending(&self, sequence: u64) {
        self.sending.store(sequence, Relaxed);
    }

    /// Whether it delivers, given whether its channel is empty.
    pub(crate) fn is_busy(&self, idle: bool) -> bool {
        let waiting = !idle || self.pending.load(Relaxed) > 0 || self.sending.load(Relaxed) > 0;
        waiting && self.phase() != DeliveryPhase::Down as u8
    }

    /// Notes the reason why its upstream is down. Returns whether it has changed.
    pub(crate) fn failed(&self, error: &UpstreamFailure) -> bool {
        let was = self.phase.swap(DeliveryPhase::Down as u8, Relaxed);
        let text = error.to_string();
        let mut last = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        let news = was != DeliveryPhase::Down as u8 || last.as_deref() != Some(&text);
        *last = Some(text);
        news
    }
}

/// The statistics of an upstream.
#[derive(Debug)]
pub(crate) struct UpstreamStats {
    pub(crate) target: String,
    pub(crate) address: String,
    pub(crate) deliveries: Vec<Arc<DeliveryStats>>,
    /// It has to be flushed.
    pub(crate) flush: AtomicBool,
    pub(crate) flushes: AtomicU64,
    /// Changes of keys that it may have, and of which it can't be sent a delete.
    pub(crate) undeliverable: AtomicU64,
    /// The time since which it has been behind, in Unix microseconds; 0 if it is not.
    pub(crate) since: AtomicU64,
}

impl UpstreamStats {
    fn sum(&self, of: impl Fn(&DeliveryStats) -> u64) -> u64 {
        self.deliveries.iter().map(|delivery| of(delivery)).sum()
    }

    /// Keys that are pending for it.
    pub(crate) fn pending(&self) -> u64 {
        self.sum(|delivery| delivery.pending.load(Relaxed))
    }

    pub(crate) fn state(&self) -> &'static str {
        let phases = self.deliveries.iter().map(|delivery| delivery.phase());
        match phases.min().unwrap_or(0) {
            0 if self.flush.load(Relaxed) => "down, to be flushed",
            0 => "down",
            1 => "flush",
            2 => "replay",
            _ => "up to date",
        }
    }

    /// The age in seconds of the oldest undelivered change.
    fn oldest(&self, now: u64) -> u64 {
        let sending = self
            .deliveries
            .iter()
            .map(|delivery| delivery.sending.load(Relaxed));
        let since = std::iter::once(self.since.load(Relaxed));
        let oldest = since.chain(sending).filter(|time| *time > 0).min();
        oldest.map_or(0, |time| now.saturating_sub(time) / 1_000_000)
    }

    fn error(&self) -> Option<String> {
        let errors = self.deliveries.iter().map(|delivery| {
            let error = delivery
                .error
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            error.clone()
        });
        errors.flatten().next()
    }

    fn delivered(&self) -> u64 {
        self.sum(|delivery| delivery.delivered.load(Relaxed))
    }

    fn retries(&self) -> u64 {
        self.sum(|delivery| delivery.retries.load(Relaxed))
    }

    fn figures(&self, now: u64) -> TargetFigures {
        let phases = self.deliveries.iter().map(|delivery| delivery.phase());
        let phase = phases.min().unwrap_or(0);
        TargetFigures {
            target: self.target.clone(),
            address: self.address.clone(),
            is_up: phase != DeliveryPhase::Down as u8,
            is_up_to_date: phase == DeliveryPhase::Fresh as u8,
            pending: self.pending(),
            oldest_seconds: self.oldest(now),
            delivered: self.delivered(),
            retries: self.retries(),
            flushes: self.flushes.load(Relaxed),
            undeliverable: self.undeliverable.load(Relaxed),
        }
    }

    /// Names and values, in their order.
    fn each(&self, now: u64, mut each: impl FnMut(&str, String)) {
        each("state", self.state().to_owned());
        each("pending", self.pending().to_string());
        each("oldest_seconds", self.oldest(now).to_string());
        each("delivered", self.delivered().to_string());
        each("retries", self.retries().to_string());
        each("flushes", self.flushes.load(Relaxed).to_string());
        each(
            "undeliverable",
            self.undeliverable.load(Relaxed).to_string(),
        );
        each(
            "last_error",
            self.error().unwrap_or_else(|| "none".to_owned()),
        );
    }
}

/// The statistics of the whole program.
#[derive(Debug, Default)]
pub(crate) struct InvalidationStats {
    /// Changes that are on record.
    pub(crate) recorded: AtomicU64,
    /// Transactions.
    pub(crate) commits: AtomicU64,
    /// Changes that were answered with an error, because they could not be recorded.
    pub(crate) refused: AtomicU64,
    /// Those of them whose client expected no answer, and so got no error.
    pub(crate) refused_quiet: AtomicU64,
    /// Earlier rings that are remembered, of all targets.
    pub(crate) rings: AtomicU64,
    /// The reason why the spool can't be written, if it can't.
    problem: Mutex<Option<String>>,
    broken: AtomicBool,
    pub(crate) upstreams: Mutex<Vec<Arc<UpstreamStats>>>,
}

impl InvalidationStats {
    /// Whether the spool can't be written.
    pub(crate) fn has_problem(&self) -> bool {
        self.broken.load(Relaxed)
    }

    pub(crate) fn set_problem(&self, problem: Option<String>) {
        self.broken.store(problem.is_some(), Relaxed);
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// All figures.
    pub(crate) fn figures(&self, now: u64) -> InvalidationFigures {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        let problem = problem.clone();
        let upstreams = self
            .upstreams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        InvalidationFigures {
            recorded: self.recorded.load(Relaxed),
            commits: self.commits.load(Relaxed),
            refused: self.refused.load(Relaxed),
            refused_quiet: self.refused_quiet.load(Relaxed),
            problem,
            targets: upstreams.iter().map(|one| one.figures(now)).collect(),
        }
    }

    fn each(&self, now: u64, mut each: impl FnMut(Option<&UpstreamStats>, &str, String)) {
        each(None, "recorded", self.recorded.load(Relaxed).to_string());
        each(None, "commits", self.commits.load(Relaxed).to_string());
        each(None, "refused", self.refused.load(Relaxed).to_string());
        each(
            None,
            "refused_noreply",
            self.refused_quiet.load(Relaxed).to_string(),
        );
        each(None, "earlier_rings", self.rings.load(Relaxed).to_string());
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        each(
            None,
            "spool",
            problem.clone().unwrap_or_else(|| "ok".to_owned()),
        );
        drop(problem);
        let upstreams = self
            .upstreams
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for upstream in upstreams.clone() {
            upstream.each(now, |name, value| each(Some(&upstream), name, value));
        }
    }

    /// The answer to `stats invalidate`.
    pub(crate) fn memcached(&self, now: u64, out: &mut Vec<u8>) {
        self.each(now, |upstream, name, value| {
            let line = match upstream {
                None => format!("STAT {name} {value}\r\n"),
                Some(UpstreamStats {
                    target, address, ..
                }) => {
                    format!("STAT {target}/{address}:{name} {value}\r\n")
                }
            };
            out.extend_from_slice(line.as_bytes());
        });
        out.extend_from_slice(b"END\r\n");
    }

    /// The section of `INFO`.
    pub(crate) fn info(&self, now: u64) -> String {
        let mut text = String::from("# Invalidate\r\n");
        let (mut number, mut first) = (0, true);
        self.each(now, |upstream, name, value| {
            let value = value.replace(',', ";");
            // Writing to a text can't fail.
            let _ = match upstream {
                None => write!(text, "{name}:{value}\r\n"),
                Some(UpstreamStats {
                    target, address, ..
                }) if name == "state" => {
                    let end = if first { "" } else { "\r\n" };
                    first = false;
                    number += 1;
                    write!(
                        text,
                        "{end}upstream{}:target={target},address={address},state={value}",
                        number - 1
                    )
                }
                Some(_) => write!(text, ",{name}={value}"),
            };
        });
        text.push_str("\r\n");
        text
    }
}
