//! Checks one transcript after the other against a server.

use std::time::{Duration, Instant};

use super::answer::first_line;
use super::clean::clean;
use super::settings;
use crate::tools::transcript::{
    Address, Delivery, Difference, Outcome, Protocol, RealTime, Remote, Run, Side, Target,
    Transcript, in_time, readable,
};

/// The deliveries that a server is held to.
const DELIVERIES: [Delivery; 3] = [
    Delivery::AsWritten,
    Delivery::ByteByByte,
    Delivery::InOneWrite,
];

/// What a server is given to read the first half of a block that comes byte by byte.
const PAUSE: Duration = Duration::from_millis(5);

/// A server to be checked.
#[derive(Debug, Clone)]
pub struct Probe {
    address: Address,
    patience: Duration,
    time: RealTime,
}

/// What was found about one transcript.
#[derive(Debug)]
pub struct Finding<'t> {
    /// The transcript.
    pub transcript: &'t Transcript,
    /// Passed in every delivery that it can have, skipped in all, or failed in the first that
    /// fails.
    pub outcome: Outcome,
    /// How long it took.
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
    /// The server at `address`: `patience` is how long a reply is waited for, `wait` the longest
    /// time that is let pass where the transcript lets time pass.
    pub fn new(address: Address, patience: Duration, wait: Duration) -> Probe {
        Probe {
            address,
            patience,
            time: RealTime { at_most: wait },
        }
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) fn target(&self) -> Remote<'_> {
        Remote::new(self.address.clone(), &self.time, self.patience).pausing(PAUSE)
    }

    /// Whether a server listens.
    pub(super) fn reachable(&self) -> Result<(), String> {
        match self.target().connect() {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("no server answers at {}: {error}", self.address)),
        }
    }

    /// What the server speaks, by what it says to `PING`: Redis knows it, memcached doesn't, an
    /// echo returns it.
    ///
    /// # Errors
    /// A sentence for the person at the terminal when nobody listens, or when the answer
    /// tells nothing.
    pub fn protocol(&self) -> Result<Protocol, String> {
        self.reachable()?;
        let answer = first_line(self, b"PING\r\n");
        match answer.as_slice() {
            b"PING\r\n" => Ok(Protocol::Echo),
            b"ERROR\r\n" => Ok(Protocol::Memcached),
            [b'+' | b'-', ..] => Ok(Protocol::Resp),
            _ => Err(format!(
                "what does {} speak? It answers PING with {:?}; say --suite echo, memcached, \
                 nested or resp",
                self.address,
                readable(&answer)
            )),
        }
    }

    /// Whether a memcached server knows keys as paths: it has a word for reading one.
    pub(super) fn knows_nested_keys(&self) -> bool {
        first_line(self, b"getn larder probe\r\n") == b"END\r\n"
    }

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

    /// One delivery. Where the transcript declares a difference, the real server's answers are
    /// tried first, then larder's; if neither fits, the difference to the real server is the one to
    /// show.
    fn deliver(&self, transcript: &Transcript, delivery: Delivery) -> Outcome {
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

    fn replay(&self, transcript: &Transcript, delivery: Delivery, side: Side) -> Outcome {
        let target = self.target();
        let run = Run {
            transcript,
            side,
            delivery,
            patience: self.patience,
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
