//! The messages between the recorder and the deliveries, and the time for both.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Sender;

use crate::invalidate::change::ChangeBatch;
use crate::invalidate::settings::Target;
use crate::invalidate::spool::{DeliveryId, PendingChange};

/// A message to the recorder.
pub(crate) enum RecorderMessage {
    /// Changes, from a worker.
    Batch(ChangeBatch),
    /// From a delivery.
    Delivery(DeliveryId, DeliveryReport),
    /// Other targets, and the sender for the outcome.
    Replace(Vec<Target>, Sender<Result<(), String>>),
    /// The end: changes under way are delivered until this time.
    Stop(Instant),
}

/// A report of a delivery.
#[derive(Debug)]
pub(crate) enum DeliveryReport {
    /// It is connected and has finished its last step; it gets the next one.
    Ready,
    /// It has no connection; it is answered with [`DeliveryStep::DownNoted`].
    Down,
    /// It has flushed the upstream.
    Flushed,
    /// These were delivered.
    Delivered(Vec<PendingChange>),
    /// These were not, and may not be in the spool.
    Returned(Vec<PendingChange>),
}

/// The next step of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryStep {
    /// Flush the upstream.
    Flush,
    /// Deliver all that the spool has for the delivery.
    Replay,
    /// Deliver the changes of the channel.
    Fresh,
    /// Report again after a pause.
    Wait,
    /// The recorder has noted that the upstream is down; no more changes come over the channel.
    DownNoted,
    /// End.
    End,
}

/// The time. It is passed in, so that tests can set it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// For durations.
    pub(crate) instant: Instant,
    /// For dates: microseconds of Unix time, which may go back.
    pub(crate) unix: u64,
}

impl Now {
    pub(crate) fn take() -> Now {
        Now {
            instant: Instant::now(),
            unix: unix_micros(),
        }
    }

    /// The time since an event.
    pub(crate) fn since(self, time: Instant) -> Duration {
        self.instant.saturating_duration_since(time)
    }
}

/// Microseconds of Unix time.
pub(crate) fn unix_micros() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_micros() as u64)
}
