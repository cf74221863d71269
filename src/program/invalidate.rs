//! `larder invalidate`: settings and targets into a running invalidation server, until a signal ends it.

mod target;

use std::path::{Path, PathBuf};
use std::process;

use clap::Args;
use serde::Deserialize;

use larder::invalidate::{self, Durability, Invalidate, ReadPolicy, Settings, Target};
use larder::pool::Placement;
use larder::proxy::Protocol;
use larder::server::Listen;
use larder::server::signals::{self, Signal};

use super::file::File;
use super::logging::{self, LogOptions};
use super::proxy::{Hash, read_list};
use super::serve::announce;
use super::values::{Endpoint, Seconds, Span, parsed};
pub(crate) use target::TargetOptions;

pub(crate) const EXAMPLES: &str = "\
Try it:
  larder invalidate --servers servers.txt           delete from a pool what is written here
  printf 'set user:42 0 0 1\\r\\nx\\r\\nquit\\r\\n' | nc 127.0.0.1 1987
  larder invalidate --inspect                       what each server still has to be told

The answer comes when the change is on record; the deletes follow. Servers that are away get theirs
when they are back. HUP reads the lists of servers again. Several groups of servers, Redis among
them, are [[target]] tables in larder.toml.";

/// The command line of `larder invalidate`.
#[derive(Args, Clone)]
pub(crate) struct InvalidateArgs {
    #[command(flatten)]
    options: InvalidateOptions,

    /// Print how each server stands, and end: asked of the one that runs, or read from the spool
    #[arg(long)]
    inspect: bool,

    #[command(flatten)]
    log: LogOptions,

    /// The settings file [default: larder.toml, if there is one here]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What was said: on the command line, or in the `[invalidate]` table. What wasn't is `None`.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct InvalidateOptions {
    /// Where clients that speak memcached connect, or off [default: 127.0.0.1:1987]
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "parsed")]
    listen: Option<Endpoint>,

    /// Where clients that speak RESP connect [default: off]
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "parsed")]
    resp: Option<Endpoint>,

    /// A file that lists the memcached servers of a pool: `host:port weight` a line. In place of [[target]] tables
    #[arg(long, value_name = "FILE")]
    servers: Option<PathBuf>,

    /// Whose placement of keys the pool of --servers follows: ketama, libmemcached or twemproxy [default: ketama]
    #[arg(long, value_name = "NAME")]
    #[serde(deserialize_with = "parsed")]
    hash: Option<Hash>,

    /// Threads that deliver, for each server [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: Option<u32>,

    /// Where what is not delivered yet is kept [default: larder-spool]
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,

    /// What an answer promises: none (lost with the process), os (survives the process) or fsync (survives the machine)
    /// [default: os]
    #[arg(long, value_name = "none|os|fsync")]
    #[serde(deserialize_with = "parsed")]
    durability: Option<Durability>,

    /// What is done with reads: refuse them, or forward them to the first target of the client's protocol
    /// [default: refuse]
    #[arg(long, value_name = "refuse|forward")]
    #[serde(deserialize_with = "parsed")]
    reads: Option<ReadPolicy>,

    /// Keys that may wait for a server; with more it is flushed when it is back [default: 10000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_pending: Option<u64>,

    /// How long a key may wait for a server, like 30m or 24h; after that it is flushed when it is back. 0 is no limit
    /// [default: 24h]
    #[arg(long, value_name = "SPAN")]
    #[serde(deserialize_with = "parsed")]
    max_age: Option<Span>,

    /// Clients connected at once, at each listener; one more is told so and closed [default: 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: Option<u32>,

    /// Seconds that a server may take to connect, and to answer [default: 2]
    #[arg(long, value_name = "SECONDS")]
    #[serde(deserialize_with = "parsed")]
    timeout: Option<Seconds>,
}

impl InvalidateOptions {
    /// These options where they were said, `file`'s where they weren't.
    fn or(self, file: InvalidateOptions) -> InvalidateOptions {
        InvalidateOptions {
            listen: self.listen.or(file.listen),
            resp: self.resp.or(file.resp),
            servers: self.servers.or(file.servers),
            hash: self.hash.or(file.hash),
            workers: self.workers.or(file.workers),
            spool: self.spool.or(file.spool),
            durability: self.durability.or(file.durability),
            reads: self.reads.or(file.reads),
            max_pending: self.max_pending.or(file.max_pending),
            max_age: self.max_age.or(file.max_age),
            max_connections: self.max_connections.or(file.max_connections),
            timeout: self.timeout.or(file.timeout),
        }
    }

    /// The settings in force, or what is wrong with them.
    fn settings(&self) -> Result<Settings, String> {
        let spool = self.spool.clone();
        let mut settings = Settings::new(spool.unwrap_or_else(|| PathBuf::from("larder-spool")));
        settings.durability = self.durability.unwrap_or(settings.durability);
        settings.reads = self.reads.unwrap_or(settings.reads);
        settings.max_pending = self.max_pending.unwrap_or(settings.max_pending);
        if let Some(workers) = self.workers {
            settings.workers = workers as usize;
        }
        if let Some(connections) = self.max_connections {
            settings.max_connections = connections as usize;
        }
        if let Some(age) = self.max_age {
            settings.max_age = age.off_if_zero();
        }
        match self.timeout.map(Seconds::span) {
            None => {}
            Some(Some(span)) => settings.timeout = span,
            Some(None) => return Err("--timeout 0 is no deadline; give at least 1".into()),
        }
        if !(1..=64).contains(&settings.workers) {
            return Err("workers is a number from 1 to 64".into());
        }
        if settings.max_pending == 0 || settings.max_connections == 0 {
            return Err("max-pending and max-connections must be at least 1".into());
        }
        Ok(settings)
    }

    /// What is in force as text, or nothing where there is no default; with an example for each.
    pub(super) fn values(&self) -> Result<Vec<Printed>, String> {
        let settings = self.settings()?;
        let InvalidateOptions {
            listen,
            resp,
            servers,
            hash,
            workers: _,
            spool: _,
            durability: _,
            reads: _,
            max_pending: _,
            max_age: _,
            max_connections: _,
            timeout: _,
        } = self;
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let listen = listen
            .as_ref()
            .map_or(LISTEN.to_owned(), Endpoint::to_string);
        let resp = resp.as_ref().map_or("off".to_owned(), Endpoint::to_string);
        let age = Span(settings.max_age.unwrap_or_default());
        Ok(vec![
            ("listen", Some(listen), ""),
            ("resp", Some(resp), ""),
            ("servers", servers.as_deref().map(path), "servers.txt"),
            (
                "hash",
                Some(hash.unwrap_or(Hash(Placement::Ketama)).to_string()),
                "",
            ),
            ("workers", Some(settings.workers.to_string()), ""),
            ("spool", Some(path(&settings.spool)), ""),
            ("durability", Some(settings.durability.to_string()), ""),
            ("reads", Some(settings.reads.to_string()), ""),
            ("max-pending", Some(settings.max_pending.to_string()), ""),
            ("max-age", Some(age.to_string()), ""),
            (
                "max-connections",
                Some(settings.max_connections.to_string()),
                "",
            ),
            ("timeout", Some(settings.timeout.as_secs().to_string()), ""),
        ])
    }

    fn listeners(&self) -> Result<Vec<(Protocol, Listen)>, String> {
        let memcached = match self.listen.clone() {
            None => Some(Listen::Tcp(LISTEN.into())),
            Some(Endpoint(listen)) => listen,
        };
        let resp = self.resp.clone().and_then(|Endpoint(listen)| listen);
        let both = [(Protocol::Memcached, memcached), (Protocol::Resp, resp)];
        let listeners: Vec<_> = both
            .into_iter()
            .filter_map(|(protocol, listen)| Some((protocol, listen?)))
            .collect();
        match listeners.is_empty() {
            true => Err("--listen off without --resp leaves nothing to do".into()),
            false => Ok(listeners),
        }
    }

    /// The targets, their lists read now.
    fn targets(&self, tables: &[TargetOptions]) -> Result<Vec<Target>, String> {
        match (&self.servers, tables) {
            (Some(file), _) => {
                let mut target = Target::new("pool", read_list(file)?);
                if let Some(hash) = self.hash {
                    target.placement = hash.0;
                }
                Ok(vec![target])
            }
            (None, []) => Err(NO_TARGET.into()),
            (None, tables) => tables.iter().map(TargetOptions::target).collect(),
        }
    }
}

/// A setting: its flag, its value if there is one, and an example.
pub(super) type Printed = (&'static str, Option<String>, &'static str);

/// Where it listens if nothing is said.
const LISTEN: &str = "127.0.0.1:1987";

/// What a user reads who named no servers.
const NO_TARGET: &str = "there is nobody to tell. Name the servers in one of two ways:
  --servers servers.txt         a pool of memcached servers, `host:port weight` a line
  [[target]] in larder.toml     several groups, of memcached and Redis servers";

/// Invalidates until TERM, INT or QUIT. Fails with a sentence for a person when it can't start.
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
    let watch = signals::watch(move |signal| match signal {
        Signal::Stop => handles
            .iter()
            .for_each(|handle| handle.begin_shutdown(larder::GRACE)),
        Signal::StopNow => process::exit(0),
        Signal::Reload => {
            logging::reopen();
            let replaced = options.targets(&tables).and_then(|targets| {
                let servers: usize = targets.iter().map(|t| t.servers.servers().len()).sum();
                control.replace_targets(targets).map(|()| servers)
            });
            match replaced {
                Ok(servers) => log::info!("reloaded: {servers} servers"),
                Err(problem) => log::error!("not reloaded, the old servers stay: {problem}"),
            }
        }
    })
    .map_err(|error| format!("signals can't be caught: {error}"))?;
    announce(
        running
            .listeners()
            .map(|(protocol, address)| format!("{protocol} {address}")),
    )?;
    running.join();
    drop(watch);
    Ok(())
}

fn inspect(listeners: &[(Protocol, Listen)], spool: &Path) -> Result<(), String> {
    let address = listeners.iter().find_map(|listener| match listener {
        (Protocol::Memcached, Listen::Tcp(address)) => Some(address.as_str()),
        _ => None,
    });
    super::show(&invalidate::inspect(address, spool)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_without_servers_shows_the_ways() {
        let error = InvalidateOptions::default().targets(&[]).unwrap_err();
        for way in ["--servers", "[[target]]"] {
            assert!(error.contains(way), "{error}");
        }
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let flags = InvalidateOptions {
            durability: Some(Durability::Fsync),
            ..InvalidateOptions::default()
        };
        let file = InvalidateOptions {
            durability: Some(Durability::None),
            max_age: "0".parse().ok(),
            ..InvalidateOptions::default()
        };
        let settings = flags.or(file).settings().unwrap();
        assert_eq!(settings.durability, Durability::Fsync);
        assert_eq!(settings.max_age, None);
    }

    #[test]
    fn without_a_listener_there_is_nothing_to_do() {
        let off = InvalidateOptions {
            listen: "off".parse().ok(),
            ..InvalidateOptions::default()
        };
        assert!(off.listeners().unwrap_err().contains("--resp"));
    }
}
