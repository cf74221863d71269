//! The number of workers that run connections: one is added as long as that is faster.
//!
//! A worker is a thread. On a core of its own it makes the server answer more requests. On a core that another thread
//! needs, it takes the time of that thread; if that thread is a client or the other worker, requests wait longer and no
//! more of them are answered. So the server starts with one worker for every two cores and looks at the machine ten times
//! a second while there is work:
//!
//! ```text
//!                    all busy all the time, none waits for a core, a core is idle
//!            ┌────────────────── three looks in a row ──────────────────┐
//!            │                                                          ▼
//!       fewer workers ◀───────────────── a trial ───────────────▶ one more worker
//!            ▲                                                          │
//!            └──── ten looks in a row ──────────────────────────────────┘
//!                    one fewer would be enough, or one waits for a core on which another program computes
//! ```
//!
//! A worker that has to wait for its core may be one too many, or one more would get a larger share of the cores. And a
//! core that is idle for a part of the time may be enough for another worker, or not. A [`Trial`] finds out by the rate,
//! in a third of a second. There is none while other programs compute: the rate would rise by the time that they lose. A
//! trial disturbs the server for a moment, so each one that changes nothing doubles the time to the next, up to a minute
//! of such work. If it takes away a worker that an idle core had brought, the next one comes later: after twice as many
//! looks, up to ten minutes.
//!
//! This is a value without clock or files. [`Figures`] are read by `worker_load`.

use super::trial::Trial;

/// Milliseconds between two looks.
const LOOK_EVERY: u64 = 100;
/// Looks in a row before a worker is added.
const LOOKS_BEFORE_MORE: u32 = 3;
/// Looks in a row before a worker is taken away.
const LOOKS_BEFORE_FEWER: u32 = 10;
/// The most looks before a worker is added that had to wait for a core before: ten minutes of work.
const MOST_LOOKS_BEFORE_MORE: u32 = 6000;
/// Looks that ask for a trial before the first one.
const LOOKS_BEFORE_TRIAL: u32 = 5;
/// Such looks after a trial that has changed the number.
const LOOKS_AFTER_CHANGE: u32 = 50;
/// The most such looks between two trials: a minute.
const MOST_LOOKS_BEFORE_TRIAL: u32 = 600;
/// The part of a worker's time that makes it busy all the time.
const BUSY: f64 = 0.9;
/// The part of a worker's time that it may wait for a core.
pub(super) const WAITING: f64 = 0.1;
/// The part of their time that the workers would be busy with one worker fewer.
const ROOM: f64 = 0.7;
/// Idle cores that another worker needs.
const IDLE_CORES: f64 = 0.7;
/// The part of other programs' time that is spent outside of the system if they compute. Clients that only wait for
/// replies spend a tenth, one of them and a program that only computes 0.57 together.
const COMPUTING: f64 = 0.35;
/// Idle time, of all cores together, in which another worker may be of use.
pub(super) const PART_OF_A_CORE: f64 = 0.3;

/// The load of the active workers and the machine since the last look, as parts of that time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figures {
    /// Running or ready to run, all active workers together; polling isn't running.
    pub(super) demand: f64,
    /// Running or ready to run, the least of the active workers.
    pub(super) least_busy: f64,
    /// Ready to run without a core, the most of the active workers.
    pub(super) most_waiting: f64,
    /// Cores without anything to run, or on which a worker polls.
    pub(super) idle_cores: f64,
    /// Spent outside of the system, of the time of other programs; the mean of about ten looks.
    pub(super) others_computing: f64,
    /// The time since the last look.
    pub(super) seconds: f64,
    /// Bytes a second, received and sent.
    pub(super) rate: f64,
    /// Open connections.
    pub(super) connections: usize,
}

/// The number of active workers.
#[derive(Debug)]
pub(super) struct ActiveWorkers {
    least: usize,
    most: usize,
    active: usize,
    /// Looks in a row that asked for one more.
    for_more: u32,
    /// Looks in a row that asked for one fewer.
    for_fewer: u32,
    /// Looks in a row that add a worker.
    looks_before_more: u32,
    /// Looks since the last trial that asked for one.
    for_trial: u32,
    /// Looks that begin a trial.
    looks_before_trial: u32,
    /// The last trial was one of more workers.
    tried_more: bool,
    trial: Option<Trial>,
}

impl ActiveWorkers {
    /// Starts with the least.
    pub(super) fn new(least: usize, most: usize) -> ActiveWorkers {
        ActiveWorkers {
            least,
            most,
            active: least,
            for_more: 0,
            for_fewer: 0,
            looks_before_more: LOOKS_BEFORE_MORE,
            for_trial: 0,
            looks_before_trial: LOOKS_BEFORE_TRIAL,
            tried_more: false,
            trial: None,
        }
    }

    /// Milliseconds until the next look.
    pub(super) fn next_look(&self) -> u64 {
        self.trial.as_ref().map_or(LOOK_EVERY, Trial::slice)
    }

    /// The number of active workers after a look at the machine.
    pub(super) fn look(&mut self, figures: &Figures) -> usize {
        if let Some(trial) = &mut self.trial {
            if let Some(better) = trial.end_slice(figures.seconds, figures.rate) {
                self.end_trial(better);
            }
        } else {
            self.count(figures);
        }
        self.trial.as_ref().map_or(self.active, Trial::workers)
    }

    fn count(&mut self, figures: &Figures) {
        let waiting = figures.most_waiting > WAITING;
        let busy = figures.least_busy > BUSY;
        let more = busy && !waiting && figures.idle_cores > IDLE_CORES;
        let taken = waiting && figures.others_computing > COMPUTING;
        let enough = figures.demand < ROOM * (self.active as f64 - 1.0);
        let count = |looks: u32, asked: bool| if asked { looks + 1 } else { 0 };
        self.for_more = count(self.for_more, more && self.active < self.most);
        self.for_fewer = count(
            self.for_fewer,
            (enough || taken) && self.active > self.least,
        );
        if self.for_more >= self.looks_before_more {
            self.active += 1;
            self.for_more = 0;
        } else if self.for_fewer >= LOOKS_BEFORE_FEWER {
            self.active -= 1;
            self.for_fewer = 0;
            if taken {
                self.wait_longer();
            }
        } else if taken {
            self.for_trial = 0;
        } else if waiting || (busy && !more && figures.idle_cores > PART_OF_A_CORE) {
            let may_be_more = busy && self.active < self.most;
            let may_be_fewer = waiting && self.active > self.least;
            self.ask_for_trial(may_be_more, may_be_fewer, figures.connections);
        }
    }

    /// Counts a look that asks for a trial, and begins one if there were enough of them. With a choice, trials of more and
    /// of fewer workers alternate.
    fn ask_for_trial(&mut self, may_be_more: bool, may_be_fewer: bool, connections: usize) {
        if !may_be_more && !may_be_fewer {
            return;
        }
        self.for_trial += 1;
        if self.for_trial >= self.looks_before_trial {
            self.tried_more = may_be_more && !(may_be_fewer && self.tried_more);
            let fewer = self.active - usize::from(!self.tried_more);
            self.trial = Some(Trial::new(fewer, self.active, connections));
        }
    }

    fn end_trial(&mut self, better: usize) {
        self.trial = None;
        (self.for_more, self.for_fewer, self.for_trial) = (0, 0, 0);
        if better == self.active {
            let doubled = (2 * self.looks_before_trial).max(LOOKS_AFTER_CHANGE);
            self.looks_before_trial = doubled.min(MOST_LOOKS_BEFORE_TRIAL);
            return;
        }
        if better < self.active {
            self.wait_longer();
        }
        self.active = better;
        self.looks_before_trial = LOOKS_AFTER_CHANGE;
    }

    fn wait_longer(&mut self) {
        self.looks_before_more = (self.looks_before_more * 2).min(MOST_LOOKS_BEFORE_MORE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One worker with a full load on a machine with an idle core.
    const ALONE: Figures = Figures {
        demand: 1.0,
        least_busy: 1.0,
        most_waiting: 0.0,
        idle_cores: 1.0,
        others_computing: 0.1,
        seconds: 0.05,
        rate: 100.0,
        connections: 0,
    };
    /// Workers that share the cores with other threads.
    const CROWDED: Figures = Figures {
        demand: 1.8,
        most_waiting: 0.4,
        idle_cores: 0.0,
        ..ALONE
    };

    fn look(workers: &mut ActiveWorkers, figures: Figures, looks: u32) -> usize {
        (0..looks).fold(0, |_, _| workers.look(&figures))
    }

    /// Crowded looks until the end of a trial in which each number has its rate. Returns the looks before the trial and
    /// the number afterwards.
    fn run_trial(workers: &mut ActiveWorkers, rates: &[f64]) -> (u32, usize) {
        let mut before = 0;
        let mut active = workers.trial.as_ref().map_or(0, Trial::workers);
        while workers.trial.is_none() {
            active = workers.look(&CROWDED);
            before += 1;
            assert!(before <= MOST_LOOKS_BEFORE_TRIAL);
        }
        while workers.trial.is_some() {
            assert_eq!(workers.next_look(), 50);
            let rate = rates[active - 1];
            active = workers.look(&Figures { rate, ..CROWDED });
        }
        assert_eq!(workers.next_look(), LOOK_EVERY);
        (before, active)
    }

    #[test]
    fn a_busy_worker_beside_an_idle_core_gets_company() {
        let mut workers = ActiveWorkers::new(1, 2);
        assert_eq!(look(&mut workers, ALONE, LOOKS_BEFORE_MORE - 1), 1);
        assert_eq!(look(&mut workers, ALONE, 1), 2);
        assert_eq!(look(&mut workers, ALONE, 100), 2, "there are no more");
    }

    #[test]
    fn a_worker_that_sleeps_between_requests_or_has_no_idle_core_beside_it_stays_alone() {
        let sleeps = Figures {
            demand: 0.8,
            least_busy: 0.8,
            ..ALONE
        };
        let none_idle = Figures {
            idle_cores: 0.3,
            ..ALONE
        };
        let waits_and_sleeps = Figures {
            demand: 0.8,
            least_busy: 0.8,
            most_waiting: 0.4,
            ..ALONE
        };
        for figures in [sleeps, none_idle, waits_and_sleeps] {
            let mut workers = ActiveWorkers::new(1, 4);
            assert_eq!(look(&mut workers, figures, 1000), 1, "{figures:?}");
        }
    }

    #[test]
    fn one_look_in_between_restarts_the_count() {
        let mut workers = ActiveWorkers::new(1, 2);
        let none_idle = Figures {
            idle_cores: 0.3,
            ..ALONE
        };
        for _ in 0..100 {
            look(&mut workers, ALONE, LOOKS_BEFORE_MORE - 1);
            assert_eq!(look(&mut workers, none_idle, 1), 1);
        }
    }

    #[test]
    fn a_worker_that_waits_for_a_core_gets_company_if_the_rate_rises_by_it() {
        let mut workers = ActiveWorkers::new(1, 2);
        let first = (LOOKS_BEFORE_TRIAL, 2);
        assert_eq!(run_trial(&mut workers, &[100.0, 140.0]), first);
        // It is confirmed seldom, and ends when the load has changed.
        let mut before_trial = LOOKS_AFTER_CHANGE;
        for _ in 0..6 {
            assert_eq!(run_trial(&mut workers, &[100.0, 140.0]), (before_trial, 2));
            before_trial = (2 * before_trial).min(MOST_LOOKS_BEFORE_TRIAL);
        }
        assert_eq!(run_trial(&mut workers, &[100.0, 70.0]), (before_trial, 1));
        assert_eq!(
            run_trial(&mut workers, &[100.0, 140.0]),
            (LOOKS_AFTER_CHANGE, 2)
        );
    }

    #[test]
    fn a_core_that_is_idle_for_a_part_of_the_time_gets_a_worker_by_trial() {
        let part = Figures {
            idle_cores: 0.5,
            ..ALONE
        };
        let mut workers = ActiveWorkers::new(1, 2);
        look(&mut workers, part, LOOKS_BEFORE_TRIAL);
        assert!(workers.trial.is_some());
        assert_eq!(run_trial(&mut workers, &[100.0, 140.0]), (0, 2));
        // Neither of the two waits for a core.
        assert_eq!(look(&mut workers, part, 1000), 2);
    }

    #[test]
    fn no_worker_is_added_where_another_program_computes() {
        let beside_a_program = Figures {
            others_computing: 0.7,
            ..CROWDED
        };
        let mut workers = ActiveWorkers::new(1, 2);
        assert_eq!(look(&mut workers, beside_a_program, 1000), 1);
        // A second worker that came before the program goes.
        assert_eq!(
            run_trial(&mut workers, &[100.0, 140.0]),
            (LOOKS_BEFORE_TRIAL, 2)
        );
        assert_eq!(
            look(&mut workers, beside_a_program, LOOKS_BEFORE_FEWER - 1),
            2
        );
        assert_eq!(look(&mut workers, beside_a_program, 1), 1);
    }

    #[test]
    fn trials_that_change_nothing_become_rare() {
        let mut workers = ActiveWorkers::new(1, 2);
        let (mut looks, mut slices) = (0, 0);
        while looks < 36_000 {
            let (before, active) = run_trial(&mut workers, &[100.0, 70.0]);
            assert_eq!(active, 1);
            looks += before;
            slices += 3;
        }
        // A slice is half as long as a look.
        let disturbed = f64::from(slices) / 2.0 / f64::from(looks);
        assert!(disturbed < 0.005, "{disturbed}");
    }

    #[test]
    fn trials_of_more_and_of_fewer_workers_alternate() {
        let mut workers = ActiveWorkers::new(2, 4);
        assert_eq!(look(&mut workers, ALONE, LOOKS_BEFORE_MORE), 3);
        // Three are best.
        let rates = [0.0, 100.0, 140.0, 140.0];
        let mut compared = Vec::new();
        for _ in 0..4 {
            while workers.trial.is_none() {
                workers.look(&CROWDED);
            }
            compared.push(workers.trial.as_ref().unwrap().workers());
            assert_eq!(run_trial(&mut workers, &rates), (0, 3));
        }
        assert_eq!(compared, [4, 2, 4, 2]);
    }

    #[test]
    fn a_worker_too_many_goes_and_an_idle_core_brings_it_back_later_each_time() {
        let mut workers = ActiveWorkers::new(1, 2);
        let mut before_more = LOOKS_BEFORE_MORE;
        for _ in 0..5 {
            assert_eq!(look(&mut workers, ALONE, before_more - 1), 1);
            assert_eq!(look(&mut workers, ALONE, 1), 2);
            assert_eq!(run_trial(&mut workers, &[100.0, 70.0]).1, 1);
            before_more *= 2;
        }
    }

    #[test]
    fn workers_that_have_little_to_do_become_fewer_down_to_the_least() {
        let mut workers = ActiveWorkers::new(2, 4);
        assert_eq!(look(&mut workers, ALONE, 2 * LOOKS_BEFORE_MORE), 4);
        let quiet = Figures {
            demand: 0.1,
            least_busy: 0.02,
            ..ALONE
        };
        assert_eq!(look(&mut workers, quiet, 1000), 2);
        // No worker waited for a core, so the next one comes as soon as the first.
        assert_eq!(look(&mut workers, ALONE, LOOKS_BEFORE_MORE), 3);
    }
}
