//! `larder proxy`: settings and a list of servers into a running proxy, until a signal ends it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use clap::Args;
use serde::Deserialize;

use larder::pool::{Placement, ServerList};
use larder::proxy::{OnFailure, Protocol, Proxy, Settings};
use larder::server::signals::{self, Signal};
use larder::server::{Listen, StartError};

use super::file::File;
use super::logging::{self, LogOptions};
use super::serve::announce;
use super::values::{Endpoint, Seconds, parsed};

/// The environment variable that holds the password of the upstreams.
pub(super) const PASSWORD: &str = "LARDER_UPSTREAM_PASSWORD";

pub(crate) const EXAMPLES: &str = "\
Try it:
  larder proxy --demo                                         two servers in this process, to try it
  larder proxy --protocol resp --listen 127.0.0.1:12345 --upstream 127.0.0.1:6379
  larder proxy --protocol memcached --listen 127.0.0.1:12345 --servers servers.txt
  larder proxy --cluster 127.0.0.1:7000 127.0.0.1:7001        a Redis Cluster, to clients one Redis

servers.txt has a line for each server, `host:port weight`. HUP reads it again: servers that stay
keep their connections. The environment variable LARDER_UPSTREAM_PASSWORD holds the password of
Redis upstreams, unless --password-file names a file; clients have to give the same.";

/// The command line of `larder proxy`.
#[derive(Args, Clone)]
pub(crate) struct ProxyArgs {
    #[command(flatten)]
    options: ProxyOptions,

    /// Start two servers in this process to stand in front of, and say what to try
    #[arg(long, conflicts_with_all = ["upstream", "servers", "cluster"])]
    demo: bool,

    #[command(flatten)]
    log: LogOptions,

    /// The settings file [default: larder.toml, if there is one here]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What was said: on the command line, or in the `[proxy]` table. What wasn't is `None`.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ProxyOptions {
    /// What clients and upstreams speak: memcached or resp [default: resp]
    #[arg(long, value_name = "memcached|resp")]
    #[serde(deserialize_with = "parsed")]
    pub(super) protocol: Option<Protocol>,

    /// Where clients connect: HOST:PORT, or a path with a slash for a Unix socket [default: 127.0.0.1:12345]
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "parsed")]
    pub(super) listen: Option<Endpoint>,

    /// A server to stand in front of, HOST:PORT; several share the keys evenly
    #[arg(long, value_name = "ADDR", num_args = 1.., conflicts_with = "servers")]
    pub(super) upstream: Option<Vec<String>>,

    /// A file that lists the servers of a pool: `host:port weight` a line
    #[arg(long, value_name = "FILE")]
    pub(super) servers: Option<PathBuf>,

    /// A server of a Redis Cluster to stand in front of, HOST:PORT; one is enough, several are asked one after the other
    /// which servers there are
    #[arg(long, value_name = "ADDR", num_args = 1.., conflicts_with_all = ["servers", "upstream"])]
    pub(super) cluster: Option<Vec<String>>,

    /// Whose placement of keys is matched, so that other clients of the pool agree: ketama, libmemcached or twemproxy
    /// [default: ketama]
    #[arg(long, value_name = "NAME")]
    #[serde(deserialize_with = "parsed")]
    pub(super) hash: Option<Hash>,

    /// Connections to each upstream that all clients share [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(super) connections: Option<u32>,

    /// Connections to upstreams that single clients may have for themselves, for MULTI, BLPOP, SUBSCRIBE and the like
    /// [default: 256]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=65535))]
    pub(super) own_connections: Option<u32>,

    /// Threads that forward, at most one per connection to an upstream [default: one for every two cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(super) workers: Option<u32>,

    /// Clients connected at once; one more is told so and closed [default: 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_connections: Option<u32>,

    /// Errors in a row after which an upstream is ejected, and probed until it is back [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) failures: Option<u32>,

    /// What the keys of an ejected upstream get: an error, the next server on the ring, or for reads a miss
    /// [default: error]
    #[arg(long, value_name = "error|next|miss")]
    #[serde(deserialize_with = "parsed")]
    pub(super) on_failure: Option<OnFailure>,

    /// Seconds in which a connection to an upstream must be made [default: 2]
    #[arg(long, value_name = "SECONDS")]
    #[serde(deserialize_with = "parsed")]
    pub(super) connect_timeout: Option<Seconds>,

    /// Seconds that an upstream may be silent while an answer is due [default: 5]
    #[arg(long, value_name = "SECONDS")]
    #[serde(deserialize_with = "parsed")]
    pub(super) read_timeout: Option<Seconds>,

    /// Seconds that a client may take nothing of an answer that waits for it [default: 5]
    #[arg(long, value_name = "SECONDS")]
    #[serde(deserialize_with = "parsed")]
    pub(super) write_timeout: Option<Seconds>,

    /// The database of Redis upstreams that is the clients' database 0 [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..1024))]
    pub(super) database: Option<u32>,

    /// A file whose first line is the password of Redis upstreams
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
}

/// A placement by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hash(pub(super) Placement);

impl std::str::FromStr for Hash {
    type Err = String;

    fn from_str(text: &str) -> Result<Hash, String> {
        match text {
            "ketama" => Ok(Hash(Placement::Ketama)),
            "libmemcached" => Ok(Hash(Placement::Libmemcached)),
            "twemproxy" => Ok(Hash(Placement::Twemproxy)),
            _ => Err(format!(
                "`{text}` is none of ketama, libmemcached and twemproxy"
            )),
        }
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Placement::Ketama => "ketama",
            Placement::Libmemcached => "libmemcached",
            Placement::Twemproxy => "twemproxy",
        })
    }
}

/// Where a proxy listens unless it is told otherwise.
pub(super) const LISTEN: &str = "127.0.0.1:12345";

impl ProxyOptions {
    /// These options where they were said, `file`'s where they weren't.
    fn or(self, file: ProxyOptions) -> ProxyOptions {
        // One way of naming the upstreams on the command line puts the file's other way aside.
        let named = self.upstream.is_some() || self.servers.is_some() || self.cluster.is_some();
        let (upstream, servers, cluster) = match named {
            true => (self.upstream, self.servers, self.cluster),
            false => (file.upstream, file.servers, file.cluster),
        };
        ProxyOptions {
            protocol: self.protocol.or(file.protocol),
            listen: self.listen.or(file.listen),
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
            connect_timeout: self.connect_timeout.or(file.connect_timeout),
            read_timeout: self.read_timeout.or(file.read_timeout),
            write_timeout: self.write_timeout.or(file.write_timeout),
            database: self.database.or(file.database),
            password_file: self.password_file.or(file.password_file),
        }
    }

    /// The settings in force, or what is wrong with them.
    pub(super) fn settings(&self) -> Result<Settings, String> {
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
                        "--{name}-timeout 0 is no deadline; give at least 1"
                    ));
                }
            }
        }
        if self.cluster.is_some() {
            let problem = match (settings.protocol, settings.on_failure, settings.database) {
                (Protocol::Memcached, _, _) => "a Redis Cluster speaks resp, not memcached",
                (_, OnFailure::Next, _) => {
                    "in a cluster no next server has the keys; on-failure is error or miss"
                }
                (_, _, 1..) => "a cluster has no databases but 0",
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

    /// The list of upstreams, or of the servers that know them.
    fn servers(&self) -> Result<ServerList, String> {
        let list = |option: &str, addresses: &[String]| {
            let lines = addresses.iter().map(|address| format!("{address} 1\n"));
            let list: Result<ServerList, larder::pool::ListError> =
                lines.collect::<String>().parse();
            list.map_err(|error| format!("--{option}: {}", error.what))
        };
        match (&self.upstream, &self.servers, &self.cluster) {
            (Some(addresses), None, None) => list("upstream", addresses),
            (None, Some(file), None) => read_list(file),
            (None, None, Some(addresses)) => list("cluster", addresses),
            (None, None, None) => Err(NO_UPSTREAM.into()),
            _ => Err("upstream, servers and cluster are three ways; name one of them".into()),
        }
    }
}

/// What a user reads who named no upstream.
const NO_UPSTREAM: &str = "there is nothing to stand in front of. Name it in one of these ways:
  --upstream 127.0.0.1:6379     one server, or several that share the keys evenly
  --servers servers.txt         a pool from a file, `host:port weight` a line
  --cluster 127.0.0.1:7000      a Redis Cluster, by one of its servers or several
  --demo                        two servers in this process, to try it without installing any";

pub(super) fn read_list(file: &Path) -> Result<ServerList, String> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("--servers {}: can't be read: {error}", file.display()))?;
    text.parse()
        .map_err(|error| format!("--servers {}: {error}", file.display()))
}

/// A proxy that is its own upstream would send every request round for ever.
fn to_itself(listen: &Listen, servers: &ServerList) -> Result<(), String> {
    let listen = listen.to_string();
    match servers
        .servers()
        .iter()
        .any(|server| server.address == listen)
    {
        false => Ok(()),
        true => Err(format!(
            "{listen} is both where clients connect and an upstream; choose another with --listen ADDR"
        )),
    }
}

/// Proxies until TERM, INT or QUIT. Fails with a sentence for a person when it can't start.
pub(super) fn run(args: &ProxyArgs) -> Result<(), String> {
    let file = File::find(args.config.as_deref()).map_err(|error| error.to_string())?;
    let options = args.options.clone().or(file.proxy);
    let log = args.log.clone().or(file.log);
    let settings = options.settings()?;
    let listen = match options.listen.clone() {
        None => Listen::Tcp(LISTEN.into()),
        Some(Endpoint(Some(listen))) => listen,
        Some(Endpoint(None)) => return Err("--listen off leaves nothing to do".into()),
    };
    let protocol = settings.protocol;
    let demo = match args.demo {
        true => Some(Demo::start()?),
        false => None,
    };
    let servers = match &demo {
        Some(demo) => demo.list(protocol)?,
        None => options.servers()?,
    };
    to_itself(&listen, &servers)?;
    let password = match &demo {
        Some(_) => None,
        None => super::serve::password(options.password_file.as_deref(), PASSWORD)?,
    };
    if password.is_some() && protocol == Protocol::Memcached {
        return Err("memcached's text protocol has no password; it is for --protocol resp".into());
    }
    logging::start(&log)?;
    let proxy = match (&demo, &options.cluster) {
        (None, Some(_)) => Proxy::cluster(settings, servers),
        _ => {
            let placement = options.hash.map_or(Placement::Ketama, |hash| hash.0);
            Proxy::new(settings, servers, placement)
        }
    };
    let (running, control) =
        proxy
            .password(password)
            .start(listen)
            .map_err(|error| match &error {
                StartError::Listen { .. } => format!("{error}; choose another with --listen ADDR"),
                _ => error.to_string(),
            })?;
    let addresses = running.addresses().iter();
    announce(addresses.map(|address| format!("{protocol} {address}")))?;
    if let (Some(demo), Some(address)) = (&demo, running.addresses().first()) {
        demo.explain(protocol, &address.to_string());
    }

    let handle = running.handle();
    let watch = signals::watch(move |signal| match signal {
        Signal::Stop => handle.begin_shutdown(larder::GRACE),
        Signal::StopNow => process::exit(0),
        Signal::Reload => {
            logging::reopen();
            match options.servers.as_deref().map(read_list) {
                None if options.cluster.is_some() => {
                    control.look_again();
                    log::info!("the log is reopened, and the cluster asked for its servers");
                }
                None => {
                    log::info!("the log is reopened; there is no list of servers to read again")
                }
                Some(Ok(list)) => {
                    control.replace_servers(&list);
                    log::info!("reloaded: {} servers", list.servers().len());
                }
                Some(Err(problem)) => {
                    log::error!("not reloaded, the old servers stay: {problem}");
                }
            }
        }
    })
    .map_err(|error| format!("signals can't be caught: {error}"))?;
    running.join();
    drop(watch);
    Ok(())
}

/// Two servers in this process.
struct Demo([larder::Server; 2]);

impl Demo {
    fn start() -> Result<Demo, String> {
        let start = || larder::Server::start().map_err(|error| error.to_string());
        Ok(Demo([start()?, start()?]))
    }

    fn list(&self, protocol: Protocol) -> Result<ServerList, String> {
        let lines = self.0.iter().map(|server| match protocol {
            Protocol::Memcached => format!("{} 1\n", server.memcached_addr()),
            Protocol::Resp => format!("{} 1\n", server.resp_addr()),
        });
        let list: String = lines.collect();
        list.parse()
            .map_err(|error: larder::pool::ListError| error.to_string())
    }

    /// Says on standard error what to try.
    fn explain(&self, protocol: Protocol, address: &str) {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let (ask, each) = match protocol {
            Protocol::Memcached => (
                format!(
                    "printf 'set a 0 0 1\\r\\nx\\r\\nset b 0 0 1\\r\\ny\\r\\nget a b\\r\\nstats proxy\\r\\nquit\\r\\n' | nc {host} {port}"
                ),
                self.0.each_ref().map(|server| server.memcached_addr()),
            ),
            Protocol::Resp => (
                format!(
                    "redis-cli -h {host} -p {port} mset a x b y\n  \
                     redis-cli -h {host} -p {port} mget a b\n  \
                     redis-cli -h {host} -p {port} info proxy"
                ),
                self.0.each_ref().map(|server| server.resp_addr()),
            ),
        };
        eprintln!(
            "Two servers of this process share the keys: {} and {}.\nTry it:\n  {ask}",
            each[0], each[1]
        );
    }
}

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
    fn a_proxy_is_not_its_own_upstream() {
        let listen = |address: &str| Listen::Tcp(address.into());
        let servers = "127.0.0.1:7000 1\n127.0.0.1:7001 1\n".parse().unwrap();
        assert!(to_itself(&listen("127.0.0.1:7001"), &servers).is_err());
        assert_eq!(to_itself(&listen("127.0.0.1:7002"), &servers), Ok(()));
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
    fn what_a_cluster_does_not_have_is_refused() {
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
                    database: Some(3),
                    ..cluster.clone()
                },
                "databases",
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
