//! Signals: a thread that waits for them and calls the program's function for each.
//!
//! TERM, INT and QUIT ask for the graceful end, a second one of them for the immediate end; HUP
//! asks to reload. USR1, which ends a program that doesn't wait for it, has a thread of its own.

use std::io;
use std::thread::{self, JoinHandle};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::{Handle, Signals};

/// An action requested by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// HUP: read the settings again that can change while the program runs.
    Reload,
    /// The first TERM, INT or QUIT: end gracefully.
    Stop,
    /// A further TERM, INT or QUIT: end now.
    StopNow,
}

/// The waiting thread. Dropping it ends the thread; the signals then do nothing.
pub struct SignalThread {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Catches the signals from here on and calls `act` for each, in order, on a thread of its own.
pub fn watch(mut act: impl FnMut(Signal) + Send + 'static) -> io::Result<SignalThread> {
    let mut stopping = false;
    watch_each(&[SIGTERM, SIGINT, SIGQUIT, SIGHUP], move |signal| {
        act(match signal {
            SIGHUP => Signal::Reload,
            _ if stopping => Signal::StopNow,
            _ => {
                stopping = true;
                Signal::Stop
            }
        });
    })
}

/// Catches USR1 from here on and calls `act` for each, on a thread of its own.
pub(crate) fn watch_user(mut act: impl FnMut() + Send + 'static) -> io::Result<SignalThread> {
    watch_each(&[SIGUSR1], move |_| act())
}

fn watch_each(signals: &[i32], act: impl FnMut(i32) + Send + 'static) -> io::Result<SignalThread> {
    let mut signals = Signals::new(signals)?;
    let handle = signals.handle();
    let thread = thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || signals.forever().for_each(act))?;
    Ok(SignalThread {
        handle,
        thread: Some(thread),
    })
}

impl Drop for SignalThread {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // A closure that drops its own thread's value must not wait for itself.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                log::error!("the thread that waits for signals panicked");
            }
        }
    }
}
