//! `larder tap` on the command line: protected mode, then the [tap] itself, which is a tool without settings of the program.

use std::process::ExitCode;

use clap::Args;

use crate::server::Listen;
use crate::tools::tap;

use super::protected::{self, Opening};
use super::values::Switch;

/// The command line of `larder tap`.
#[derive(Args)]
pub(super) struct TapArgs {
    #[command(flatten)]
    tap: tap::Args,

    /// Refuse to start if other machines can reach the listener: the server behind it may take them for this machine
    #[arg(long, value_name = "on|off", default_value = "on")]
    protected_mode: Switch,
}

/// Runs the tap, unless others could reach the server through it.
pub(super) fn run(args: &TapArgs) -> Result<ExitCode, String> {
    let listen: Result<Listen, _> = args.tap.listen.parse();
    let opening = Opening::without_login("--listen", listen.as_ref().ok());
    protected::check(Some(args.protected_mode), [opening])?;
    Ok(tap::run(&args.tap))
}
