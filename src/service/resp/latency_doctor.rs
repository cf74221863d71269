//! LATENCY DOCTOR: a report on the latency monitor's samples, with advice.
//!
//! The lines about events have the form of Redis's. The advice is larder's own, because much of Redis's advice is about forks, huge
//! pages and the append-only file, which larder doesn't have.

use std::fmt::Write;

use crate::service::latency_monitor::{COMMAND, EXPIRE_CYCLE, EventSamples, FAST_COMMAND};
use crate::service::slow_log::SlowLog;

/// The figures of an event's samples, in milliseconds.
struct EventFigures {
    average: u64,
    mean_deviation: u64,
    /// The mean number of seconds between two samples.
    period: f64,
}

impl EventFigures {
    fn of(series: &EventSamples, now: u64) -> EventFigures {
        let times = || series.samples.iter().map(|sample| sample.milliseconds);
        let count = (series.samples.len() as u64).max(1);
        let average = times().fold(0, u64::saturating_add) / count;
        let deviations = times().map(|time| time.abs_diff(average));
        let first = series.samples.iter().map(|sample| sample.at).min();
        let seconds = now.saturating_sub(first.unwrap_or(now)).max(1);
        EventFigures {
            average,
            mean_deviation: deviations.fold(0, u64::saturating_add) / count,
            period: seconds as f64 / count as f64,
        }
    }
}

/// The report at this time in Unix seconds.
pub(super) fn report(log: &SlowLog, now: u64) -> String {
    let monitor = log.latency();
    let events = monitor.events();
    if events.is_empty() && monitor.threshold() == 0 {
        return "The latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> switches it on.\n".to_owned();
    }
    if events.is_empty() {
        return "No event has taken as long as latency-monitor-threshold.\n".to_owned();
    }
    let mut text = "Some events took longer than latency-monitor-threshold:\n\n".to_owned();
    for (number, (event, series)) in events.iter().enumerate() {
        let figures = EventFigures::of(series, now);
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "{}. {event}: {} latency spikes (average {}ms, mean deviation {}ms, period {:.2} sec). Worst all time event {}ms.",
            number + 1,
            series.samples.len(),
            figures.average,
            figures.mean_deviation,
            figures.period,
            series.longest,
        );
    }
    text.push_str("\nAdvice:\n\n");
    for (event, _) in &events {
        for advice in advice(event, log) {
            let _ = writeln!(text, "- {advice}");
        }
    }
    text
}

fn advice(event: &str, log: &SlowLog) -> Vec<String> {
    match event {
        COMMAND => {
            let limit = log.latency().threshold().saturating_mul(1000);
            let slow_log = if (0..=limit.max(0)).contains(&log.slower_than()) {
                "SLOWLOG GET shows which commands they were.".to_owned()
            } else {
                format!("CONFIG SET slowlog-log-slower-than {limit} puts such commands into the slow log, which shows which they are.")
            };
            vec![
                slow_log,
                "Commands on all fields of a large key, such as HGETALL and COPY, take long: read large keys by HSCAN, or split them.".to_owned(),
            ]
        }
        FAST_COMMAND => vec![
            "A quick command takes long when the system has no processor time for larder, or after other commands of its pipeline: look at the load of the machine, and at steal time if it is a virtual one.".to_owned(),
        ],
        EXPIRE_CYCLE => vec![
            "Large keys expire at the same time: give them lifetimes that differ, or split them.".to_owned(),
        ],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_report_has_figures_and_advice_for_each_event() {
        let log = SlowLog::default();
        assert!(report(&log, 0).contains("is off"));
        log.set_latency_threshold(1);
        assert!(report(&log, 0).starts_with("No event"));
        for (milliseconds, now) in [(22, 1042), (50, 1043)] {
            log.latency()
                .note(COMMAND, Duration::from_millis(milliseconds), now);
        }
        log.latency()
            .note(EXPIRE_CYCLE, Duration::from_millis(2), 1044);
        let text = report(&log, 1045);
        for part in [
            "1. command: 2 latency spikes (average 36ms, mean deviation 14ms, period 1.50 sec). Worst all time event 50ms.\n",
            "2. expire-cycle: 1 latency spikes (average 2ms, mean deviation 0ms, period 1.00 sec). Worst all time event 2ms.\n",
            "\n- CONFIG SET slowlog-log-slower-than 1000 puts",
            "\n- Large keys expire",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
        log.set_slower_than(1000);
        assert!(report(&log, 1045).contains("- SLOWLOG GET shows"));
        log.latency().reset(|_| true);
        log.set_latency_threshold(0);
        assert!(report(&log, 1045).contains("is off"));
    }
}
