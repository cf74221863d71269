//! Printing for a reader that may have left.

use std::io;

/// A reader that has seen enough, as `head` has, is no error.
pub(super) fn written(result: io::Result<()>) -> Result<(), String> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("the output can't be written: {error}"))
        }
        _ => Ok(()),
    }
}
