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
//!       fewer workers                                              one more worker
//!            ▲                                                          │
//!            └──── ten looks in a row ──────────────────────────────────┘
//!                    one waits for a core, or one fewer would be enough
//! ```
//!
//! A worker that had to wait for its core was one too many, so the next try comes later: after twice as many looks, up to
//! ten minutes.
//!
//! This is a value without clock or files. [`Figures`] are read by `worker_load`.

/// Looks in a row before a worker is added.
const LOOKS_BEFORE_MORE: u32 = 3;
/// Looks in a row before a worker is taken away.
const LOOKS_BEFORE_FEWER: u32 = 10;
/// The most looks before a worker is added that had to wait for a core before: ten minutes of work.
const MOST_LOOKS_BEFORE_MORE: u32 = 6000;
/// The part of a worker's time that makes it busy all the time.
const BUSY: f64 = 0.9;
/// The part of a worker's time that it may wait for a core.
const WAITING: f64 = 0.1;
/// The part of their time that the workers would be busy with one worker fewer.
const ROOM: f64 = 0.7;
/// Idle cores that another worker needs.
const IDLE_CORES: f64 = 0.7;

/// The load of the active workers and the machine since the last look, as parts of that time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figures {
    /// Running, all active workers together; polling isn't running.
    pub(super) running: f64,
    /// Running or ready to run, the least of the active workers.
    pub(super) least_busy: f64,
    /// Ready to run without a core, the most of the active workers.
    pub(super) most_waiting: f64,
    /// Cores without anything to run, or on which a worker polls.
    pub(super) idle_cores: f64,
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
        }
    }

    /// The number of active workers after a look at the machine.
    pub(super) fn look(&mut self, figures: &Figures) -> usize {
        let waiting = figures.most_waiting > WAITING;
        let more = !waiting && figures.least_busy > BUSY && figures.idle_cores > IDLE_CORES;
        let enough = figures.running < ROOM * (self.active as f64 - 1.0);
        let count = |looks: u32, asked: bool| if asked { looks + 1 } else { 0 };
        self.for_more = count(self.for_more, more && self.active < self.most);
        self.for_fewer = count(
            self.for_fewer,
            (waiting || enough) && self.active > self.least,
        );
        if self.for_more >= self.looks_before_more {
            self.active += 1;
            self.for_more = 0;
        } else if self.for_fewer >= LOOKS_BEFORE_FEWER {
            self.active -= 1;
            self.for_fewer = 0;
            if waiting {
                self.looks_before_more = (self.looks_before_more * 2).min(MOST_LOOKS_BEFORE_MORE);
            }
        }
        self.active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One worker with a full load on a machine with an idle core.
    const ALONE: Figures = Figures {
        running: 1.0,
        least_busy: 1.0,
        most_waiting: 0.0,
        idle_cores: 1.0,
    };
    /// Two workers that share a core with a client.
    const CROWDED: Figures = Figures {
        running: 1.4,
        least_busy: 1.0,
        most_waiting: 0.4,
        idle_cores: 0.0,
    };

    fn look(workers: &mut ActiveWorkers, figures: Figures, looks: u32) -> usize {
        (0..looks).fold(0, |_, _| workers.look(&figures))
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
            running: 0.8,
            least_busy: 0.8,
            ..ALONE
        };
        let none_idle = Figures {
            idle_cores: 0.3,
            ..ALONE
        };
        let waits = Figures {
            running: 0.6,
            most_waiting: 0.4,
            ..ALONE
        };
        for figures in [sleeps, none_idle, waits] {
            let mut workers = ActiveWorkers::new(1, 4);
            assert_eq!(look(&mut workers, figures, 1000), 1, "{figures:?}");
        }
    }

    #[test]
    fn one_look_in_between_restarts_the_count() {
        let mut workers = ActiveWorkers::new(1, 2);
        for _ in 0..100 {
            look(&mut workers, ALONE, LOOKS_BEFORE_MORE - 1);
            assert_eq!(look(&mut workers, CROWDED, 1), 1);
        }
    }

    #[test]
    fn a_worker_too_many_goes_and_comes_back_later_each_time() {
        let mut workers = ActiveWorkers::new(1, 2);
        let mut before_more = LOOKS_BEFORE_MORE;
        for _ in 0..5 {
            assert_eq!(look(&mut workers, ALONE, before_more - 1), 1);
            assert_eq!(look(&mut workers, ALONE, 1), 2);
            assert_eq!(look(&mut workers, CROWDED, LOOKS_BEFORE_FEWER - 1), 2);
            assert_eq!(look(&mut workers, CROWDED, 1), 1);
            before_more *= 2;
        }
    }

    #[test]
    fn workers_that_have_little_to_do_become_fewer_down_to_the_least() {
        let mut workers = ActiveWorkers::new(2, 4);
        assert_eq!(look(&mut workers, ALONE, 2 * LOOKS_BEFORE_MORE), 4);
        let quiet = Figures {
            running: 0.1,
            least_busy: 0.02,
            ..ALONE
        };
        assert_eq!(look(&mut workers, quiet, 1000), 2);
        // No worker waited for a core, so the next one comes as soon as the first.
        assert_eq!(look(&mut workers, ALONE, LOOKS_BEFORE_MORE), 3);
    }
}
