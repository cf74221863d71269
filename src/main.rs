//! The binary: arguments, configuration, logging, then one call into the library.

mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::run()
}
