//! `larder invalidate`: settings and targets into a running invalidation server, until a signal ends it.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::invalidate::{self, Control, Invalidate};
use crate::proxy::Protocol;
use crate::server::Listen;

use super::file::File;
use super::logging::{self, LogOptions};
use super::options::{InvalidateOptions, TargetOptions};
use super::output::{announce, show};
use super::signals;

pub(crate) const EXAMPLES: &str = "\
Try it:
  larder invalidate --servers servers.txt           delete written keys from a pool of caches
  printf 'set user:42 0 0 1\\r\\nx\\r\\nquit\\r\\n' | nc 127.0.0.1 1987
  larder invalidate --inspect                       undelivered deletes of each server

A write is answered when it is recorded; the deletes follow. A server that is down gets its deletes
when it is up again. HUP reads the lists of servers again. Several groups of servers, also of Redis
servers, are [[target]] tables in larder.toml.";

/// The command line of `larder invalidate`.
#[derive(Args, Clone)]
pub(crate) struct InvalidateArgs {
    #[command(flatten)]
    options: InvalidateOptions,

    /// Print the state of each server and end. Asks the running larder invalidate, or reads the spool
    #[arg(long)]
    inspect: bool,

    #[command(flatten)]
    log: LogOptions,

    /// The settings file [default: larder.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Invalidates until TERM, INT or QUIT. The error is a sentence for a person.
pub(super) fn run(args: &InvalidateArgs) -> Result<(), String> {
    let file = File::find(args.config.as_deref()).map_err(|error| error.to_string())?;
    let options = args.options.clone().or(file.invalidate);
    let log = args.log.clone().or(file.log);
    let tables = file.target;
    let settings = options.settings()?;
    let listeners = options.listeners()?;
    if args.inspect {
        return inspect(&listeners, &settings.spool);
    }
    let targets = options.targets(&tables)?;
    logging::start(&log)?;
    let (running, control) = Invalidate::new(settings, targets).start(listeners)?;
    let handles = running.handles();
    let stop = move || {
        handles
            .iter()
            .for_each(|handle| handle.begin_shutdown(crate::GRACE));
    };
    let watch = signals::watch(stop, move || reload(&options, &tables, &control))?;
    let listeners = running.listeners();
    announce(listeners.map(|(protocol, address)| format!("{protocol} {address}")))?;
    running.join();
    drop(watch);
    Ok(())
}

/// HUP reads the lists of servers again.
fn reload(options: &InvalidateOptions, tables: &[TargetOptions], control: &Control) {
    let replaced = options.targets(tables).and_then(|targets| {
        let servers: usize = targets.iter().map(|t| t.servers.servers().len()).sum();
        control.replace_targets(targets).map(|()| servers)
    });
    match replaced {
        Ok(servers) => log::info!("reloaded: {servers} servers"),
        Err(problem) => log::error!("not reloaded, the old servers stay: {problem}"),
    }
}

fn inspect(listeners: &[(Protocol, Listen)], spool: &Path) -> Result<(), String> {
    let address = listeners.iter().find_map(|listener| match listener {
        (Protocol::Memcached, Listen::Tcp(address)) => Some(address.as_str()),
        _ => None,
    });
    show(&invalidate::inspect(address, spool)?)
}
