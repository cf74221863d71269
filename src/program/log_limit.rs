//! A bound for the lines of one kind in the log. Clients can cause lines, for example by connecting where all connections are
//! taken, and thousands of them a second fill a disk and hide the others.
//!
//! The place in the code that logs a line is its kind. Of each kind, [`MOST`] lines pass in [`SPAN`]; the others are
//! counted, and the next line that passes has their number. Debug and trace lines all pass: they were asked for.
//!
//! Cost: a lock and a lookup for each line. The memory is bounded by the number of places that log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{Level, Log, Metadata, Record};

/// Lines of one kind that pass in [`SPAN`]: enough to see what happens, few enough to read them.
const MOST: u32 = 10;

/// The time in which they are counted.
const SPAN: Duration = Duration::from_secs(10);

/// A logger behind the bound.
pub(super) struct Limited {
    log: Box<dyn Log>,
    kinds: Mutex<HashMap<Kind, Count>>,
}

/// The file and the line of code.
type Kind = (Option<&'static str>, Option<u32>);

/// The lines of one kind since the beginning of a span.
struct Count {
    begun: Instant,
    passed: u32,
    left_out: u64,
}

impl Limited {
    pub(super) fn new(log: Box<dyn Log>) -> Limited {
        Limited {
            log,
            kinds: Mutex::default(),
        }
    }

    /// Whether a line of this kind passes now, and the number of those that were left out before it.
    fn pass(&self, kind: Kind, now: Instant) -> Option<u64> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let count = kinds.entry(kind).or_insert(Count {
            begun: now,
            passed: 0,
            left_out: 0,
        });
        if now.saturating_duration_since(count.begun) >= SPAN {
            (count.begun, count.passed) = (now, 0);
        }
        if count.passed == MOST {
            count.left_out += 1;
            return None;
        }
        count.passed += 1;
        Some(std::mem::take(&mut count.left_out))
    }
}

impl Log for Limited {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.log.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let passes = match record.level() {
            Level::Debug | Level::Trace => Some(0),
            _ => self.pass((record.file_static(), record.line()), Instant::now()),
        };
        match passes {
            None => {}
            Some(0) => self.log.log(record),
            Some(left_out) => self.log.log(
                &Record::builder()
                    .metadata(record.metadata().clone())
                    .module_path(record.module_path())
                    .args(format_args!(
                        "{} ({left_out} more lines like this one were left out)",
                        record.args()
                    ))
                    .build(),
            ),
        }
    }

    fn flush(&self) {
        self.log.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_of_a_kind_pass_in_ten_seconds_and_the_others_are_counted() {
        let log = Limited::new(Box::new(log::logger()));
        let start = Instant::now();
        let (one, another) = ((Some("a.rs"), Some(1)), (Some("a.rs"), Some(2)));
        for _ in 0..MOST {
            assert_eq!(log.pass(one, start), Some(0));
        }
        for second in 1..10 {
            assert_eq!(log.pass(one, start + Duration::from_secs(second)), None);
            assert_eq!(
                log.pass(another, start + Duration::from_secs(second)),
                Some(0)
            );
        }
        assert_eq!(log.pass(one, start + SPAN), Some(9));
        assert_eq!(log.pass(one, start + SPAN), Some(0));
    }
}
