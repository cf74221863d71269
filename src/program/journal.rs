//! systemd's journal as standard error. It keeps a time and a priority for each line, so larder's lines begin with their priority and have
//! no time: `journalctl -p warning -u larder` shows what may need an action.
//!
//! systemd names the device and the inode of the stream in `JOURNAL_STREAM`, see systemd.exec(5). They are compared, because a program
//! that larder was started by may have sent its errors elsewhere. The priorities are those of sd-daemon(3).

use std::fs::File;
use std::io::{self, Stderr};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use log::Level;

/// Whether the journal records standard error.
pub(super) fn is_stderr() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let numbers = numbers_of(&io::stderr()).unwrap_or_default();
    !stream.is_empty() && stream == numbers
}

/// `DEVICE:INODE`.
fn numbers_of(stderr: &Stderr) -> io::Result<String> {
    let file = File::from(stderr.as_fd().try_clone_to_owned()?);
    let metadata = file.metadata()?;
    Ok(format!("{}:{}", metadata.dev(), metadata.ino()))
}

/// A message with the priority in front of each of its lines: the journal keeps each as an entry.
pub(super) fn prioritized(level: Level, message: &str) -> String {
    let priority = match level {
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<6>",
        Level::Debug | Level::Trace => "<7>",
    };
    let mut text = String::with_capacity(priority.len() + message.len());
    for line in message.split_inclusive('\n') {
        text.push_str(priority);
        text.push_str(line);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_priority() {
        assert_eq!(prioritized(Level::Warn, "full"), "<4>full");
        assert_eq!(
            prioritized(Level::Error, "line 2\n  |\n"),
            "<3>line 2\n<3>  |\n"
        );
    }
}
