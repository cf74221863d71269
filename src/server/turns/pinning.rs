//! A core for each worker while all cores are in use.
//!
//! ```text
//!   core 0   worker, client      each worker has the cores' time in small pieces
//!   core 1   worker, client
//!
//!   core 0   worker, worker      equally loaded for the system, so it stays: the clients keep one worker busy for
//!   core 1   client, client      milliseconds, and requests to the other one wait
//! ```
//!
//! While several workers run and one of them waits for a core, each is bound to a core of its own. As soon as a core is
//! idle for a part of the time, the system places them again: it may know a better place.
//!
//! Cost: a comparison each round, and a system call when a worker is bound or released. [`Crowded`] is a value without
//! clock or threads.

use super::active_workers::{Figures, PART_OF_A_CORE, WAITING};

/// Whether the workers share all cores with other threads, as seen at the last look at the machine.
#[derive(Debug, Default)]
pub(super) struct Crowded(bool);

impl Crowded {
    /// Whether they do, after another look.
    pub(super) fn look(&mut self, figures: &Figures) -> bool {
        let waiting = figures.most_waiting > WAITING;
        self.0 = waiting || (self.0 && figures.idle_cores < PART_OF_A_CORE);
        self.0
    }
}

/// Lets this thread run on these cores only. Where that isn't possible, the system places it.
#[cfg(target_os = "linux")]
pub(super) fn bind(cores: &[usize]) {
    use nix::sched::{CpuSet, sched_setaffinity};
    use nix::unistd::Pid;

    let mut set = CpuSet::new();
    let filled = cores.iter().try_for_each(|core| set.set(*core));
    let this_thread = Pid::from_raw(0);
    if let Err(error) = filled.and_then(|()| sched_setaffinity(this_thread, &set)) {
        log::debug!("a worker can't be bound to the cores {cores:?}: {error}");
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn bind(_: &[usize]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_crowded_from_a_wait_until_one_is_idle() {
        let mut crowded = Crowded::default();
        let mut look = |most_waiting, idle_cores| {
            crowded.look(&Figures {
                demand: 1.0,
                least_busy: 1.0,
                most_waiting,
                idle_cores,
                others_computing: 0.0,
                seconds: 0.1,
                rate: 0.0,
                connections: 0,
            })
        };
        assert!(!look(0.0, 0.0));
        assert!(look(0.4, 0.0));
        assert!(look(0.0, 0.2), "no core is idle for long");
        assert!(!look(0.0, 0.5));
        assert!(!look(0.0, 0.2));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_is_bound_to_a_core_runs_there_until_it_is_released() {
        use super::super::worker_load::allowed_cores;

        let all = allowed_cores("/proc/thread-self/status").expect("the system's list");
        std::thread::spawn(move || {
            bind(&all[..1]);
            assert_eq!(
                allowed_cores("/proc/thread-self/status").as_deref(),
                Some(&all[..1])
            );
            bind(&all);
            assert_eq!(allowed_cores("/proc/thread-self/status"), Some(all));
        })
        .join()
        .unwrap();
    }
}
