//! `larder proxy`: settings and a list of servers into a running proxy, until a signal ends it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::admin::MonitoredProxy;
use crate::pool::{Placement, ServerList};
use crate::proxy::{Control, Protocol, Proxy, Settings};
use crate::server::{Listen, StartError};

use super::admin;
use super::demo::DemoServers;
use super::file::File;
use super::logging::{self, LogOptions};
use super::options::{
    ProxyOptions, TlsOptions, UpstreamTlsOptions, read_list, reload_listeners, reload_upstreams,
};
use super::output::announce;
use super::password::{UPSTREAM_PASSWORD, password};
use super::protected::{self, Opening};
use super::signals;

pub(crate) const EXAMPLES: &str = "\
Try it:
  larder proxy --demo                                         two servers in this process
  larder proxy --protocol resp --listen 127.0.0.1:12345 --upstream 127.0.0.1:6379
  larder proxy --protocol memcached --listen 127.0.0.1:12345 --servers servers.txt
  larder proxy --cluster 127.0.0.1:7000 127.0.0.1:7001        a Redis Cluster, as one Redis

servers.txt has one line per server, `host:port weight`. HUP reads it again; servers that stay in
the list keep their connections. The environment variable LARDER_UPSTREAM_PASSWORD holds the
password of the upstreams, unless --password-file names a file. Clients must give the same
password.";

/// The command line of `larder proxy`.
#[derive(Args, Clone)]
pub(crate) struct ProxyArgs {
    #[command(flatten)]
    options: ProxyOptions,

    /// Start two servers in this process, forward to them, and print commands to try
    #[arg(long, conflicts_with_all = ["upstream", "servers", "cluster"])]
    demo: bool,

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

/// A proxy that is its own upstream would forward every request to itself without end.
fn check_not_own_upstream(listen: &Listen, servers: &ServerList) -> Result<(), String> {
    let listen = listen.to_string();
    let mut servers = servers.servers().iter();
    match servers.any(|server| server.address == listen) {
        false => Ok(()),
        true => Err(format!(
            "{listen} is the address for clients and also an upstream; choose another with --listen ADDR"
        )),
    }
}

/// Forwards until TERM, INT or QUIT. The error is a sentence for a person.
pub(super) fn run(args: &ProxyArgs) -> Result<(), String> {
    let file = File::find(args.config.as_deref()).map_err(|error| error.to_string())?;
    let options = args.options.clone().or(file.proxy);
    let log = args.log.clone().or(file.log);
    let tls_options = args.tls.clone().or(file.tls);
    let tls = tls_options.listeners()?;
    let upstream_tls = args
        .upstream_tls
        .clone()
        .or(file.upstream_tls)
        .upstreams()?;
    let settings = options.settings()?;
    let listen = options.listener()?;
    let protocol = settings.protocol;
    let admin_address = admin::address(options.admin.as_ref()).cloned();
    let password = password(options.password_file.as_deref(), UPSTREAM_PASSWORD)?;
    let login = tls_options.asks_for_certificates() || password.is_some();
    check_protected(&options, &listen, login)?;
    let demo = args.demo.then(DemoServers::start).transpose()?;
    let proxy = match &demo {
        Some(demo) => {
            let servers = demo.list(protocol)?;
            check_not_own_upstream(&listen, &servers)?;
            Proxy::new(settings, servers, Placement::Ketama)
        }
        None => proxy(&options, settings, &listen, password)?.upstream_tls(upstream_tls.clone()),
    };
    logging::start(&log)?;
    let (running, control) =
        proxy
            .tls(tls.clone())
            .start(listen)
            .map_err(|error| match &error {
                StartError::Listen { .. } => format!("{error}; choose another with --listen ADDR"),
                _ => error.to_string(),
            })?;
    let subject = MonitoredProxy {
        proxy: control.monitor(),
        handle: running.handle(),
    };
    let pages = admin::start(admin_address.as_ref(), Arc::new(subject))?;
    let handle = running.handle();
    let stop = move || handle.begin_shutdown(crate::GRACE);
    let watch = signals::watch(stop, move || {
        reload(&options, &control);
        reload_listeners(tls.as_deref());
        reload_upstreams(upstream_tls.as_deref());
    })?;
    let addresses = running.addresses().iter();
    let listeners = addresses.map(|address| format!("{protocol} {address}"));
    announce(listeners.chain(admin::announced(pages.as_ref())))?;
    if let (Some(demo), Some(address)) = (&demo, running.addresses().first()) {
        demo.explain(protocol, &address.to_string());
    }
    running.join();
    drop((watch, pages));
    Ok(())
}

/// An error if other machines can reach a listener without a login, unless --protected-mode is off.
fn check_protected(options: &ProxyOptions, listen: &Listen, login: bool) -> Result<(), String> {
    let clients = Opening {
        option: "--listen",
        listen: Some(listen),
        login,
        remedies: "--password-file FILE or --tls-client-ca FILE",
    };
    let admin = admin::opening(admin::address(options.admin.as_ref()));
    protected::check(options.protected_mode, [clients, admin])
}

/// The proxy in front of the servers that the options name.
fn proxy(
    options: &ProxyOptions,
    settings: Settings,
    listen: &Listen,
    password: Option<String>,
) -> Result<Proxy, String> {
    let servers = options.servers()?;
    check_not_own_upstream(listen, &servers)?;
    if options.user.is_some() && password.is_none() {
        return Err(format!(
            "--user needs a password: --password-file FILE, or {UPSTREAM_PASSWORD} in the environment"
        ));
    }
    let memcached = settings.protocol == Protocol::Memcached;
    if password.is_some() && options.user.is_none() && memcached {
        return Err("memcached's users have names: give --user NAME with the password".into());
    }
    let proxy = match &options.cluster {
        Some(_) => Proxy::cluster(settings, servers),
        None => {
            let placement = options.hash.map_or(Placement::Ketama, |hash| hash.0);
            Proxy::new(settings, servers, placement)
        }
    };
    Ok(proxy.password(password).user(options.user.clone()))
}

/// HUP reads the list of servers again, or asks the cluster for its servers.
fn reload(options: &ProxyOptions, control: &Control) {
    match options.servers.as_deref().map(read_list) {
        None if options.cluster.is_some() => {
            control.look_again();
            log::info!("the log is reopened; the cluster is asked for its servers");
        }
        None => log::info!("the log is reopened; there is no list of servers to read again"),
        Some(Ok(list)) => {
            control.replace_servers(&list);
            log::info!("reloaded: {} servers", list.servers().len());
        }
        Some(Err(problem)) => log::error!("not reloaded, the old servers stay: {problem}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_not_its_own_upstream() {
        let listen = |address: &str| Listen::Tcp(address.into());
        let servers = "127.0.0.1:7000 1\n127.0.0.1:7001 1\n".parse().unwrap();
        assert!(check_not_own_upstream(&listen("127.0.0.1:7001"), &servers).is_err());
        assert_eq!(
            check_not_own_upstream(&listen("127.0.0.1:7002"), &servers),
            Ok(())
        );
    }
}
