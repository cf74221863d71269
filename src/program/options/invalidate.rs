//! The settings of `larder invalidate`: the command line, and the `[invalidate]` table of larder.toml.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Deserialize;

use crate::invalidate::{Durability, ReadPolicy, Settings, Target};
use crate::pool::Placement;
use crate::proxy::Protocol;
use crate::server::{ClientTls, Listen};

use super::pool::{PlacementName, read_list};
use super::target::TargetOptions;
use crate::program::values::{Endpoint, PrintedSetting, Seconds, Span, Switch, parsed};

/// The options that were given on the command line or in the `[invalidate]` table; `None` for the others.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct InvalidateOptions {
    /// Address for memcached clients, or off [default: 127.0.0.1:1987]
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "parsed")]
    listen: Option<Endpoint>,

    /// Address for RESP clients [default: off]
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "parsed")]
    resp: Option<Endpoint>,

    /// Address of the admin listener: HOST:PORT, a path with a slash for a Unix socket, or off. It answers HTTP: a page with
    /// plots, /metrics for Prometheus, and /healthz. It has neither a login nor TLS [default: off]
    #[arg(long, value_name = "ADDR|off")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) admin: Option<Endpoint>,

    /// A file that lists the memcached servers of a pool: one `host:port weight` per line. Replaces [[target]] tables
    #[arg(long, value_name = "FILE")]
    servers: Option<PathBuf>,

    /// The placement of keys on the servers of --servers: ketama, libmemcached or twemproxy [default: ketama]
    #[arg(long, value_name = "NAME")]
    #[serde(deserialize_with = "parsed")]
    hash: Option<PlacementName>,

    /// Delivery threads for each server [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: Option<u32>,

    /// The directory of deletes that are not delivered yet [default: larder-spool]
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,

    /// The crashes that an answered write survives: none, os (of the process) or fsync (of the machine)
    /// [default: os]
    #[arg(long, value_name = "none|os|fsync")]
    #[serde(deserialize_with = "parsed")]
    durability: Option<Durability>,

    /// Refuse reads, or forward them to the first target of the client's protocol [default: refuse]
    #[arg(long, value_name = "refuse|forward")]
    #[serde(deserialize_with = "parsed")]
    reads: Option<ReadPolicy>,

    /// Keys that may wait for a server; with more, the server is flushed when it is up again [default: 10000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_pending: Option<u64>,

    /// Longest time that a key may wait for a server, like 30m or 24h; after that, the server is flushed when it is up
    /// again. 0 is no limit [default: 24h]
    #[arg(long, value_name = "SPAN")]
    #[serde(deserialize_with = "parsed")]
    max_age: Option<Span>,

    /// How long a server may hold values of keys that it had by an earlier list of servers, like 24h or 7d. When a list
    /// changes, the earlier one is kept in the spool for this time, and a delete also goes to the servers that had the
    /// key by it and are still listed. 0 remembers no earlier list [default: 7d]
    #[arg(long, value_name = "SPAN")]
    #[serde(deserialize_with = "parsed")]
    remember_rings: Option<Span>,

    /// Open client connections, at each listener; further clients get an error and are disconnected [default: 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: Option<u32>,

    /// Seconds that connecting to a server may take, and each answer [default: 2]
    #[arg(long, value_name = "SECONDS")]
    #[serde(deserialize_with = "parsed")]
    timeout: Option<Seconds>,

    /// Refuse to start if other machines can reach a listener whose clients don't have to log in [default: on]
    #[arg(long, value_name = "on|off")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) protected_mode: Option<Switch>,
}

impl InvalidateOptions {
    /// These options if they were given, otherwise `file`'s.
    pub(crate) fn or(self, file: InvalidateOptions) -> InvalidateOptions {
        InvalidateOptions {
            listen: self.listen.or(file.listen),
            resp: self.resp.or(file.resp),
            admin: self.admin.or(file.admin),
            servers: self.servers.or(file.servers),
            hash: self.hash.or(file.hash),
            workers: self.workers.or(file.workers),
            spool: self.spool.or(file.spool),
            durability: self.durability.or(file.durability),
            reads: self.reads.or(file.reads),
            max_pending: self.max_pending.or(file.max_pending),
            max_age: self.max_age.or(file.max_age),
            remember_rings: self.remember_rings.or(file.remember_rings),
            max_connections: self.max_connections.or(file.max_connections),
            timeout: self.timeout.or(file.timeout),
            protected_mode: self.protected_mode.or(file.protected_mode),
        }
    }

    /// The settings in force, or an error about them.
    pub(crate) fn settings(&self) -> Result<Settings, String> {
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
        if let Some(Span(span)) = self.remember_rings {
            settings.remember_rings = span;
        }
        match self.timeout.map(Seconds::span) {
            None => {}
            Some(Some(span)) => settings.timeout = span,
            Some(None) => return Err("--timeout 0 would mean no deadline; give at least 1".into()),
        }
        if !(1..=64).contains(&settings.workers) {
            return Err("workers is a number from 1 to 64".into());
        }
        if settings.max_pending == 0 || settings.max_connections == 0 {
            return Err("max-pending and max-connections must be at least 1".into());
        }
        Ok(settings)
    }

    /// The settings as `larder config` prints them. There is no default for the servers.
    pub(crate) fn printed(&self) -> Result<Vec<PrintedSetting>, String> {
        let settings = self.settings()?;
        let listen = self.listen.as_ref();
        let (resp, admin) = (self.resp.as_ref(), self.admin.as_ref());
        let hash = self.hash.unwrap_or(PlacementName(Placement::Ketama));
        Ok(vec![
            PrintedSetting::new("listen", listen.map_or(LISTEN.into(), Endpoint::to_string)),
            PrintedSetting::new("resp", resp.map_or("off".into(), Endpoint::to_string)),
            PrintedSetting::new("admin", admin.map_or("off".into(), Endpoint::to_string)),
            PrintedSetting::path("servers", self.servers.as_ref(), "servers.txt"),
            PrintedSetting::new("hash", hash),
            PrintedSetting::number("workers", settings.workers as u64),
            PrintedSetting::new("spool", settings.spool.display()),
            PrintedSetting::new("durability", settings.durability),
            PrintedSetting::new("reads", settings.reads),
            PrintedSetting::number("max-pending", settings.max_pending),
            PrintedSetting::new("max-age", Span(settings.max_age.unwrap_or_default())),
            PrintedSetting::new("remember-rings", Span(settings.remember_rings)),
            PrintedSetting::number("max-connections", settings.max_connections as u64),
            PrintedSetting::number("timeout", settings.timeout.as_secs()),
            PrintedSetting::new(
                "protected-mode",
                self.protected_mode.unwrap_or(Switch(true)),
            ),
        ])
    }

    /// The listeners: the protocol of each and its address.
    pub(crate) fn listeners(&self) -> Result<Vec<(Protocol, Listen)>, String> {
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

    /// The targets; reads their lists of servers.
    pub(crate) fn targets(
        &self,
        tables: &[TargetOptions],
        tls: Option<&Arc<ClientTls>>,
    ) -> Result<Vec<Target>, String> {
        match (&self.servers, tables) {
            (Some(file), _) => {
                let mut target = Target::new("pool", read_list(file)?);
                if let Some(hash) = self.hash {
                    target.placement = hash.0;
                }
                target.tls = tls.cloned();
                Ok(vec![target])
            }
            (None, []) => Err(NO_TARGET.into()),
            (None, tables) => tables.iter().map(|table| table.target(tls)).collect(),
        }
    }
}

/// The default of --listen.
const LISTEN: &str = "127.0.0.1:1987";

/// The error when no server is named.
const NO_TARGET: &str = "no server to deliver to. Name the servers in one of two ways:
  --servers servers.txt         a pool of memcached servers, one `host:port weight` per line
  [[target]] in larder.toml     several groups, of memcached and Redis servers";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_without_servers_shows_the_ways() {
        let error = InvalidateOptions::default().targets(&[], None).unwrap_err();
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
