//! The figures of the process, under the names that Prometheus's own clients use. Those of /proc are left out where the
//! system has no /proc.

use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use rlimit::Resource;

use super::exposition::Metrics;

/// The start in Unix seconds, as of the first look, which is before the listener is ready.
static START: LazyLock<f64> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
});

/// Notes the time of the start.
pub(super) fn note_start() -> f64 {
    *START
}

/// Processor time of this process, in the program and in the system.
pub(super) fn processor_times() -> [Duration; 2] {
    let span = |time: TimeVal| {
        let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
        Duration::from_micros(u64::try_from(micros).unwrap_or_default())
    };
    getrusage(UsageWho::RUSAGE_SELF).map_or([Duration::ZERO; 2], |usage| {
        [span(usage.user_time()), span(usage.system_time())]
    })
}

/// Writes all of them.
pub(super) fn write(metrics: &mut Metrics) {
    let processor: Duration = processor_times().iter().sum();
    metrics.counter(
        "process_cpu_seconds_total",
        "Processor time that larder used, in its own code and in the system, in seconds.",
        processor.as_secs_f64(),
    );
    metrics.gauge(
        "process_start_time_seconds",
        "Start of the process, in seconds since 1970.",
        note_start(),
    );
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // One of them reads the directory.
        let open = files.count().saturating_sub(1);
        metrics.gauge(
            "process_open_fds",
            "Open file descriptors: connections, listeners and files.",
            open,
        );
    }
    if let Ok((soft, _)) = Resource::NOFILE.get() {
        let help = "File descriptors that may be open at a time.";
        metrics.gauge("process_max_fds", help, soft);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (line, name, help) in [
        (
            "VmRSS:",
            "process_resident_memory_bytes",
            "Memory of the process that is in RAM, in bytes.",
        ),
        (
            "VmSize:",
            "process_virtual_memory_bytes",
            "Memory that the process has reserved, most of which may never be used, in bytes.",
        ),
    ] {
        if let Some(kib) = number_of(&status, line) {
            metrics.gauge(name, help, kib * 1024);
        }
    }
    if let Some(threads) = number_of(&status, "Threads:") {
        metrics.gauge("process_threads", "Threads of the process.", threads);
    }
}

/// Memory of the process that is in RAM; `None` where the system has no /proc.
pub(super) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(number_of(&status, "VmRSS:")? * 1024)
}

/// The number in a line of /proc/self/status.
fn number_of(status: &str, line: &str) -> Option<u64> {
    let rest = status.lines().find_map(|found| found.strip_prefix(line))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_and_without_a_unit() {
        let status = "Name:\tlarder\nVmRSS:\t    1024 kB\nThreads:\t7\n";
        assert_eq!(number_of(status, "VmRSS:"), Some(1024));
        assert_eq!(number_of(status, "Threads:"), Some(7));
        assert_eq!(number_of(status, "VmSize:"), None);
    }
}
