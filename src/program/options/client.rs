//! Options of the commands that are clients of caches: the servers, and the way to them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::access::{Access, AccessOptions};
use super::pool::{PlacementName, list_in, read_list};
use crate::client::{Client, Cluster, Protocol, Settings};
use crate::pool::{ListError, Placement, ServerList};
use crate::program::values::Span;

/// Bytes of a value at most: memcached's largest limit.
pub(crate) const VALUE_LIMIT: usize = 1 << 30;

/// The servers of a command.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClientOptions {
    /// The server: HOST:PORT, or a path with a slash for a Unix socket; several share the keys evenly [default:
    /// 127.0.0.1:11211, with --resp 127.0.0.1:6379]
    #[arg(help_heading = "Server", long, value_name = "ADDR")]
    server: Vec<String>,

    /// A file that lists the servers of a pool: one `host:port weight` per line
    #[arg(
        help_heading = "Server",
        long,
        value_name = "FILE",
        conflicts_with = "server"
    )]
    servers: Option<PathBuf>,

    #[command(flatten)]
    access: AccessOptions,

    #[command(flatten)]
    way: WayOptions,
}

/// The way to servers, whatever they are.
#[derive(Debug, Clone, Args)]
pub(crate) struct WayOptions {
    /// The placement of keys on several servers: ketama, libmemcached or twemproxy [default: ketama]
    #[arg(help_heading = "Server", long, value_name = "NAME")]
    hash: Option<PlacementName>,

    /// Time to wait for a connection, and for a reply
    #[arg(help_heading = "Server", long, value_name = "SPAN", default_value = "20s", value_parser = timeout)]
    timeout: Span,
}

fn timeout(text: &str) -> Result<Span, String> {
    match text.parse()? {
        Span(Duration::ZERO) => Err("0 leaves no time for a reply: try 500ms".into()),
        span => Ok(span),
    }
}

/// The servers as clients: one, or those of a pool.
#[derive(Debug)]
pub(crate) enum CacheServers {
    One(Box<Client>),
    Pool(Cluster),
}

impl ClientOptions {
    /// The protocol in which the servers are asked.
    pub(crate) fn protocol(&self) -> Protocol {
        self.access.protocol()
    }

    /// The servers that the options name.
    pub(crate) fn servers(&self) -> Result<CacheServers, String> {
        let access = self.access.access()?;
        let default = match access.protocol {
            Protocol::Memcached => "127.0.0.1:11211",
            Protocol::Resp => "127.0.0.1:6379",
        };
        let named = match (&self.servers, self.server.as_slice()) {
            (Some(file), _) => return Ok(self.way.pool(&read_list(file)?, &access)),
            (None, []) => self.way.one(default, &access),
            (None, [server]) => self.way.one(server, &access),
            (None, servers) => self.way.evenly(servers, &access),
        };
        named.map_err(|problem| format!("--server: {problem}"))
    }
}

impl WayOptions {
    /// One server, or with `@FILE` those of a list.
    pub(crate) fn named(&self, name: &str, access: &Access) -> Result<CacheServers, String> {
        match name.strip_prefix('@') {
            Some(file) => Ok(self.pool(&list_in(file.as_ref())?, access)),
            None => self.one(name, access),
        }
    }

    fn one(&self, address: &str, access: &Access) -> Result<CacheServers, String> {
        if !address.contains('/') {
            return self.evenly(&[address.to_owned()], access);
        }
        if access.tls.is_some() {
            return Err(format!("{address}: there is no TLS on a Unix socket"));
        }
        let client = Client::with_settings(address, self.settings(access));
        Ok(CacheServers::One(Box::new(client)))
    }

    fn evenly(&self, addresses: &[String], access: &Access) -> Result<CacheServers, String> {
        let lines = addresses.iter().map(|address| format!("{address} 1\n"));
        let list: Result<ServerList, ListError> = lines.collect::<String>().parse();
        let pool = list.map(|list| self.pool(&list, access));
        pool.map_err(|error| error.what)
    }

    fn pool(&self, list: &ServerList, access: &Access) -> CacheServers {
        let placement = self.hash.map_or(Placement::Ketama, |hash| hash.0);
        let cluster = Cluster::with_settings(list, placement, self.settings(access));
        CacheServers::Pool(cluster)
    }

    fn settings(&self, access: &Access) -> Settings {
        let limit = self.timeout.0;
        access
            .settings()
            .connect_deadline(limit)
            .read_deadline(limit)
            .write_deadline(limit)
            .max_value_size(VALUE_LIMIT)
    }
}

impl CacheServers {
    /// The client of the server that a key belongs to.
    pub(crate) fn client_of(&self, key: &[u8]) -> &Client {
        match self {
            CacheServers::One(client) => client,
            CacheServers::Pool(cluster) => cluster.client_of(key),
        }
    }

    /// The clients of all servers.
    pub(crate) fn clients(&self) -> &[Client] {
        match self {
            CacheServers::One(client) => std::slice::from_ref(client),
            CacheServers::Pool(cluster) => cluster.clients(),
        }
    }
}

impl fmt::Display for CacheServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<&str> = self.clients().iter().map(Client::address).collect();
        f.write_str(&addresses.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(server: &[&str]) -> ClientOptions {
        ClientOptions {
            server: server.iter().map(|address| (*address).to_owned()).collect(),
            servers: None,
            access: AccessOptions::default(),
            way: WayOptions {
                hash: None,
                timeout: Span(Duration::from_secs(5)),
            },
        }
    }

    #[test]
    fn servers_are_named_in_several_ways() {
        for (server, addresses) in [
            (&[][..], "127.0.0.1:11211"),
            (&["a:1"], "a:1"),
            (&["a:1", "b:2"], "a:1 b:2"),
            (&["/run/m.sock"], "/run/m.sock"),
            (&["unix:m.sock/"], "unix:m.sock/"),
        ] {
            let servers = options(server).servers().expect("servers");
            assert_eq!(servers.to_string(), addresses);
        }
        for (server, part) in [
            (&["a"][..], "`a` is not host:port"),
            (&["a:1", "a:1"], "listed twice"),
            (&["/run/m.sock", "a:1"], "is not host:port"),
        ] {
            let problem = options(server).servers().expect_err("no servers");
            assert!(
                problem.starts_with("--server: ") && problem.contains(part),
                "{problem}"
            );
        }
    }
}
