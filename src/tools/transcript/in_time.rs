//! Repeats a replay that the machine has delayed.
//!
//! On a busy machine, items can expire before the client asks for them, if the server's clock can't be moved. Such a
//! failure is not a fault of the server. So a failure counts only if the replay took about as long as the time that
//! its transcript lets pass, or if it is found again and again.

use std::time::{Duration, Instant};

use super::difference::Mismatch;
use super::format::Transcript;
use super::run::Outcome;
use super::target::LATE;

/// The number of times that a delayed replay is repeated.
const REPEATS: usize = 5;

/// The delay from which a failure is not trusted. The shortest time in transcripts is 300 ms.
const DELAY: Duration = Duration::from_millis(200);

/// Calls `replay`, which replays `transcript` on a server in real time, and repeats it while it fails with a delay.
/// A transcript that lets no time pass isn't repeated, and waiting for a silent server is no delay.
pub fn in_time(transcript: &Transcript, mut replay: impl FnMut() -> Outcome) -> Outcome {
    let planned: Duration = transcript.advances().map(|by| by + LATE).sum();
    let repeats = if planned.is_zero() { 0 } else { REPEATS };
    for _ in 0..repeats {
        let began = Instant::now();
        let outcome = replay();
        let Outcome::Failed(difference) = &outcome else {
            return outcome;
        };
        let silent = matches!(
            difference.why,
            Mismatch::Silence(_) | Mismatch::StayedOpen(_)
        );
        if silent || began.elapsed() < planned + DELAY {
            return outcome;
        }
    }
    replay()
}
