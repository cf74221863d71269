//! The calls of each command, and the latencies of a sample of them, from the bytes of a request to its reply.
//!
//! ```text
//!   TurnCommands: the last command and its calls in a row ── a run ends, or the turn ──▶ CommandCounters of the service
//!   one turn of TIMED: the time of each command as well
//! ```
//!
//! Cost: a command compares one number and adds one. A run of calls of the same command is one atomic addition. A look
//! at the clock costs about as much as the store's part of a `get`, so one turn of [`TIMED`] of each connection is timed,
//! its first one included; a sample shows the same quantiles.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::protocol::memcached::{COMMANDS, CommandName};
use crate::service::latency_histogram::LatencyHistogram;

/// Turns of a connection of which one is timed.
const TIMED: u8 = 16;

/// The counts of one command.
#[derive(Debug, Default)]
struct OfCommand {
    calls: AtomicU64,
    /// The latencies of the calls in timed turns, and the sum of these latencies.
    latency: LatencyHistogram,
    nanoseconds: AtomicU64,
}

/// The counts of the service since its start or the last `stats reset`.
#[derive(Debug)]
pub(super) struct CommandCounters([OfCommand; COMMANDS.len()]);

impl Default for CommandCounters {
    fn default() -> CommandCounters {
        CommandCounters(array::from_fn(|_| OfCommand::default()))
    }
}

/// The figures of a command that was called.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CommandFigures {
    /// `text`, `meta` or `binary`.
    pub(crate) protocol: &'static str,
    pub(crate) name: &'static str,
    pub(crate) calls: u64,
    /// The timed calls, and those within each of the bounds that were asked for.
    pub(crate) timed: u64,
    pub(crate) within: Vec<u64>,
    /// The time of all timed calls together.
    pub(crate) seconds: f64,
}

impl CommandCounters {
    /// Calls of all commands of a protocol: `text`, `meta` or `binary`.
    pub(super) fn calls_in(&self, protocol: &str) -> u64 {
        let all = COMMANDS.iter().zip(&self.0);
        let of_protocol = all.filter(|((of, _), _)| *of == protocol);
        of_protocol.map(|(_, one)| one.calls.load(Relaxed)).sum()
    }

    /// The commands that were called. Latencies are counted up to these bounds in nanoseconds.
    pub(super) fn figures(&self, bounds: &[u64]) -> Vec<CommandFigures> {
        let all = COMMANDS.iter().zip(&self.0);
        let figures = all.map(|((protocol, name), one)| CommandFigures {
            protocol,
            name,
            calls: one.calls.load(Relaxed),
            // The total is read last, so that no count of `within` is larger.
            within: one.latency.calls_within_each(bounds),
            timed: one.latency.calls(),
            seconds: one.nanoseconds.load(Relaxed) as f64 / 1e9,
        });
        figures.filter(|one| one.calls + one.timed > 0).collect()
    }

    /// Sets all counts to zero.
    pub(super) fn reset(&self) {
        for one in &self.0 {
            one.calls.store(0, Relaxed);
            one.latency.reset();
            one.nanoseconds.store(0, Relaxed);
        }
    }
}

/// Counts the turns of a connection.
#[derive(Debug, Default)]
pub(super) struct TurnTimer(u8);

impl TurnTimer {
    /// The start of a turn, if it is to be timed.
    #[inline]
    pub(super) fn begin_turn(&mut self) -> Option<Instant> {
        let is_timed = self.0 == 0;
        self.0 = (self.0 + 1) % TIMED;
        is_timed.then(Instant::now)
    }
}

/// The commands of one turn.
pub(super) struct TurnCommands<'a> {
    counters: &'a CommandCounters,
    /// The last command, and its calls that are not yet counted.
    last: CommandName,
    calls: u64,
    /// The end of the command before, if the turn is timed.
    since: Option<Instant>,
}

impl<'a> TurnCommands<'a> {
    /// No commands yet.
    pub(super) fn new(counters: &'a CommandCounters) -> TurnCommands<'a> {
        TurnCommands {
            counters,
            last: CommandName::Get,
            calls: 0,
            since: None,
        }
    }

    /// Times the commands of a turn that has begun at this time.
    #[inline]
    pub(super) fn time_since(&mut self, began: Option<Instant>) {
        self.since = began;
    }

    /// Adds the time of the pieces of the present command that earlier turns have done.
    pub(super) fn add_earlier(&mut self, time: Duration) {
        self.since = self.since.and_then(|since| since.checked_sub(time));
    }

    /// Counts a command when this turn's part of it is done.
    #[inline]
    pub(super) fn done(&mut self, command: CommandName) {
        if command != self.last {
            self.end_run();
            self.last = command;
        }
        self.calls += 1;
        if let Some(since) = self.since {
            self.time(since);
        }
    }

    #[cold]
    fn time(&mut self, since: Instant) {
        let now = Instant::now();
        self.since = Some(now);
        let nanoseconds = now.duration_since(since).as_nanos();
        let nanoseconds = u64::try_from(nanoseconds).unwrap_or(u64::MAX);
        let counters = &self.counters.0[self.last as usize];
        counters.latency.add(nanoseconds, 1);
        counters.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// Adds what was counted to the service's counts.
    #[inline]
    pub(super) fn end_run(&mut self) {
        if self.calls > 0 {
            let counters = &self.counters.0[self.last as usize];
            counters.calls.fetch_add(self.calls, Relaxed);
            self.calls = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_turn_of_a_connection_is_timed_and_then_one_of_sixteen() {
        let mut timer = TurnTimer::default();
        let timed = (0..40).filter(|_| timer.begin_turn().is_some()).count();
        assert_eq!(timed, 3);
        assert!(TurnTimer::default().begin_turn().is_some());
    }

    #[test]
    fn commands_are_counted_by_name_and_those_of_timed_turns_are_timed() {
        let counters = CommandCounters::default();
        for began in [None, Some(Instant::now())] {
            let mut turn = TurnCommands::new(&counters);
            turn.time_since(began);
            for command in [
                CommandName::Set,
                CommandName::Get,
                CommandName::Get,
                CommandName::MetaGet,
            ] {
                turn.done(command);
            }
            turn.end_run();
        }
        let figures = counters.figures(&[u64::MAX]);
        let counts = |one: &CommandFigures| (one.protocol, one.name, one.calls, one.timed);
        assert_eq!(
            figures.iter().map(counts).collect::<Vec<_>>(),
            [
                ("text", "get", 4, 2),
                ("text", "set", 2, 1),
                ("meta", "mg", 2, 1)
            ]
        );
        assert!(figures.iter().all(|one| one.within == [one.timed]));
        assert!(figures.iter().all(|one| one.seconds > 0.0));
        assert_eq!(
            (counters.calls_in("text"), counters.calls_in("binary")),
            (6, 0)
        );
        counters.reset();
        assert_eq!(counters.figures(&[]), []);
    }
}
