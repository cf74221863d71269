//! Processor time and memory: the server's, from /proc, and this process's own.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

/// The unit of processor time in /proc: 100 a second on every Linux, with any clock of the kernel.
const TICK: Duration = Duration::from_millis(10);

/// The resources that a process has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// Processor time since its start, in steps of 10 ms.
    pub(super) processor: Duration,
    /// Resident memory in bytes, now and at its highest.
    pub(super) resident: u64,
    pub(super) peak: u64,
}

impl Usage {
    /// Of the process with this number.
    ///
    /// # Errors
    /// A sentence for the person at the terminal.
    pub(super) fn of(pid: u32) -> Result<Usage, String> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            fs::read_to_string(&path).map_err(|error| format!("--pid {pid}: {path}: {error}"))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        let usage = parse(&stat, &status);
        usage.ok_or_else(|| format!("--pid {pid}: /proc/{pid} has no figures of a running process"))
    }

    /// The resources used since `before`.
    pub(super) fn since(self, before: Usage) -> Usage {
        Usage {
            processor: self.processor.saturating_sub(before.processor),
            ..self
        }
    }
}

fn parse(stat: &str, status: &str) -> Option<Usage> {
    // The program's name stands in parentheses and may contain anything, blanks and parentheses too.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_ascii_whitespace().skip(11);
    let user: u32 = ticks.next()?.parse().ok()?;
    let system: u32 = ticks.next()?.parse().ok()?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    };
    Some(Usage {
        processor: TICK * (user + system),
        resident: bytes("VmRSS:")?,
        peak: bytes("VmHWM:")?,
    })
}

/// The processor time of this process so far.
pub(super) fn own_processor_time() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return Duration::ZERO;
    };
    let span = |time: nix::sys::time::TimeVal| {
        let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    };
    span(usage.user_time()) + span(usage.system_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_for_any_name_of_the_program() {
        let stat = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0";
        let status = "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let usage = Usage {
            processor: Duration::from_secs(2),
            resident: 1024 * 1024,
            peak: 2048 * 1024,
        };
        assert_eq!(parse(stat, status), Some(usage));
        assert_eq!(parse("", ""), None);
        assert_eq!(parse(stat, "Name: kthread"), None);
    }

    #[test]
    fn a_missing_process_is_named() {
        let error = Usage::of(u32::MAX).expect_err("no such process");
        assert!(
            error.starts_with(&format!("--pid {}: ", u32::MAX)),
            "{error}"
        );
    }
}
