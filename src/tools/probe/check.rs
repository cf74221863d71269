//! Checks one transcript after the other against a server.

use std::time::{Duration, Instant};

use super::clean::clean;
use super::server::Probe;
use super::settings;
use crate::tools::transcript::{
    Difference, Outcome, Run, Side, Transcript, TranscriptDelivery, in_time,
};

/// The deliveries that a server has to pass.
const DELIVERIES: [TranscriptDelivery; 3] = [
    TranscriptDelivery::AsWritten,
    TranscriptDelivery::ByteByByte,
    TranscriptDelivery::InOneWrite,
];

/// The result of one transcript.
#[derive(Debug)]
pub struct Finding<'t> {
    /// The transcript.
    pub transcript: &'t Transcript,
    /// Passed in every delivery that it can have, skipped in all, or failed in the first that
    /// fails.
    pub outcome: Outcome,
    /// The time that it took.
    pub took: Duration,
}

impl<'t> Finding<'t> {
    pub(super) fn skipped(transcript: &'t Transcript, why: String) -> Finding<'t> {
        Finding {
            transcript,
            outcome: Outcome::Skipped(why),
            took: Duration::ZERO,
        }
    }

    /// Whether the server differs from the transcript.
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }
}

impl Probe {
    /// Replays a transcript in every delivery, each on an emptied server, until one fails. Leaves the server empty and
    /// with the settings that it had.
    pub fn check<'t>(&self, transcript: &'t Transcript) -> Finding<'t> {
        let began = Instant::now();
        let settings = settings::save(self, transcript);
        let mut outcome = Outcome::Skipped(String::new());
        for delivery in DELIVERIES {
            match (self.deliver(transcript, delivery), &outcome) {
                (Outcome::Failed(difference), _) => {
                    outcome = Outcome::Failed(difference);
                    break;
                }
                (Outcome::Passed, _) => outcome = Outcome::Passed,
                (Outcome::Skipped(why), Outcome::Skipped(first)) if first.is_empty() => {
                    outcome = Outcome::Skipped(why);
                }
                (Outcome::Skipped(_), _) => {}
            }
        }
        clean(self, transcript);
        settings.restore(self);
        Finding {
            transcript,
            outcome,
            took: began.elapsed(),
        }
    }

    /// One delivery. If the transcript declares a difference, the real server's answers are tried
    /// first, then larder's; if neither fits, the difference to the real server is shown.
    fn deliver(&self, transcript: &Transcript, delivery: TranscriptDelivery) -> Outcome {
        match self.replay(transcript, delivery, Side::Real) {
            Outcome::Failed(real) if declares(transcript) => {
                match self.replay(transcript, delivery, Side::Larder) {
                    Outcome::Failed(larder) => Outcome::Failed(further(real, larder)),
                    passed => passed,
                }
            }
            outcome => outcome,
        }
    }

    fn replay(&self, transcript: &Transcript, delivery: TranscriptDelivery, side: Side) -> Outcome {
        let target = self.target();
        let run = Run {
            transcript,
            side,
            delivery,
            patience: self.patience(),
        };
        in_time(transcript, || {
            if run.cannot(&target).is_none() {
                clean(self, transcript);
            }
            run.against(&target)
        })
    }
}

/// The difference that came later in the conversation: that side is the one the server follows.
fn further(one: Box<Difference>, other: Box<Difference>) -> Box<Difference> {
    if other.line > one.line { other } else { one }
}

fn declares(transcript: &Transcript) -> bool {
    transcript
        .exchanges()
        .flat_map(|e| &e.expects)
        .any(|expected| expected.from.is_some())
}
