//! The settings of `larder proxy`: the command line, and the `[proxy]` table of larder.toml.

use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use crate::pool::{ListError, Placement, ServerList};
use crate::proxy::{OnFailure, OnReturn, Protocol, Settings};
use crate::server::Listen;

use super::pool::{PlacementName, read_list};
use crate::program::values::{Endpoint, PrintedSetting, Seconds, Switch, parsed};

/// The options that were given on the command line or in the `[proxy]` table; `None` for the others.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ProxyOptions {
    /// The protocol of clients and upstreams: memcached or resp [default: resp]
    #[arg(long, value_name = "memcached|resp")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) protocol: Option<Protocol>,

    /// Address for clients: HOST:PORT, or a path with a slash for a Unix socket [default: 127.0.0.1:12345]
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) listen: Option<Endpoint>,

    /// Address of the admin listener: HOST:PORT, a path with a slash for a Unix socket, or off. It answers HTTP: a page with
    /// plots, /metrics for Prometheus, and /healthz. It has neither a login nor TLS [default: off]
    #[arg(long, value_name = "ADDR|off")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) admin: Option<Endpoint>,

    /// A server to forward to, HOST:PORT; several share the keys evenly
    #[arg(long, value_name = "ADDR", num_args = 1.., conflicts_with = "servers")]
    pub(crate) upstream: Option<Vec<String>>,

    /// A file that lists the servers of a pool: one `host:port weight` per line
    #[arg(long, value_name = "FILE")]
    pub(crate) servers: Option<PathBuf>,

    /// A server of a Redis Cluster, HOST:PORT. It is asked for all servers of the cluster; further addresses are asked
    /// when it is down
    #[arg(long, value_name = "ADDR", num_args = 1.., conflicts_with_all = ["servers", "upstream"])]
    pub(crate) cluster: Option<Vec<String>>,

    /// The placement of keys on servers, the same as that of other clients of the pool: ketama, libmemcached or twemproxy
    /// [default: ketama]
    #[arg(long, value_name = "NAME")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) hash: Option<PlacementName>,

    /// Connections to each upstream that all clients share [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) connections: Option<u32>,

    /// Connections to upstreams that are dedicated to single clients, for commands such as MULTI, BLPOP and SUBSCRIBE
    /// [default: 256]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=65535))]
    pub(crate) own_connections: Option<u32>,

    /// Threads that forward, at most one per connection to an upstream [default: one for every two cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) workers: Option<u32>,

    /// Open client connections; further clients get an error and are disconnected [default: 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: Option<u32>,

    /// Consecutive errors after which an upstream is ejected; it is then probed until it answers [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) failures: Option<u32>,

    /// The answer to requests for an ejected upstream: an error, that of the next server on the ring, or a miss for reads
    /// [default: error]
    #[arg(long, value_name = "error|next|miss")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) on_failure: Option<OnFailure>,

    /// The values of an upstream that returns after an ejection: keep serves them, flush deletes all of them before it
    /// gets any request [default: keep]
    #[arg(long, value_name = "keep|flush")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) on_return: Option<OnReturn>,

    /// Seconds that connecting to an upstream may take [default: 2]
    #[arg(long, value_name = "SECONDS")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) connect_timeout: Option<Seconds>,

    /// Seconds that an upstream may be silent while requests wait for answers [default: 5]
    #[arg(long, value_name = "SECONDS")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) read_timeout: Option<Seconds>,

    /// Seconds that a client may leave an answer unread [default: 5]
    #[arg(long, value_name = "SECONDS")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) write_timeout: Option<Seconds>,

    /// The database of Redis upstreams that clients see as database 0 [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..1024))]
    pub(crate) database: Option<u32>,

    /// The user of the upstreams: of Redis, or of memcached with -Y or -S. Its password is that of --password-file [default:
    /// Redis's default user]
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// A file whose first line is the password of the upstreams. Clients have to give the same
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,

    /// Refuse to start if other machines can reach a listener whose clients don't have to log in [default: on]
    #[arg(long, value_name = "on|off")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) protected_mode: Option<Switch>,
}

/// The default of --listen.
pub(crate) const LISTEN: &str = "127.0.0.1:12345";

impl ProxyOptions {
    /// These options if they were given, otherwise `file`'s.
    pub(crate) fn or(self, file: ProxyOptions) -> ProxyOptions {
        // Upstreams on the command line replace those of the file, in any of the options.
        let named = self.upstream.is_some() || self.servers.is_some() || self.cluster.is_some();
        let (upstream, servers, cluster) = match named {
            true => (self.upstream, self.servers, self.cluster),
            false => (file.upstream, file.servers, file.cluster),
        };
        ProxyOptions {
            protocol: self.protocol.or(file.protocol),
            listen: self.listen.or(file.listen),
            admin: self.admin.or(file.admin),
            upstream,
            servers,
            cluster,
            hash: self.hash.or(file.hash),
            connections: self.connections.or(file.connections),
            own_connections: self.own_connections.or(file.own_connections),
            workers: self.workers.or(file.workers),
            max_connections: self.max_connections.or(file.max_connections),
            failures: self.failures.or(file.failures),
            on_failure: self.on_failure.or(file.on_failure),
            on_return: self.on_return.or(file.on_return),
            connect_timeout: self.connect_timeout.or(file.connect_timeout),
            read_timeout: self.read_timeout.or(file.read_timeout),
            write_timeout: self.write_timeout.or(file.write_timeout),
            database: self.database.or(file.database),
            user: self.user.or(file.user),
            password_file: self.password_file.or(file.password_file),
            protected_mode: self.protected_mode.or(file.protected_mode),
        }
    }

    /// The settings in force, or an error about them.
    pub(crate) fn settings(&self) -> Result<Settings, String> {
        let mut settings = Settings::new(self.protocol.unwrap_or(Protocol::Resp));
        let set = |to: &mut usize, value: Option<u32>| {
            if let Some(value) = value {
                *to = value as usize;
            }
        };
        set(&mut settings.connections, self.connections);
        set(&mut settings.detached, self.own_connections);
        set(&mut settings.workers, self.workers);
        set(&mut settings.max_connections, self.max_connections);
        settings.failures = self.failures.unwrap_or(settings.failures);
        settings.on_failure = self.on_failure.unwrap_or(settings.on_failure);
        settings.on_return = self.on_return.unwrap_or(settings.on_return);
        settings.database = self.database.unwrap_or(settings.database);
        for (name, to, value) in [
            (
                "connect",
                &mut settings.connect_timeout,
                self.connect_timeout,
            ),
            ("read", &mut settings.read_timeout, self.read_timeout),
            ("write", &mut settings.write_timeout, self.write_timeout),
        ] {
            match value.map(Seconds::span) {
                None => {}
                Some(Some(span)) => *to = span,
                Some(None) => {
                    return Err(format!(
                        "--{name}-timeout 0 would mean no deadline; give at least 1"
                    ));
                }
            }
        }
        if self.cluster.is_some() {
            let problem = match (settings.protocol, settings.on_failure, settings.database) {
                (Protocol::Memcached, _, _) => "a Redis Cluster speaks resp, not memcached",
                (_, OnFailure::Next, _) => {
                    "a cluster has no next server for a key; give on-failure error or miss"
                }
                _ if settings.on_return == OnReturn::Flush => {
                    "a server of a cluster that is back has its master's values; give on-return keep"
                }
                (_, _, 1..) => "a cluster has only database 0",
                _ => "",
            };
            if !problem.is_empty() {
                return Err(format!("--cluster: {problem}"));
            }
        }
        if self.connections == Some(0) || self.failures == Some(0) {
            return Err("connections and failures must be at least 1".into());
        }
        Ok(settings)
    }

    /// The settings as `larder config` prints them. There is no default for the servers.
    pub(crate) fn printed(&self) -> Result<Vec<PrintedSetting>, String> {
        let settings = self.settings()?;
        let (listen, admin) = (self.listen.as_ref(), self.admin.as_ref());
        let hash = self.hash.unwrap_or(PlacementName(Placement::Ketama));
        Ok(vec![
            PrintedSetting::new("protocol", settings.protocol),
            PrintedSetting::new("listen", listen.map_or(LISTEN.into(), Endpoint::to_string)),
            PrintedSetting::new("admin", admin.map_or("off".into(), Endpoint::to_string)),
            PrintedSetting::addresses("upstream", self.upstream.as_ref(), "127.0.0.1:6379"),
            PrintedSetting::path("servers", self.servers.as_ref(), "servers.txt"),
            PrintedSetting::addresses("cluster", self.cluster.as_ref(), "127.0.0.1:7000"),
            PrintedSetting::new("hash", hash),
            PrintedSetting::number("connections", settings.connections as u64),
            PrintedSetting::number("own-connections", settings.detached as u64),
            PrintedSetting::number("workers", settings.workers as u64),
            PrintedSetting::number("max-connections", settings.max_connections as u64),
            PrintedSetting::number("failures", settings.failures),
            PrintedSetting::new("on-failure", settings.on_failure),
            PrintedSetting::new("on-return", settings.on_return),
            PrintedSetting::number("connect-timeout", settings.connect_timeout.as_secs()),
            PrintedSetting::number("read-timeout", settings.read_timeout.as_secs()),
            PrintedSetting::number("write-timeout", settings.write_timeout.as_secs()),
            PrintedSetting::number("database", settings.database),
            PrintedSetting::name("user", self.user.as_ref(), "app"),
            PrintedSetting::path(
                "password-file",
                self.password_file.as_ref(),
                "/etc/larder/upstream-password",
            ),
            PrintedSetting::new(
                "protected-mode",
                self.protected_mode.unwrap_or(Switch(true)),
            ),
        ])
    }

    /// The address for clients.
    pub(crate) fn listener(&self) -> Result<Listen, String> {
        match self.listen.clone() {
            None => Ok(Listen::Tcp(LISTEN.into())),
            Some(Endpoint(Some(listen))) => Ok(listen),
            Some(Endpoint(None)) => Err("--listen off leaves nothing to do".into()),
        }
    }

    /// The list of upstreams, or of the cluster's servers that list them.
    pub(crate) fn servers(&self) -> Result<ServerList, String> {
        let list = |option: &str, addresses: &[String]| {
            let lines = addresses.iter().map(|address| format!("{address} 1\n"));
            let list: Result<ServerList, ListError> = lines.collect::<String>().parse();
            list.map_err(|error| format!("--{option}: {}", error.what))
        };
        match (&self.upstream, &self.servers, &self.cluster) {
            (Some(addresses), None, None) => list("upstream", addresses),
            (None, Some(file), None) => read_list(file),
            (None, None, Some(addresses)) => list("cluster", addresses),
            (None, None, None) => Err(NO_UPSTREAM.into()),
            _ => Err("upstream, servers and cluster exclude each other; give one of them".into()),
        }
    }
}

/// The error when no upstream is named.
const NO_UPSTREAM: &str = "no server to forward to. Name it in one of these ways:
  --upstream 127.0.0.1:6379     one server, or several that share the keys evenly
  --servers servers.txt         a pool from a file, one `host:port weight` per line
  --cluster 127.0.0.1:7000      a Redis Cluster, by one or several of its servers
  --demo                        two servers in this process, to try it";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_without_upstreams_shows_the_ways() {
        let error = ProxyOptions::default().servers().unwrap_err();
        for way in ["--upstream", "--servers", "--cluster", "--demo"] {
            assert!(error.contains(way), "{error}");
        }
    }

    #[test]
    fn a_flag_names_the_upstreams_in_place_of_the_file() {
        let flags = ProxyOptions {
            upstream: Some(vec!["a:1".into()]),
            ..ProxyOptions::default()
        };
        let file = ProxyOptions {
            servers: Some("servers.txt".into()),
            connections: Some(2),
            ..ProxyOptions::default()
        };
        let both = flags.or(file);
        assert_eq!(both.servers().unwrap().servers()[0].address, "a:1");
        assert_eq!(both.settings().unwrap().connections, 2);
    }

    #[test]
    fn options_that_a_cluster_does_not_have_are_refused() {
        let cluster = ProxyOptions {
            cluster: Some(vec!["a:1".into()]),
            ..ProxyOptions::default()
        };
        let file = ProxyOptions {
            upstream: Some(vec!["b:1".into()]),
            ..ProxyOptions::default()
        };
        let both = cluster.clone().or(file);
        assert!(both.settings().is_ok());
        assert_eq!(both.servers().unwrap().servers()[0].address, "a:1");
        for (options, what) in [
            (
                ProxyOptions {
                    protocol: Some(Protocol::Memcached),
                    ..cluster.clone()
                },
                "resp",
            ),
            (
                ProxyOptions {
                    on_failure: Some(OnFailure::Next),
                    ..cluster.clone()
                },
                "on-failure",
            ),
            (
                ProxyOptions {
                    on_return: Some(OnReturn::Flush),
                    ..cluster.clone()
                },
                "on-return",
            ),
            (
                ProxyOptions {
                    database: Some(3),
                    ..cluster.clone()
                },
                "database 0",
            ),
        ] {
            assert!(options.settings().unwrap_err().contains(what), "{what}");
        }
    }

    #[test]
    fn deadlines_can_not_be_switched_off() {
        let options = ProxyOptions {
            read_timeout: Some(Seconds(0)),
            ..ProxyOptions::default()
        };
        assert!(options.settings().unwrap_err().contains("--read-timeout"));
    }
}
