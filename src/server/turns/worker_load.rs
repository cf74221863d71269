//! The load of the workers and of the machine, as the kernel counts it.
//!
//! ```text
//!   /proc/self/task/TID/schedstat    nanoseconds a thread has run, nanoseconds it was ready and had no core
//!   /proc/stat                       hundredths of a second that each core had nothing to run
//! ```
//!
//! Cost: a look reads one small file for each active worker and `/proc/stat`: some tens of microseconds, ten times a
//! second while the server has work. Cores that this process may not run on don't count as idle.

use std::fs;
use std::time::Instant;

use super::active_workers::Figures;
use crate::server::connections::Connections;

/// Time slices of a second that `/proc/stat` counts in: `USER_HZ`, a constant of Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A thread's times, in nanoseconds since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct ThreadTimes {
    /// Polling included.
    running: u64,
    waiting: u64,
    polling: u64,
}

/// Reads the figures of the time between two looks.
#[derive(Debug)]
pub(super) struct WorkerLoad {
    allowed: Vec<usize>,
    last: Option<LoadSample>,
}

/// The counters at one moment.
#[derive(Debug)]
struct LoadSample {
    at: Instant,
    threads: Vec<ThreadTimes>,
    /// Hundredths of a second that the allowed cores were idle.
    idle: u64,
    /// Bytes received and sent.
    bytes: u64,
}

/// The path by which other threads read the kernel's figures of this one.
pub(super) fn this_thread() -> Option<String> {
    let link = fs::read_link("/proc/thread-self").ok()?;
    Some(format!("/proc/{}/schedstat", link.to_str()?))
}

/// The cores that a process or thread may use, by its file `status`.
pub(super) fn allowed_cores(status: &str) -> Option<Vec<usize>> {
    let status = fs::read_to_string(status).ok()?;
    let list = |line: &str| Some(line.strip_prefix("Cpus_allowed_list:")?.trim().to_owned());
    core_numbers(&status.lines().find_map(list)?)
}

impl WorkerLoad {
    /// `None` if the kernel doesn't report the cores that this process may use.
    pub(super) fn new() -> Option<WorkerLoad> {
        Some(WorkerLoad {
            allowed: allowed_cores("/proc/self/status")?,
            last: None,
        })
    }

    /// Figures since the last look; `None` at the first, and if the kernel doesn't count. Times are those of the threads
    /// that were there at both looks.
    ///
    /// A thread is the path of its figures and the nanoseconds that it has polled, which count as idle.
    pub(super) fn look<'a>(
        &mut self,
        threads: impl Iterator<Item = (&'a str, u64)>,
        connections: &Connections,
    ) -> Option<Figures> {
        let now = self.counters(threads, connections);
        let last = std::mem::replace(&mut self.last, now);
        let (now, last) = (self.last.as_ref()?, last?);
        let seconds = now.at.duration_since(last.at).as_secs_f64();
        let part = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e9 / seconds;
        let mut figures = Figures {
            demand: 0.0,
            least_busy: f64::INFINITY,
            most_waiting: 0.0,
            idle_cores: now.idle.saturating_sub(last.idle) as f64 / TICKS_PER_SECOND / seconds,
            seconds,
            rate: now.bytes.saturating_sub(last.bytes) as f64 / seconds,
            connections: connections.current(),
        };
        for (from, to) in last.threads.iter().zip(&now.threads) {
            let polling = part(from.polling, to.polling);
            let running = (part(from.running, to.running) - polling).max(0.0);
            let waiting = part(from.waiting, to.waiting);
            figures.idle_cores += polling;
            figures.demand += running + waiting;
            figures.least_busy = figures.least_busy.min(running + waiting);
            figures.most_waiting = figures.most_waiting.max(waiting);
        }
        Some(figures)
    }

    fn counters<'a>(
        &self,
        threads: impl Iterator<Item = (&'a str, u64)>,
        connections: &Connections,
    ) -> Option<LoadSample> {
        let threads = threads.map(|(path, polling)| {
            let times = thread_times(&fs::read_to_string(path).ok()?)?;
            Some(ThreadTimes { polling, ..times })
        });
        Some(LoadSample {
            threads: threads.collect::<Option<Vec<_>>>()?,
            idle: idle_time(&fs::read_to_string("/proc/stat").ok()?, &self.allowed),
            bytes: connections.bytes_read() + connections.bytes_written(),
            at: Instant::now(),
        })
    }
}

/// The numbers in a list such as `0-3,8`.
fn core_numbers(list: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        numbers.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(numbers)
}

/// The first two numbers of `schedstat`.
fn thread_times(schedstat: &str) -> Option<ThreadTimes> {
    let mut numbers = schedstat.split_ascii_whitespace();
    Some(ThreadTimes {
        running: numbers.next()?.parse().ok()?,
        waiting: numbers.next()?.parse().ok()?,
        polling: 0,
    })
}

/// The time that these cores were idle, waiting for a disk included.
fn idle_time(stat: &str, cores: &[usize]) -> u64 {
    let of_core = |line: &str| {
        let mut words = line.strip_prefix("cpu")?.split_ascii_whitespace();
        // The first line adds up all cores: it has no number.
        let core: usize = words.next()?.parse().ok()?;
        let mut times = words.skip(3).map_while(|word| word.parse::<u64>().ok());
        let idle = times.next()? + times.next()?;
        cores.contains(&core).then_some(idle)
    };
    stat.lines()
        .take_while(|line| line.starts_with("cpu"))
        .filter_map(of_core)
        .sum()
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn lists_of_cores_are_read() {
        assert_eq!(core_numbers("0"), Some(vec![0]));
        assert_eq!(core_numbers("0-2,5,7-8"), Some(vec![0, 1, 2, 5, 7, 8]));
        assert_eq!(core_numbers("0-"), None);
        assert_eq!(core_numbers(""), None);
    }

    #[test]
    fn idle_time_is_that_of_the_cores_that_the_process_may_use() {
        let stat = "cpu  9 9 9 600 60 9 9 9 0 0\n\
            cpu0 1 2 3 100 10 6 7 8 0 0\n\
            cpu1 1 2 3 200 20 6 7 8 0 0\n\
            cpu12 1 2 3 300 30 6 7 8 0 0\n\
            intr 1 2 3\n";
        assert_eq!(idle_time(stat, &[1]), 220);
        assert_eq!(idle_time(stat, &[0, 12]), 440);
    }

    #[test]
    fn times_of_a_thread_are_the_first_two_numbers() {
        let times = ThreadTimes {
            running: 12,
            waiting: 34,
            polling: 0,
        };
        assert_eq!(thread_times("12 34 56\n"), Some(times));
        assert_eq!(thread_times("12"), None);
    }

    /// The kernel's own figures of a thread that runs and of one that sleeps.
    #[test]
    fn a_running_thread_is_distinguished_from_a_sleeping_one() {
        let (Some(path), Some(mut load)) = (this_thread(), WorkerLoad::new()) else {
            eprintln!("skipped: this kernel doesn't count the times of threads");
            return;
        };
        let connections = Connections::new();
        let mut look = || load.look([(&path[..], 0)].into_iter(), &connections);
        assert_eq!(look(), None, "the first look");
        let mut spent = |work: &dyn Fn()| {
            work();
            look().expect("the second look")
        };
        let busy = spent(&|| {
            let until = Instant::now() + Duration::from_millis(200);
            while Instant::now() < until {
                black_box(0);
            }
        });
        assert!(busy.least_busy > 0.5, "{busy:?}");
        let quiet = spent(&|| thread::sleep(Duration::from_millis(200)));
        let running = quiet.demand - quiet.most_waiting;
        assert!(running < 0.5, "{quiet:?}");
        assert!(quiet.seconds >= 0.2 && quiet.rate == 0.0, "{quiet:?}");
    }
}
