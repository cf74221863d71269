//! The server that is probed: its address, and the longest wait for its answers.

use std::time::Duration;

use crate::tools::transcript::{Address, RealTime, Remote};

/// The time that a server gets to read the first half of a block that is sent byte by byte.
const PAUSE: Duration = Duration::from_millis(5);

/// A server to be checked.
#[derive(Debug, Clone)]
pub struct Probe {
    address: Address,
    patience: Duration,
    time: RealTime,
    pub(super) over_udp: bool,
}

impl Probe {
    /// The server at `address`: `patience` is the longest wait for a reply, `wait` the longest time
    /// that a transcript may let pass.
    pub fn new(address: Address, patience: Duration, wait: Duration) -> Probe {
        Probe {
            address,
            patience,
            time: RealTime { at_most: wait },
            over_udp: false,
        }
    }

    /// Its address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) fn target(&self) -> Remote<'_> {
        let target = Remote::new(self.address.clone(), &self.time, self.patience);
        target.pausing(PAUSE).over_udp(self.over_udp)
    }
}
