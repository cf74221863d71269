//! Polling before sleep: a worker that waits for requests which come at once doesn't leave an idle core.
//!
//! ```text
//!   nothing ready ──▶ poll for up to 50 µs ──▶ an event: the next round      if a core would be idle anyway,
//!                                 └──────────▶ none: sleep                   and polls have found events lately
//! ```
//!
//! With a few connections and one request at a time, a worker sleeps after each request, and to wake a thread on a core that
//! has gone idle takes longer than to answer. Polling answers such requests sooner. It costs the core's time, so a worker
//! polls only while the kernel reports a core without anything to run, its own polling counted as idle: where a client or
//! another program needs the core, polling made the slowest requests three times as slow.
//!
//! And it polls only for [`FEW`] clients. A client that is answered at once doesn't sleep either, so the system lets it run
//! for milliseconds before another thread gets its core. Beside one such client, and with two cores, a hundredth of the
//! requests of eight others waited for 2.8 ms; they wait for 0.1 ms if the worker sleeps.
//!
//! The rules are values without clock or sockets; [`poll`] does the polling.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use super::active_workers::Figures;

/// The longest time that a worker polls before it sleeps.
const POLL_FOR: Duration = Duration::from_micros(50);
/// Cores that must be idle before polling begins.
const IDLE_TO_BEGIN: f64 = 0.7;
/// Cores that must stay idle.
const IDLE_TO_GO_ON: f64 = 0.4;
/// The most clients that a worker polls for. Two were answered 1.9 times as often, four or more not more often.
const FEW: usize = 2;
/// Milliseconds in which they are counted.
const COUNTED_FOR: u64 = 100;
/// The most polls without an event that one worker makes in a row.
const PATIENCE: u32 = 8;
/// Sleeps without polling after that.
const PAUSE: u32 = 256;

/// Polls until there is an event or [`POLL_FOR`] has passed. Returns the time that it took. Another thread that is ready
/// for this core runs in between.
pub(super) fn poll(poll: &mut Poll, events: &mut Events) -> io::Result<Duration> {
    let begun = Instant::now();
    loop {
        poll.poll(events, Some(Duration::ZERO))?;
        let time = begun.elapsed();
        if !events.is_empty() || time >= POLL_FOR {
            return Ok(time);
        }
        thread::yield_now();
    }
}

/// Whether there is a core to poll on, as seen at the last look at the machine.
#[derive(Debug, Default)]
pub(super) struct IdleCore(bool);

impl IdleCore {
    /// Whether there is, after another look.
    pub(super) fn look(&mut self, figures: &Figures) -> bool {
        let least = if self.0 { IDLE_TO_GO_ON } else { IDLE_TO_BEGIN };
        self.0 = figures.idle_cores > least;
        self.0
    }
}

/// One worker's experience with polling.
#[derive(Debug, Default)]
pub(super) struct Polling {
    /// Polls in a row that found nothing.
    vain: u32,
    /// Sleeps that are still to be made without polling.
    pause: u32,
}

impl Polling {
    /// Whether to poll before this sleep.
    pub(super) fn begins(&mut self) -> bool {
        let paused = self.pause > 0;
        self.pause = self.pause.saturating_sub(1);
        !paused
    }

    /// Notes whether a poll has found an event.
    pub(super) fn ended(&mut self, found: bool) {
        self.vain = if found { 0 } else { self.vain + 1 };
        if self.vain == PATIENCE {
            (self.vain, self.pause) = (0, PAUSE);
        }
    }
}

/// The clients of a worker that have sent something lately.
#[derive(Debug, Default)]
pub(super) struct Talkers {
    /// The present stretch of [`COUNTED_FOR`] milliseconds.
    stretch: u64,
    /// Clients that have sent something in it.
    now: usize,
    /// The same, of the stretch before.
    before: usize,
}

impl Talkers {
    /// A client has sent something. `has_sent_since` tells whether it had before, since a time in milliseconds.
    pub(super) fn note(&mut self, now: u64, has_sent_since: impl FnOnce(u64) -> bool) {
        self.go_on(now);
        if !has_sent_since(self.stretch * COUNTED_FOR) {
            self.now += 1;
        }
    }

    /// Whether they are few enough to poll for them.
    pub(super) fn are_few(&mut self, now: u64) -> bool {
        self.go_on(now);
        self.now.max(self.before) <= FEW
    }

    fn go_on(&mut self, now: u64) {
        let stretch = now / COUNTED_FOR;
        if stretch != self.stretch {
            let is_next = stretch == self.stretch + 1;
            self.before = if is_next { self.now } else { 0 };
            (self.stretch, self.now) = (stretch, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_counted_once_in_a_tenth_of_a_second_and_forgotten_after_two() {
        let mut talkers = Talkers::default();
        for client in 0..FEW {
            assert!(talkers.are_few(70_010), "{client} clients");
            talkers.note(70_010, |_| false);
        }
        talkers.note(70_020, |since| since <= 70_010);
        assert!(talkers.are_few(70_099), "it had been counted");
        talkers.note(70_099, |_| false);
        assert!(!talkers.are_few(70_099));
        assert!(
            !talkers.are_few(70_199),
            "they talked in the stretch before"
        );
        assert!(talkers.are_few(70_200));
        talkers.note(70_210, |since| since <= 70_099);
        assert!(talkers.are_few(70_210), "one has gone on");
    }

    fn idle(cores: f64) -> Figures {
        Figures {
            demand: 0.5,
            least_busy: 0.5,
            most_waiting: 0.0,
            idle_cores: cores,
            others_computing: 0.0,
            seconds: 0.1,
            rate: 0.0,
            connections: 0,
        }
    }

    #[test]
    fn polling_needs_a_core_that_is_idle_and_stays_so() {
        let mut core = IdleCore::default();
        assert!(!core.look(&idle(0.5)), "too little to begin");
        assert!(core.look(&idle(1.1)));
        assert!(core.look(&idle(0.5)), "enough to go on");
        assert!(!core.look(&idle(0.3)), "another program needs it");
        assert!(!core.look(&idle(0.5)), "and still does");
    }

    #[test]
    fn polls_that_find_nothing_are_given_up_for_a_while() {
        let mut polling = Polling::default();
        for _ in 0..PATIENCE {
            assert!(polling.begins());
            polling.ended(false);
        }
        for _ in 0..PAUSE {
            assert!(!polling.begins());
        }
        for _ in 0..10 * PATIENCE {
            assert!(polling.begins(), "those that find events go on");
            polling.ended(true);
        }
    }
}
