//! `larder echo`: the server core with nothing on it.

use std::process;
use std::sync::Arc;

use clap::Args;

use larder::server::signals::{self, Signal};
use larder::server::{Connections, Server};
use larder::service::echo::Echo;

use super::logging::{self, LogOptions};
use super::serve::announce;
use super::values::Endpoint;

/// The command line of `larder echo`.
#[derive(Args)]
pub(crate) struct EchoArgs {
    /// Where to listen: HOST:PORT, or a path with a slash for a Unix socket
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007")]
    listen: Endpoint,

    #[command(flatten)]
    log: LogOptions,
}

/// Echoes until TERM, INT or QUIT.
pub(super) fn run(args: &EchoArgs) -> Result<(), String> {
    let Some(listen) = args.listen.0.clone() else {
        return Err("--listen off leaves nothing to do".into());
    };
    logging::start(&args.log)?;
    let server = Server::new(Connections::new())
        .listen(listen, Arc::new(Echo))
        .start()
        .map_err(|error| format!("{error}; choose another with --listen ADDR"))?;
    let handle = server.handle();
    let watch = signals::watch(move |signal| match signal {
        Signal::Stop => handle.begin_shutdown(larder::GRACE),
        Signal::StopNow => process::exit(0),
        Signal::Reload => logging::reopen(),
    })
    .map_err(|e| format!("signals can't be caught: {e}"))?;
    // Whoever reads this line may send a signal at once, so the signals come first.
    announce(
        server
            .addresses()
            .iter()
            .map(|address| format!("echo {address}")),
    )?;
    server.join();
    drop(watch);
    Ok(())
}
