//! The actions that a delivery asks for, and the events that report their results.

use std::time::Instant;

use crate::invalidate::message::{DeliveryReport, DeliveryStep};
use crate::invalidate::spool::{PendingChange, SpoolResult};
use crate::pool::UpstreamFailure;

/// An action that a delivery asks for.
#[derive(Debug)]
pub(crate) enum DeliveryAction<'a> {
    /// Report to the recorder; there is no result.
    Report(DeliveryReport),
    /// Connect to the upstream.
    Connect,
    /// Send these bytes.
    Send(&'a [u8]),
    /// Wait for bytes until this time.
    Receive(Instant),
    /// Close the connection; this has no result.
    Close,
    /// Wait for a step of the recorder.
    AwaitStep,
    /// Wait until this time, or for a step.
    Pause(Instant),
    /// Read the pending changes behind this key, unless the recorder has sent a step.
    Scan(Option<Box<[u8]>>),
    /// Wait for changes or a step until this time.
    AwaitChanges(Instant),
    /// Take changes if there are any.
    TakeChanges,
    /// End.
    End,
}

/// The result of an action.
#[derive(Debug)]
pub(crate) enum DeliveryEvent<'a> {
    Connected(Result<(), UpstreamFailure>),
    Sent(Result<(), UpstreamFailure>),
    Received(Result<&'a [u8], UpstreamFailure>),
    Step(DeliveryStep),
    Changes(Vec<PendingChange>),
    /// None came in time. `behind`: none will come, because the recorder had marked the delivery as behind before the
    /// channel was found empty.
    NoChanges {
        behind: bool,
    },
    /// The pause has ended.
    Paused,
    Scanned(SpoolResult<Vec<PendingChange>>),
    /// The recorder has ended.
    RecorderGone,
}
