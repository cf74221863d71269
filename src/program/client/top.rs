//! `larder top`: the servers of its command line, and the way to each.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::exit;
use crate::client::{Client, Protocol, Settings};
use crate::program::options::{Access, AccessOptions, read_list};
use crate::program::values::Span;
use crate::tools::top::{self, WatchedServer};

/// Bytes of a reply of RESP. `INFO commandstats` of a busy Redis has 50 KiB.
const LONGEST_REPLY: usize = 1 << 20;

const EXAMPLES: &str = "\
Try it:
  larder top                                    larder or memcached on 127.0.0.1:11211
  larder top 127.0.0.1:11211 127.0.0.1:6379     a memcached and a Redis
  larder top --servers servers.txt              all servers of a pool
  larder top 127.0.0.1:9121                     all figures of a larder, proxy or invalidate, by its --admin
  larder top --once --json 127.0.0.1:6379       the figures of a second, for a script

A proxy is shown with the servers behind it. Rates are those of the last interval.

Exit code of --once and --json: 0 if all servers are up, 1 if one is down, 2 if nothing could be shown.";

/// The command line of `larder top`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TopArgs {
    /// A server, or the admin listener of a larder: HOST:PORT, or a path with a slash for a Unix socket. It is asked for its
    /// protocol [default: 127.0.0.1:11211, with --resp 127.0.0.1:6379]
    #[arg(value_name = "ADDR")]
    addresses: Vec<String>,

    /// A file that lists the servers of a pool: one `host:port weight` per line
    #[arg(long, value_name = "FILE", conflicts_with = "addresses")]
    servers: Option<PathBuf>,

    /// Time between two readings
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = interval)]
    interval: Span,

    /// Print one table and end, also if the output is a terminal
    #[arg(long)]
    once: bool,

    /// Print all figures once, as one JSON object
    #[arg(long)]
    json: bool,

    /// Time to wait for a connection, and for a reply
    #[arg(help_heading = "Server", long, value_name = "SPAN", default_value = "2s", value_parser = interval)]
    timeout: Span,

    #[command(flatten)]
    access: AccessOptions,
}

fn interval(text: &str) -> Result<Span, String> {
    match text.parse()? {
        Span(span) if span < Duration::from_millis(100) => Err("the shortest time is 100ms".into()),
        span => Ok(span),
    }
}

/// Shows the servers.
pub(crate) fn run(args: &TopArgs) -> ExitCode {
    exit::run("top", || {
        let options = top::Options {
            interval: args.interval.0,
            once: args.once,
            json: args.json,
        };
        Ok(top::run(args.watched()?, options))
    })
}

impl TopArgs {
    fn watched(&self) -> Result<Vec<WatchedServer>, String> {
        let addresses = match &self.servers {
            Some(file) => {
                let list = read_list(file)?;
                let servers = list.servers().iter();
                servers.map(|server| server.address.clone()).collect()
            }
            None => self.addresses.clone(),
        };
        let addresses = match (addresses.is_empty(), self.access.protocol()) {
            (false, _) => addresses,
            (true, Protocol::Memcached) => vec!["127.0.0.1:11211".to_owned()],
            (true, Protocol::Resp) => vec!["127.0.0.1:6379".to_owned()],
        };
        let (memcached, resp) = self.access.access_in_each()?;
        let plain = Access {
            login: None,
            ..memcached.clone()
        };
        let client =
            |address: &str, access: &Access| Client::with_settings(address, self.settings(access));
        let asked = self.access.protocol() == Protocol::Memcached;
        let watched = addresses.iter().map(|address| WatchedServer {
            memcached: asked.then(|| client(address, &plain)),
            memcached_with_login: (asked && memcached.login.is_some())
                .then(|| client(address, &memcached)),
            resp: client(address, &resp),
            limit: self.timeout.0,
        });
        Ok(watched.collect())
    }

    fn settings(&self, access: &Access) -> Settings {
        let limit = self.timeout.0;
        let settings = access.settings();
        settings
            .connect_deadline(limit)
            .read_deadline(limit)
            .write_deadline(limit)
            .max_idle_connections(1)
            .max_value_size(LONGEST_REPLY)
            // Each reading tries, so that the reason for a failure is the present one.
            .failures_until_ejected(u32::MAX)
    }
}
