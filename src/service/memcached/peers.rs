//! A step of a turn, and the peers: a command that waits for one, fails, or has changed a key.

use crate::protocol::memcached::binary::{Header, REQUEST_MAGIC, Status, reply};

use super::context::TurnContext;
use super::counters::TurnCounts;
use super::operations::PeerState;
use super::step::Step;

/// The state that is restored when a command has to be done again.
pub(super) struct BeforeStep {
    output: usize,
    counts: TurnCounts,
}

impl TurnContext<'_> {
    /// Notes the state before a step; `None` without peers.
    #[inline]
    pub(super) fn before_step(&self) -> Option<BeforeStep> {
        self.shared.peers.get()?;
        Some(BeforeStep {
            output: self.output.bytes.len(),
            counts: self.operations.counts,
        })
    }

    /// Looks at what the step of this input has to do with peers.
    #[inline]
    pub(super) fn after_peers(
        &mut self,
        step: Step,
        before: Option<BeforeStep>,
        input: &[u8],
    ) -> Step {
        match before {
            None => step,
            Some(before) => self.finish_step(step, &before, input),
        }
    }

    #[cold]
    fn finish_step(&mut self, step: Step, before: &BeforeStep, input: &[u8]) -> Step {
        if self.operations.peers.waits {
            self.output.bytes.truncate(before.output);
            self.operations.counts = before.counts;
            self.operations.peers = PeerState::default();
            return Step::Fetch(0);
        }
        if let Some(why) = self.operations.peers.failure.take()
            && self.output.bytes.len() > before.output
        {
            self.output.bytes.truncate(before.output);
            self.push_failure(&why, input);
        }
        self.tell_peers();
        self.operations.peers = PeerState::default();
        step
    }

    /// Answers the command at the start of the input with an error.
    fn push_failure(&mut self, why: &str, input: &[u8]) {
        match Header::read(input) {
            Some(header) if header.magic == REQUEST_MAGIC => {
                let status = match why {
                    why if why.contains("non-numeric") => Status::NonNumeric,
                    why if why.contains("too large") => Status::TooLarge,
                    why if why.contains("out of memory") => Status::OutOfMemory,
                    _ => Status::TemporaryFailure,
                };
                reply::error(self.output.bytes, (&header).into(), status);
            }
            _ => {
                self.output.push(why.as_bytes());
                self.output.push(b"\r\n");
            }
        }
    }

    /// Answers that a command is not possible for a key that a peer owns.
    pub(super) fn refuse_elsewhere(&mut self, what: &str) {
        if let Some(peers) = self.shared.peers.get() {
            peers.note_refusal();
        }
        let line = format!("SERVER_ERROR {what} is not possible here: a peer has the items\r\n");
        self.output.push(line.as_bytes());
    }

    /// Has the peers drop their copies of what the commands have changed.
    pub(super) fn tell_peers(&mut self) {
        let state = &mut self.operations.peers;
        if let Some(peers) = self.shared.peers.get() {
            let sender = state.mark.as_ref().map(|mark| &*mark.sender);
            for key in state.changed.drain(..) {
                peers.tell_changed(&key, sender);
            }
        }
    }
}
