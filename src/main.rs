//! The binary: one call into the library, which has the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    larder::run()
}
