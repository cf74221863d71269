//! The program's standard output.

use std::io::{self, Write};

use super::systemd;

/// Prints the lines that say that listeners are ready, and tells systemd. Scripts wait for these lines. They are one write,
/// so that a script that has read one has all of them.
pub(super) fn announce(listeners: impl Iterator<Item = String>) -> Result<(), String> {
    systemd::all_sockets_are_taken()?;
    let lines: String = listeners
        .map(|listener| format!("listening on {listener}\n"))
        .collect();
    let mut out = io::stdout().lock();
    out.write_all(lines.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| format!("standard output: {e}"))?;
    systemd::ready();
    Ok(())
}

/// Prints a text or bytes. A reader that closes the pipe early, like `head`, is no failure.
pub(super) fn show(text: impl AsRef<[u8]>) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("standard output: {error}"))
        }
        _ => Ok(()),
    }
}
