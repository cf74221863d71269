//! A timer in a poller's set. A poller's own timeout is rounded up to milliseconds, which is too coarse for the times at
//! which the requests of an open loop are due.

use std::io;
use std::time::Duration;

use mio::{Registry, Token};

/// Linux has timers that are descriptors.
#[cfg(target_os = "linux")]
pub(super) struct Timer(nix::sys::timerfd::TimerFd);

#[cfg(target_os = "linux")]
impl Timer {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Timer> {
        use std::os::fd::{AsFd, AsRawFd};

        use mio::Interest;
        use mio::unix::SourceFd;
        use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};

        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let fd = timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        Ok(Timer(timer))
    }

    /// Wakes the poller after `span`. The timeout that the poller needs beside it.
    pub(super) fn wake_in(&self, span: Duration) -> Duration {
        use nix::sys::time::TimeSpec;
        use nix::sys::timerfd::{Expiration, TimerSetTimeFlags};

        if span.is_zero() {
            return span;
        }
        let after = Expiration::OneShot(TimeSpec::from_duration(span));
        match self.0.set(after, TimerSetTimeFlags::empty()) {
            Ok(()) => Duration::MAX,
            Err(_) => span,
        }
    }
}

/// On other systems the poller's timeout is the only one.
#[cfg(not(target_os = "linux"))]
pub(super) struct Timer;

#[cfg(not(target_os = "linux"))]
impl Timer {
    pub(super) fn new(_: &Registry, _: Token) -> io::Result<Timer> {
        Ok(Timer)
    }

    pub(super) fn wake_in(&self, span: Duration) -> Duration {
        span
    }
}
