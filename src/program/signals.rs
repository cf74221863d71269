//! The signals that end and reload a program: the same for serve, echo, proxy and invalidate.

use std::{io, process, thread};

use crate::server::signals::{self, Signal, SignalThread};

use super::logging;

/// Calls `stop` on the first TERM, INT or QUIT and ends the process on the second; on HUP reopens the log and calls
/// `reload`. A program calls this before it prints that it is ready, because a script may send a signal at once.
pub(super) fn watch(
    stop: impl Fn() + Send + 'static,
    mut reload: impl FnMut() + Send + 'static,
) -> Result<SignalThread, String> {
    signals::watch(move |signal| match signal {
        Signal::Stop => {
            log::info!(
                "ending: answering requests in flight, for {:?} at most",
                crate::GRACE
            );
            stop();
        }
        Signal::StopNow => {
            log::warn!("ending immediately: a second signal arrived");
            process::exit(0);
        }
        Signal::Reload => {
            logging::reopen();
            reload();
        }
    })
    .map_err(uncaught)
}

/// Calls `save` on USR1.
pub(super) fn watch_user(save: impl FnMut() + Send + 'static) -> Result<SignalThread, String> {
    signals::watch_user(save).map_err(uncaught)
}

/// Calls `stop` when standard input has ended. The thread ends with the process.
pub(super) fn watch_stdin(stop: impl Fn() + Send + 'static) {
    thread::spawn(move || {
        // An error is an end, too: there is no pipe any more.
        let end = io::copy(&mut io::stdin().lock(), &mut io::sink());
        log::info!("ending, because standard input has ended: {end:?}");
        stop();
    });
}

fn uncaught(error: io::Error) -> String {
    format!("signals can't be caught: {error}")
}
