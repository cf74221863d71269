//! Printing for a reader that may have left.

use std::io;

/// A reader that stops early, such as `head`, is no error.
pub(super) fn written(result: io::Result<()>) -> Result<(), String> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("the output can't be written: {error}"))
        }
        _ => Ok(()),
    }
}
