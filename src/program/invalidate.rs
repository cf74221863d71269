//! `larder invalidate`: settings and targets into a running invalidation server, until a signal ends it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::admin::MonitoredInvalidation;
use crate::invalidate::{self, Control, Invalidate};
use crate::proxy::Protocol;
use crate::server::{ClientTls, Listen};

use super::admin;
use super::file::File;
use super::logging::{self, LogOptions};
use super::options::{
    InvalidateOptions, TargetOptions, TlsOptions, UpstreamTlsOptions, reload_listeners,
    reload_upstreams,
};
use super::output::{announce, show};
use super::protected::{self, Opening};
use super::signals;

pub(crate) const EXAMPLES: &str = "\
Try it:
  larder invalidate --servers servers.txt           delete written keys from a pool of caches
  printf 'set user:42 0 0 1\\r\\nx\\r\\nquit\\r\\n' | nc 127.0.0.1 1987
  larder invalidate --inspect                       undelivered deletes of each server

A write is answered when it is recorded; the deletes follow. A server that is down gets its deletes
when it is up again. HUP reads the lists of servers again. Several groups of servers, also of Redis
servers, are [[target]] tables in larder.toml.";

const INSPECT_NEEDS_CA: &str = "--inspect asks the listener, which has TLS, and needs the authority of its certificate: \
                                --upstream-tls-ca FILE";

/// The command line of `larder invalidate`.
#[derive(Args, Clone)]
pub(crate) struct InvalidateArgs {
    #[command(flatten)]
    options: InvalidateOptions,

    /// Print the state of each server and end. Asks the running larder invalidate, or reads the spool
    #[arg(long)]
    inspect: bool,

    #[command(flatten)]
    tls: TlsOptions,

    #[command(flatten)]
    upstream_tls: UpstreamTlsOptions,

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
    let tls_options = args.tls.clone().or(file.tls);
    let tls = tls_options.listeners()?;
    let upstream_tls = args
        .upstream_tls
        .clone()
        .or(file.upstream_tls)
        .upstreams()?;
    let settings = options.settings()?;
    let listeners = options.listeners()?;
    if args.inspect {
        let trusted = match (&tls, &upstream_tls) {
            (None, _) => None,
            (Some(_), Some(trusted)) => Some(&**trusted),
            (Some(_), None) => return Err(INSPECT_NEEDS_CA.into()),
        };
        return inspect(&listeners, trusted, &settings.spool);
    }
    let openings = listeners.iter().map(|(protocol, listen)| Opening {
        option: match protocol {
            Protocol::Memcached => "--listen",
            Protocol::Resp => "--resp",
        },
        listen: Some(listen),
        login: tls_options.asks_for_certificates(),
        remedies: "--tls-client-ca FILE",
    });
    let admin_address = admin::address(options.admin.as_ref()).cloned();
    let openings = openings.chain([admin::opening(admin_address.as_ref())]);
    protected::check(options.protected_mode, openings)?;
    let targets = options.targets(&tables, upstream_tls.as_ref())?;
    logging::start(&log)?;
    let (running, control) = Invalidate::new(settings, targets)
        .tls(tls.clone())
        .start(listeners)?;
    let subject = Arc::new(MonitoredInvalidation(running.monitor()));
    let pages = admin::start(admin_address.as_ref(), subject)?;
    let handles = running.handles();
    let stop = move || {
        handles
            .iter()
            .for_each(|handle| handle.begin_shutdown(crate::GRACE));
    };
    let watch = signals::watch(stop, move || {
        reload_listeners(tls.as_deref());
        reload_upstreams(upstream_tls.as_deref());
        reload(&options, &tables, upstream_tls.as_ref(), &control);
    })?;
    let listeners = running.listeners();
    let listeners = listeners.map(|(protocol, address)| format!("{protocol} {address}"));
    announce(listeners.chain(admin::announced(pages.as_ref())))?;
    running.join();
    drop((watch, pages));
    Ok(())
}

/// HUP reads the lists of servers again.
fn reload(
    options: &InvalidateOptions,
    tables: &[TargetOptions],
    tls: Option<&Arc<ClientTls>>,
    control: &Control,
) {
    let replaced = options.targets(tables, tls).and_then(|targets| {
        let servers: usize = targets.iter().map(|t| t.servers.servers().len()).sum();
        control.replace_targets(targets).map(|()| servers)
    });
    match replaced {
        Ok(servers) => log::info!("reloaded: {servers} servers"),
        Err(problem) => log::error!("not reloaded, the old servers stay: {problem}"),
    }
}

fn inspect(
    listeners: &[(Protocol, Listen)],
    tls: Option<&ClientTls>,
    spool: &Path,
) -> Result<(), String> {
    let address = listeners.iter().find_map(|listener| match listener {
        (Protocol::Memcached, Listen::Tcp(address)) => Some(address.as_str()),
        _ => None,
    });
    show(&invalidate::inspect(address, tls, spool)?)
}
