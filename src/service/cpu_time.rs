//! The processor time that the process has taken.

use std::time::Duration;

/// A clock tick of Linux's `/proc`: 100 a second on every machine that Rust's standard library runs on.
const TICK: Duration = Duration::from_millis(10);

/// Time in user mode and in the system's, to the tick; zero where there is no `/proc`.
pub(super) fn cpu_time() -> (Duration, Duration) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    parse(&stat).unwrap_or_default()
}

/// Fields 14 and 15. The second field is a name in parentheses and may hold spaces.
fn parse(stat: &str) -> Option<(Duration, Duration)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_ascii_whitespace().skip(11);
    let mut time = || Some(TICK * ticks.next()?.parse::<u32>().ok()?);
    Some((time()?, time()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_the_fields_14_and_15() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 3 0 0 20 0 1 0";
        let expected = (Duration::from_millis(2500), Duration::from_millis(30));
        assert_eq!(parse(stat), Some(expected));
        assert_eq!(parse("7 (a) S 1"), None);
        assert_eq!(parse(""), None);
    }
}
