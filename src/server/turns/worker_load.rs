//! The load of the workers and of the machine, as the kernel counts it.
//!
//! ```text
//!   /proc/self/task/TID/schedstat    nanoseconds a thread has run, nanoseconds it was ready and had no core
//!   /proc/stat                       hundredths of a second of each core: idle, in the system, outside of it
//!   /proc/self/stat                  those of this process
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
/// The weight of a look in the mean of [`Figures::others_computing`]: a tenth of a second of two cores has only 20 ticks.
const WEIGHT: f64 = 0.2;

/// A thread's times, in nanoseconds since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct ThreadTimes {
    /// Polling included.
    running: u64,
    waiting: u64,
    polling: u64,
}

/// Times of the allowed cores, or of a process on them, in hundredths of a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct CoreTimes {
    /// Outside of the system.
    computing: u64,
    /// Outside of the system and in it.
    busy: u64,
    idle: u64,
}

/// Reads the figures of the time between two looks.
#[derive(Debug)]
pub(super) struct WorkerLoad {
    allowed: Vec<usize>,
    last: Option<LoadSample>,
    /// `None` before the second look.
    others_computing: Option<f64>,
}

/// The counters at one moment.
#[derive(Debug)]
struct LoadSample {
    at: Instant,
    threads: Vec<ThreadTimes>,
    cores: CoreTimes,
    own: CoreTimes,
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
            others_computing: None,
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
        let computing = mean_of_looks(self.others_computing, others_computing(&last, now));
        self.others_computing = Some(computing);
        let seconds = now.at.duration_since(last.at).as_secs_f64();
        let part = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e9 / seconds;
        let mut figures = Figures {
            demand: 0.0,
            least_busy: f64::INFINITY,
            most_waiting: 0.0,
            idle_cores: (now.cores.idle.saturating_sub(last.cores.idle)) as f64
                / TICKS_PER_SECOND
                / seconds,
            others_computing: computing,
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
            cores: core_times(&fs::read_to_string("/proc/stat").ok()?, &self.allowed),
            own: process_times(&fs::read_to_string("/proc/self/stat").ok()?)?,
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

/// The times of these cores; waiting for a disk is idle.
fn core_times(stat: &str, cores: &[usize]) -> CoreTimes {
    let of_core = |line: &str| {
        let mut words = line.strip_prefix("cpu")?.split_ascii_whitespace();
        // The first line adds up all cores: it has no number.
        let core: usize = words.next()?.parse().ok()?;
        let times: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
        let [
            user,
            nice,
            system,
            idle,
            waiting,
            interrupts,
            soft_interrupts,
            ..,
        ] = times[..]
        else {
            return None;
        };
        cores.contains(&core).then_some(CoreTimes {
            computing: user + nice,
            busy: user + nice + system + interrupts + soft_interrupts,
            idle: idle + waiting,
        })
    };
    let lines = stat.lines().take_while(|line| line.starts_with("cpu"));
    lines
        .filter_map(of_core)
        .fold(CoreTimes::default(), |sum, core| CoreTimes {
            computing: sum.computing + core.computing,
            busy: sum.busy + core.busy,
            idle: sum.idle + core.idle,
        })
}

/// The times of a process: words 14 and 15 of its `stat`. The second word, its name, may have spaces.
fn process_times(stat: &str) -> Option<CoreTimes> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut words = behind_name.split_ascii_whitespace().skip(11);
    let (computing, system): (u64, u64) =
        (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(CoreTimes {
        computing,
        busy: computing + system,
        idle: 0,
    })
}

/// The part of the time of other programs that they spent outside of the system.
fn others_computing(last: &LoadSample, now: &LoadSample) -> f64 {
    let others = |part: fn(&CoreTimes) -> u64| {
        let all = part(&now.cores).saturating_sub(part(&last.cores));
        all.saturating_sub(part(&now.own).saturating_sub(part(&last.own)))
    };
    others(|times| times.computing) as f64 / others(|times| times.busy).max(1) as f64
}

/// The mean after another look, in which older looks count less and less.
fn mean_of_looks(before: Option<f64>, look: f64) -> f64 {
    before.map_or(look, |before| before + WEIGHT * (look - before))
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
    fn times_are_those_of_the_cores_that_the_process_may_use() {
        let stat = "cpu  9 9 9 600 60 9 9 9 0 0\n\
            cpu0 1 2 3 100 10 6 7 8 0 0\n\
            cpu1 1 2 3 200 20 6 7 8 0 0\n\
            cpu12 1 2 3 300 30 6 7 8 0 0\n\
            intr 1 2 3\n";
        let times = |computing, busy, idle| CoreTimes {
            computing,
            busy,
            idle,
        };
        assert_eq!(core_times(stat, &[1]), times(3, 19, 220));
        assert_eq!(core_times(stat, &[0, 12]), times(6, 38, 440));
    }

    #[test]
    fn times_of_a_process_are_words_14_and_15_whatever_its_name_is() {
        let stat = "7 (a ) b) S 3 4 5 6 7 8 9 10 11 12 1000 500 17 18";
        let times = process_times(stat).expect("they are there");
        assert_eq!((times.computing, times.busy), (1000, 1500));
        assert_eq!(process_times("7 (a) S 3"), None);
    }

    #[test]
    fn time_of_others_is_all_but_that_of_this_process() {
        let sample = |computing, busy, own_computing, own_busy| LoadSample {
            at: Instant::now(),
            threads: Vec::new(),
            cores: CoreTimes {
                computing,
                busy,
                idle: 0,
            },
            own: CoreTimes {
                computing: own_computing,
                busy: own_busy,
                idle: 0,
            },
            bytes: 0,
        };
        let last = sample(100, 1000, 50, 500);
        assert_eq!(others_computing(&last, &sample(110, 1020, 52, 510)), 0.8);
        assert_eq!(others_computing(&last, &last), 0.0);
    }

    #[test]
    fn a_mean_of_looks_follows_in_ten_of_them_and_hardly_moves_by_one() {
        let mean = |from, looks: &[f64]| looks.iter().fold(from, |m, l| Some(mean_of_looks(m, *l)));
        assert_eq!(mean(None, &[0.6]), Some(0.6));
        let alternating = mean(None, &[0.6, 0.3, 0.8, 0.5, 0.9, 0.3]).unwrap();
        assert!((0.5..0.7).contains(&alternating), "{alternating}");
        let after_ten = mean(Some(1.0), &[0.1; 10]).unwrap();
        assert!(after_ten < 0.25, "{after_ten}");
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
