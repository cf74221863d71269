//! The actions of signals. In a process of its own, because signals reach all of it.

use std::time::Duration;

use larder::server::signals::{self, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level::raise;

/// The longest wait before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_first_asks_for_the_graceful_end_and_the_second_for_the_immediate_one() {
    for (first, second) in [(SIGTERM, SIGINT), (SIGINT, SIGQUIT), (SIGQUIT, SIGTERM)] {
        let (sender, asked) = crossbeam_channel::unbounded();
        let watch = signals::watch(move |signal| sender.send(signal).expect("the test listens"))
            .expect("signals can be caught");
        for (signal, expected) in [
            (SIGHUP, Signal::Reload),
            (first, Signal::Stop),
            (SIGHUP, Signal::Reload),
            (second, Signal::StopNow),
            (second, Signal::StopNow),
        ] {
            raise(signal).expect("raise");
            // One at a time: equal signals that are pending together are one.
            assert_eq!(asked.recv_timeout(PATIENCE), Ok(expected));
        }
        drop(watch);
        // The thread has ended and dropped its closure.
        assert_eq!(
            asked.recv_timeout(PATIENCE),
            Err(crossbeam_channel::RecvTimeoutError::Disconnected)
        );
    }
}
