//! The exit codes of the commands that are clients.

use std::process::ExitCode;

/// The exit code of a miss, of items that were not copied, or of a server that doesn't answer.
pub(super) const NOT_DONE: u8 = 1;

/// The exit code of an error.
pub(super) const ERROR: u8 = 2;

/// Runs a command; its error is a sentence for a person.
pub(super) fn run(name: &str, command: impl FnOnce() -> Result<ExitCode, String>) -> ExitCode {
    command().unwrap_or_else(|problem| {
        eprintln!("larder {name}: {problem}");
        ExitCode::from(ERROR)
    })
}
