//! Repeats a replay that the machine has delayed.
//!
//! On a busy machine, items can expire before the client asks for them, or have less time to live than the transcript
//! says, if the server's clock can't be moved. Such a failure is not a fault of the server. So a failure
//! counts only if it came without a delay, or if it is found again and again.

use std::time::{Duration, Instant};

use super::difference::{Difference, Mismatch};
use super::format::{Step, Transcript};
use super::run::Outcome;
use super::target::LATE;

/// The number of times that a delayed replay is repeated.
const REPEATS: usize = 5;

/// The delay from which a failure is not trusted. The shortest time in transcripts is 300 ms.
const DELAY: Duration = Duration::from_millis(200);

/// Calls `replay`, which replays `transcript` on a server in real time, and repeats it while it fails with a delay.
/// Waiting for a silent server is no delay.
pub fn in_time(transcript: &Transcript, mut replay: impl FnMut() -> Outcome) -> Outcome {
    for _ in 0..REPEATS {
        let began = Instant::now();
        let outcome = replay();
        let Outcome::Failed(difference) = &outcome else {
            return outcome;
        };
        let silent = matches!(
            difference.why,
            Mismatch::Silence(_) | Mismatch::StayedOpen(_)
        );
        if silent || began.elapsed() < planned(transcript, difference) + DELAY {
            return outcome;
        }
    }
    replay()
}

/// The time that the transcript lets pass before the line that failed. The time behind that line has not passed.
fn planned(transcript: &Transcript, difference: &Difference) -> Duration {
    let passed = transcript.steps.iter().map(|step| match step {
        Step::Advance { line, by } if *line < difference.line => *by + LATE,
        Step::Advance { .. } | Step::Exchange(_) => Duration::ZERO,
    });
    passed.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::transcript::{TranscriptDelivery, parse};

    /// Fails at `line` of a conversation that waits for an hour in line 7; the first replay takes `DELAY`. How many
    /// replays there were, and whether the last passed.
    fn replays(line: usize, why: Mismatch) -> (usize, bool) {
        let text = "protocol: memcached\nshows: an hour\nstage: 4\nagrees: memcached 1.6\n\n> a\n@ 1h\n> b\n< c\n";
        let transcript = parse("hour", "hour.txt", text).expect("it is a transcript");
        let mut replays = 0;
        let outcome = in_time(&transcript, || {
            replays += 1;
            if replays > 1 {
                return Outcome::Passed;
            }
            std::thread::sleep(DELAY);
            Outcome::Failed(Box::new(Difference {
                file: "hour.txt".into(),
                line,
                connection: String::new(),
                delivery: TranscriptDelivery::AsWritten,
                sent: Vec::new(),
                expected: String::new(),
                got: Vec::new(),
                why: why.clone(),
            }))
        });
        (replays, matches!(outcome, Outcome::Passed))
    }

    #[test]
    fn a_delay_before_the_time_that_passes_is_a_delay() {
        assert_eq!(replays(6, Mismatch::At(0)), (2, true));
    }

    #[test]
    fn a_failure_after_the_time_that_passes_counts_at_once() {
        assert_eq!(replays(9, Mismatch::At(0)), (1, false));
    }

    #[test]
    fn waiting_for_a_silent_server_is_no_delay() {
        assert_eq!(replays(6, Mismatch::Silence(DELAY)), (1, false));
    }
}
