//! `larder echo`: the server core without a cache.

use std::sync::Arc;

use clap::Args;

use crate::server::{Connections, Server};
use crate::service::echo::Echo;

use super::logging::{self, LogOptions};
use super::output::announce;
use super::protected::{self, Opening};
use super::signals;
use super::values::{Endpoint, Switch};

/// The command line of `larder echo`.
#[derive(Args)]
pub(crate) struct EchoArgs {
    /// Address to listen on: HOST:PORT, or a path with a slash for a Unix socket
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007")]
    listen: Endpoint,

    /// Refuse to start if other machines can reach the listener, which has no login
    #[arg(long, value_name = "on|off", default_value = "on")]
    protected_mode: Switch,

    #[command(flatten)]
    log: LogOptions,
}

/// Echoes until TERM, INT or QUIT.
pub(super) fn run(args: &EchoArgs) -> Result<(), String> {
    let Some(listen) = args.listen.0.clone() else {
        return Err("--listen off leaves nothing to do".into());
    };
    logging::start(&args.log)?;
    protected::check(
        Some(args.protected_mode),
        [Opening::without_login("--listen", Some(&listen))],
    )?;
    let server = Server::new(Connections::new())
        .listen(listen, Arc::new(Echo))
        .start()
        .map_err(|error| format!("{error}; choose another with --listen ADDR"))?;
    let handle = server.handle();
    let watch = signals::watch(move || handle.begin_shutdown(crate::GRACE), || {})?;
    let addresses = server.addresses().iter();
    announce(addresses.map(|address| format!("echo {address}")))?;
    server.join();
    drop(watch);
    Ok(())
}
