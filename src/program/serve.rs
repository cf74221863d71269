//! `larder serve`: settings into a running server, until a signal ends it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use clap::Args;

use crate::Server;
use crate::origin;
use crate::peers::PeerSettings;
use crate::server::{ClientTls, Connections, Listen, ServerTls, StartError};
use crate::service::resp::acl_file_lets_everybody_in;
use crate::snapshot::SaveError;

use super::admin;
use super::file::{DEFAULT_FILE, File};
use super::logging::{self, Format, LogOptions};
use super::options::{
    NamedOrigin, OriginOptions, PeersOptions, ServeOptions, Settings, TlsOptions, reload_listeners,
    reload_upstreams,
};
use super::output::announce;
use super::password::{CLIENT_PASSWORD, password};
use super::protected::{self, Opening};
use super::signals;

/// The command line of `larder serve` and `larder config`.
#[derive(Args, Clone)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    options: ServeOptions,

    #[command(flatten)]
    origin: OriginOptions,

    #[command(flatten)]
    peers: PeersOptions,

    #[command(flatten)]
    tls: TlsOptions,

    #[command(flatten)]
    log: LogOptions,

    /// The settings file [default: larder.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// End when standard input ends. A program that starts larder for itself, as a test does, gives it a pipe: the system
    /// closes the pipe when that program ends, also if it is killed
    #[arg(long)]
    until_stdin_ends: bool,
}

/// The settings of all tables.
pub(super) struct TableSettings {
    pub(super) serve: Settings,
    pub(super) origin: OriginOptions,
    pub(super) peers: PeersOptions,
    pub(super) tls: TlsOptions,
    pub(super) log: LogOptions,
}

impl ServeArgs {
    pub(super) fn file(&self) -> Result<File, String> {
        File::find(self.config.as_deref()).map_err(|e| e.to_string())
    }

    /// The settings in force: flags, then the file, then the defaults. The error is a sentence for a person.
    pub(super) fn settings(&self) -> Result<TableSettings, String> {
        let file = self.file()?;
        let of_file = file.serve.clone().settings().problem();
        let settings = self.options.clone().or(file.serve).settings();
        match settings.problem() {
            Some(problem) if of_file.as_ref() == Some(&problem) => {
                let name = self.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
                Err(format!("{}: {problem}", name.display()))
            }
            Some(problem) => Err(problem),
            None => Ok(TableSettings {
                serve: settings,
                origin: self.origin.clone().or(file.origin),
                peers: self.peers.clone().or(file.peers),
                tls: self.tls.clone().or(file.tls),
                log: self.log.clone().or(file.log),
            }),
        }
    }
}

/// Serves until TERM, INT or QUIT. The error is a sentence for a person.
pub(super) fn run(args: &ServeArgs) -> Result<(), String> {
    let TableSettings {
        serve: settings,
        origin,
        peers,
        tls: tls_options,
        log,
    } = args.settings()?;
    logging::start(&log)?;
    let tls = tls_options.listeners()?;
    if settings.udp.0.is_some() && tls_options.asks_for_certificates() {
        return Err(
            "--udp can't be used with --tls-client-ca: a datagram has no certificate; remove one of the two".into(),
        );
    }
    check_protected(&settings, &tls_options)?;
    let named = origin.origin()?;
    let origin_tls = named.as_ref().and_then(|named| named.tls.clone());
    let times = origin.settings();
    let fetch_time = named.as_ref().map(|_| times.timeout);
    let peer_settings = peers.settings(fetch_time)?;
    let client_tls = (tls.clone(), tls_options.asks_for_certificates());
    let server = start(&settings, (named, times), peer_settings, client_tls)?;
    let pages = admin::start(settings.admin.0.as_ref(), admin::subject(&server))?;
    let serving = serving(&settings);
    let handle = server.handle();
    let end = move || handle.begin_shutdown(crate::GRACE);
    let restart = NeedsRestart {
        tls: tls_options,
        origin,
        log_format: log.format(),
        peers,
        log_dir: log.dir,
    };
    let reload = reload(args.clone(), settings, restart, (tls, origin_tls), &server);
    let watch = [
        signals::watch(end.clone(), reload)?,
        signals::watch_user(save_on_signal(&server))?,
    ];
    if args.until_stdin_ends {
        signals::watch_stdin(end);
    }
    log::info!("{serving}");
    warn_of_udp(&server);
    let listeners = server.listeners();
    let listeners = listeners.map(|(protocol, address)| format!("{protocol} {address}"));
    announce(listeners.chain(admin::announced(pages.as_ref())))?;
    let saved = server.join_and_save();
    drop((watch, pages));
    log::info!("ended");
    match saved {
        Err(SaveError::Failed(problem)) => Err(format!(
            "the snapshot at the end was not written: {problem}"
        )),
        _ => Ok(()),
    }
}

/// The line of the log at the start.
fn serving(settings: &Settings) -> String {
    let workers = match settings.workers {
        Some(workers) => format!("{workers} workers"),
        None => format!("up to {} workers", settings.model.0.default_workers()),
    };
    format!(
        "serving with {} for items; connections run by {} on {workers}",
        settings.memory, settings.model
    )
}

/// An error if other machines can reach a listener without a login, unless --protected-mode is off.
fn check_protected(settings: &Settings, tls: &TlsOptions) -> Result<(), String> {
    let certificates = tls.asks_for_certificates();
    let login_of_resp = match &settings.acl_file {
        Some(file) => !acl_file_lets_everybody_in(file)?,
        None => password(settings.password_file.as_deref(), CLIENT_PASSWORD)?.is_some(),
    };
    let openings = [
        Opening {
            option: "--memcached",
            listen: settings.memcached.0.as_ref(),
            login: certificates || settings.auth_file.is_some(),
            remedies: "--auth-file FILE or --tls-client-ca FILE",
        },
        Opening {
            option: "--resp",
            listen: settings.resp.0.as_ref(),
            login: certificates || login_of_resp,
            remedies: "--password-file FILE, --acl-file FILE without an open default user, or --tls-client-ca FILE",
        },
        Opening {
            option: "--udp",
            listen: settings.udp.0.as_ref(),
            login: false,
            remedies: "",
        },
        admin::opening(settings.admin.0.as_ref()),
    ];
    protected::check(Some(settings.protected_mode), openings)
}

/// USR1 begins a snapshot.
fn save_on_signal(server: &Server) -> impl FnMut() + Send + 'static {
    let saver = server.saver().cloned();
    move || match &saver {
        None => {
            log::warn!("USR1 writes a snapshot, and there is no file for it: give --snapshot FILE")
        }
        Some(saver) => match saver.save_in_background() {
            Ok(()) => log::info!("writing a snapshot, because USR1 arrived"),
            Err(_) => log::warn!("USR1 arrived while a snapshot was being written already"),
        },
    }
}

/// Settings of other tables, as they were at the start.
struct NeedsRestart {
    tls: TlsOptions,
    origin: OriginOptions,
    log_format: Format,
    peers: PeersOptions,
    log_dir: Option<PathBuf>,
}

/// HUP reads the settings again and puts those into force that can change while larder serves.
fn reload(
    args: ServeArgs,
    mut running: Settings,
    restart: NeedsRestart,
    (tls, origin_tls): (Option<Arc<ServerTls>>, Option<Arc<ClientTls>>),
    server: &Server,
) -> impl FnMut() + Send + 'static {
    let (store, connections) = (server.store.clone(), server.running.connections().clone());
    let (memcached, saver) = (server.memcached.clone(), server.saver().cloned());
    let (peers, slow_log) = (server.peers(), server.slow_log.clone());
    move || match args.settings() {
        Ok(new) => {
            let (settings, log) = (new.serve, new.log);
            logging::set_level(log.level());
            store.set_memory(settings.memory.0);
            store.set_when_full(settings.when_full.0);
            memcached.set_max_item_size(settings.max_item_size.0 as usize);
            if let Err(problem) = memcached.reload_users() {
                log::error!(
                    "the users of --auth-file were not reloaded, the old ones stay: {problem}"
                );
            }
            set_max_connections(&connections, settings.max_connections as usize);
            connections.set_max_reply_memory(settings.max_reply_memory.0 as usize);
            slow_log.set_slower_than(settings.slowlog_log_slower_than.microseconds());
            slow_log.set_max_len(settings.slowlog_max_len.into());
            if let Some(saver) = &saver {
                saver.set_every(settings.snapshot_every.off_if_zero());
            }
            let mut later = running.reload(&settings);
            if log.dir != restart.log_dir {
                later.push("log-dir");
            }
            if log.format() != restart.log_format {
                later.push("log-format");
            }
            if new.tls != restart.tls {
                later.push("tls");
            }
            if new.origin != restart.origin {
                later.push("origin");
            }
            if new.peers != restart.peers {
                later.push("peers");
            }
            reload_listeners(tls.as_deref());
            reload_upstreams(origin_tls.as_deref());
            if let Some(peers) = peers.as_ref().and_then(Weak::upgrade)
                && let Err(problem) = peers.reload()
            {
                log::error!("the peers were not reloaded, the old ones stay: --peers {problem}");
            }
            report_reload(&running, connections.max(), &later);
        }
        Err(problem) => log::error!("not reloaded, the old settings stay in force: {problem}"),
    }
}

/// Changes the number of connections that may be open, as far as the system allows.
fn set_max_connections(connections: &Connections, max: usize) {
    match connections.raise_open_files(max) {
        Ok(()) => connections.set_max(max),
        Err(possible) => {
            log::error!(
                "max-connections stays {}: {max} need more open files than the system allows, which is enough for {possible}; raise the \
                 hard limit of files (ulimit -Hn, or LimitNOFILE= of systemd) and restart larder",
                connections.max()
            );
        }
    }
}

/// Warns if other machines can reach UDP.
fn warn_of_udp(server: &Server) {
    let addresses = server.listeners().filter_map(|(_, address)| address.udp());
    for address in addresses.filter(|address| !address.ip().is_loopback()) {
        log::warn!(
            "udp {address}: other machines can send datagrams with forged addresses, and the replies go to those addresses; \
             let only trusted ones reach this port"
        );
    }
}

/// The password of RESP's clients, which a file of users has instead.
fn password_of_resp(settings: &Settings) -> Result<Option<String>, String> {
    let password = password(settings.password_file.as_deref(), CLIENT_PASSWORD)?;
    match (&settings.acl_file, &password) {
        (Some(path), Some(_)) => Err(format!(
            "--acl-file {}: its users have the passwords; remove --password-file and {CLIENT_PASSWORD}, or the file",
            path.display()
        )),
        _ => Ok(password),
    }
}

fn start(
    settings: &Settings,
    (origin, times): (Option<NamedOrigin>, origin::Settings),
    peers: Option<PeerSettings>,
    (tls, certificates): (Option<Arc<ServerTls>>, bool),
) -> Result<Server, String> {
    let unix = settings.unix.clone().map(Listen::Unix);
    let listeners = [
        ("--memcached", settings.memcached.0.clone()),
        ("--resp", settings.resp.0.clone()),
        ("--unix", unix),
    ];
    let udp = settings.udp.0.as_ref().map(Listen::to_string);
    let options: Vec<_> = listeners
        .iter()
        .filter(|(_, to)| to.is_some())
        .map(|(o, _)| *o)
        .chain(udp.as_ref().map(|_| "--udp"))
        .collect();
    let [(_, memcached), (_, resp), (_, unix)] = listeners;
    let password = password_of_resp(settings)?;
    let builder = Server::builder()
        .memcached(memcached)
        .resp(resp)
        .unix(unix)
        .udp(udp)
        .memory(settings.memory.0)
        .when_full(settings.when_full.0)
        .max_item_size(settings.max_item_size.0 as usize)
        .max_reply_memory(Some(settings.max_reply_memory.0 as usize))
        .slow_log(
            settings
                .slowlog_log_slower_than
                .0
                .map(Duration::from_micros),
            settings.slowlog_max_len.into(),
        )
        .nested(settings.nested.0)
        .memcached_protocol(settings.memcached_protocol.0)
        .backlog(settings.backlog)
        .flush_all(settings.flush_all.0)
        .watch(settings.watch.0)
        .shutdown_command(settings.shutdown_command.0)
        .password(password)
        .auth_file(settings.auth_file.clone())
        .acl_file(settings.acl_file.clone())
        .protected(settings.protected_mode.0 && !certificates)
        .snapshot(settings.snapshot.clone())
        .snapshot_every(settings.snapshot_every.off_if_zero())
        .model(settings.model.0)
        .workers(settings.workers.map(|workers| workers as usize))
        .max_connections(settings.max_connections as usize)
        .idle_timeout(settings.idle_timeout.span())
        .tls(tls)
        .origin(origin.map(|named| named.origin), times)
        .peers(peers);
    builder.start().map_err(|error| advice(&error, &options))
}

/// The reason why the server can't start, and the option to change; `options` are those of the listeners.
fn advice(error: &StartError, options: &[&str]) -> String {
    match error {
        StartError::Listen { index, .. } => {
            format!("{error}; choose another with {} ADDR", options[*index])
        }
        StartError::OpenFiles { .. } => format!("{error}; the option is --max-connections N"),
        _ => error.to_string(),
    }
}

/// Logs the settings in force after a reload, and the names of changed settings that need a restart.
fn report_reload(running: &Settings, max_connections: usize, later: &[&str]) {
    log::info!(
        "reloaded: memory = {}, max-item-size = {}, max-connections = {max_connections}",
        running.memory,
        running.max_item_size
    );
    if !later.is_empty() {
        log::warn!(
            "these settings changed too and need a restart: {}",
            later.join(", ")
        );
    }
}
