//! `larder ping`: whether servers answer. It is the health check of a container, which has no shell.
//!
//! Cost: a process, and a connection and one round trip for each server.

use std::process::ExitCode;

use clap::Args;

use super::exit;
use crate::program::options::ClientOptions;

/// The command line of `larder ping`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PingArgs {
    #[command(flatten)]
    client: ClientOptions,
}

/// Asks each server, and names those that don't answer on standard error.
pub(crate) fn run(args: &PingArgs) -> ExitCode {
    exit::run("ping", || {
        let servers = args.client.servers()?;
        let mut code = ExitCode::SUCCESS;
        for client in servers.clients() {
            if let Err(error) = client.ping() {
                eprintln!("larder ping: {error}");
                code = ExitCode::from(exit::NOT_DONE);
            }
        }
        Ok(code)
    })
}
