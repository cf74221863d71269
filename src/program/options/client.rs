//! Options of the commands that are clients of caches: the servers, and the wait for them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::pool::{PlacementName, read_list};
use crate::client::{Client, Cluster, Settings};
use crate::pool::{ListError, Placement, ServerList};
use crate::program::values::Span;

/// The server if none is named.
const SERVER: &str = "127.0.0.1:11211";

/// Bytes of a value at most: memcached's largest limit.
pub(crate) const VALUE_LIMIT: usize = 1 << 30;

/// The servers of a command.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClientOptions {
    /// The server: HOST:PORT, or a path with a slash for a Unix socket; several share the keys evenly [default:
    /// 127.0.0.1:11211]
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
    way: WayOptions,
}

/// The way to servers: options that do not name them.
#[derive(Debug, Clone, Args)]
pub(crate) struct WayOptions {
    /// The placement of keys on several servers: ketama, libmemcached or twemproxy [default: ketama]
    #[arg(help_heading = "Server", long, value_name = "NAME")]
    hash: Option<PlacementName>,

    /// Time to wait for a connection, and for a reply
    #[arg(help_heading = "Server", long, value_name = "SPAN", default_value = "5s", value_parser = timeout)]
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
pub(crate) enum Cache {
    One(Box<Client>),
    Pool(Cluster),
}

impl ClientOptions {
    /// The servers that the options name.
    pub(crate) fn cache(&self) -> Result<Cache, String> {
        match (&self.servers, self.server.as_slice()) {
            (Some(file), _) => Ok(self.way.pool(&read_list(file)?)),
            (None, []) => self.way.one(SERVER),
            (None, [server]) => self.way.one(server),
            (None, servers) => self.way.evenly(servers),
        }
        .map_err(|problem| match self.servers {
            Some(_) => problem,
            None => format!("--server: {problem}"),
        })
    }
}

impl WayOptions {
    fn one(&self, address: &str) -> Result<Cache, String> {
        match address.contains('/') {
            true => {
                let client = Client::with_settings(address, self.settings());
                Ok(Cache::One(Box::new(client)))
            }
            false => self.evenly(&[address.to_owned()]),
        }
    }

    fn evenly(&self, addresses: &[String]) -> Result<Cache, String> {
        let lines = addresses.iter().map(|address| format!("{address} 1\n"));
        let list: Result<ServerList, ListError> = lines.collect::<String>().parse();
        list.map(|list| self.pool(&list))
            .map_err(|error| error.what)
    }

    fn pool(&self, list: &ServerList) -> Cache {
        let placement = self.hash.map_or(Placement::Ketama, |hash| hash.0);
        Cache::Pool(Cluster::with_settings(list, placement, self.settings()))
    }

    fn settings(&self) -> Settings {
        let limit = self.timeout.0;
        Settings::default()
            .connect_deadline(limit)
            .read_deadline(limit)
            .write_deadline(limit)
            .max_value_size(VALUE_LIMIT)
    }
}

impl Cache {
    /// The client of the server that a key belongs to.
    pub(crate) fn client_of(&self, key: &[u8]) -> &Client {
        match self {
            Cache::One(client) => client,
            Cache::Pool(cluster) => cluster.client_of(key),
        }
    }

    /// The clients of all servers.
    pub(crate) fn clients(&self) -> &[Client] {
        match self {
            Cache::One(client) => std::slice::from_ref(client),
            Cache::Pool(cluster) => cluster.clients(),
        }
    }
}

impl fmt::Display for Cache {
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
            way: WayOptions {
                hash: None,
                timeout: Span(Duration::from_secs(5)),
            },
        }
    }

    #[test]
    fn servers_are_named_in_several_ways() {
        for (server, addresses) in [
            (&[][..], SERVER),
            (&["a:1"], "a:1"),
            (&["a:1", "b:2"], "a:1 b:2"),
            (&["/run/m.sock"], "/run/m.sock"),
            (&["unix:m.sock/"], "unix:m.sock/"),
        ] {
            let cache = options(server).cache().expect("servers");
            assert_eq!(cache.to_string(), addresses);
        }
        for (server, part) in [
            (&["a"][..], "`a` is not host:port"),
            (&["a:1", "a:1"], "listed twice"),
            (&["/run/m.sock", "a:1"], "is not host:port"),
        ] {
            let problem = options(server).cache().expect_err("no servers");
            assert!(
                problem.starts_with("--server: ") && problem.contains(part),
                "{problem}"
            );
        }
    }
}
