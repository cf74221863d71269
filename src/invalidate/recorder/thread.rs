//! The recorder's thread: its inbox, and the clock.

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::invalidate::message::{Now, RecorderMessage};
use crate::invalidate::recorder::Recorder;

/// A recorder, with its inbox.
pub(crate) struct RecorderThread {
    pub(crate) recorder: Recorder,
    pub(crate) inbox: Receiver<RecorderMessage>,
}

impl RecorderThread {
    /// Runs until it gets the message to stop.
    pub(crate) fn run(mut self) {
        loop {
            self.receive();
            let now = Now::take();
            self.recorder.record(now);
            if self.recorder.is_done(self.inbox.is_empty(), now) {
                return self.end();
            }
        }
    }

    /// Waits for a message, then takes all others that have arrived.
    fn receive(&mut self) {
        let now = Now::take();
        let mut next = self.inbox.recv_timeout(self.recorder.timeout(now));
        if let Err(RecvTimeoutError::Disconnected) = next {
            self.recorder
                .handle(RecorderMessage::Stop(now.instant), now);
        }
        while let Ok(message) = next {
            self.recorder.handle(message, Now::take());
            if self.recorder.is_full() {
                break;
            }
            next = self.inbox.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
    }

    /// Ends the deliveries and records their last reports.
    fn end(mut self) {
        self.recorder.end_deliveries();
        while !self.recorder.have_deliveries_ended() || !self.inbox.is_empty() {
            self.receive();
            self.recorder.record(Now::take());
        }
        self.recorder.record(Now::take());
        self.recorder.close();
    }
}
