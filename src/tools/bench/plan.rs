//! The plan of a run, from the checked command line.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::arguments::Args;
use super::dialect::Dialect;
use super::items::Items;
use super::numbers::grouped;
use super::server::LoadedServer;
use super::worker::RunEnd;
use super::workload::{KeyChoice, Pace, Ratio};
use super::zipf::Zipf;
use crate::tools::transcript::Protocol;

/// A run, as planned.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) dialect: Dialect,
    pub(super) tls: bool,
    pub(super) items: Arc<Items>,
    pub(super) keys: u64,
    pub(super) choice: KeyChoice,
    pub(super) ratio: Ratio,
    /// The number of keys in a get.
    pub(super) multi_get: usize,
    pub(super) seed: u64,
    pub(super) connections: usize,
    pub(super) pipeline: usize,
    /// Each packet has a connection of its own.
    pub(super) reconnect: bool,
    pub(super) threads: usize,
    /// Requests in a second, of an open loop.
    pub(super) rate: Option<f64>,
    pub(super) warm_up: Duration,
    pub(super) end: RunEnd,
    pub(super) fill: bool,
    pub(super) patience: Duration,
}

impl Plan {
    /// # Errors
    /// A sentence for the person at the terminal.
    pub(super) fn new(args: &Args, server: &LoadedServer) -> Result<Plan, String> {
        let items = Items::new(args.keys, args.key_size, args.value_size.clone())?;
        if args.versus.is_some() && args.requests.is_some() {
            return Err("--versus has slices of time: use --seconds instead of --requests".into());
        }
        if args.threads > args.connections {
            return Err(format!(
                "--threads {} needs as many --connections; there are {}",
                args.threads, args.connections
            ));
        }
        let patience = Duration::from_secs_f64(args.timeout);
        let dialect = dialect(args, server)?;
        let echo = dialect == Dialect::Echo;
        if echo && args.multi_get > 1 {
            return Err(format!(
                "{server} is an echo server: --multi-get needs a cache"
            ));
        }
        if matches!(dialect, Dialect::Meta | Dialect::Binary) && args.multi_get > 1 {
            return Err(format!(
                "memcached's {} protocol has no get of several keys: --multi-get needs another --protocol",
                dialect.name()
            ));
        }
        Ok(Plan {
            dialect,
            tls: server.has_tls(),
            items: Arc::new(items),
            keys: args.keys,
            choice: match args.zipf {
                Some(exponent) => KeyChoice::Zipf(Zipf::new(args.keys, exponent)),
                None => KeyChoice::Uniform(args.keys),
            },
            ratio: match echo {
                true => Ratio { gets: 1, sets: 0 },
                false => args.ratio,
            },
            multi_get: args.multi_get,
            seed: args.seed,
            connections: args.connections,
            pipeline: args.pipeline,
            reconnect: args.reconnect,
            threads: args.threads,
            rate: args.rate,
            warm_up: Duration::from_secs_f64(args.warm_up),
            end: match args.requests {
                Some(count) => RunEnd::Requests(count),
                None => RunEnd::After(Duration::from_secs_f64(args.seconds)),
            },
            fill: !args.no_fill && !echo,
            patience,
        })
    }

    /// The load in words.
    pub(super) fn in_words(&self) -> String {
        let several = |count: usize, name: &str| match count {
            1 => format!("1 {name}"),
            count => format!("{} {name}s", grouped(count as u64)),
        };
        let pace = match self.rate {
            None => format!("closed loop, {} in a packet", self.pipeline),
            Some(rate) => format!("open loop of {} requests a second", grouped(rate as u64)),
        };
        let mut words = vec![
            several(self.connections, "connection"),
            several(self.threads, "thread"),
            pace,
        ];
        if self.multi_get > 1 {
            words.push(several(self.multi_get, "key") + " a get");
        }
        if self.reconnect {
            words.push("each packet on a new connection".into());
        }
        if self.tls {
            words.push("TLS".into());
        }
        words.join(", ")
    }

    /// The load as JSON.
    pub(super) fn json(&self) -> Value {
        json!({
            "connections": self.connections,
            "pipeline": self.pipeline,
            "multi_get": self.multi_get,
            "reconnect": self.reconnect,
            "tls": self.tls,
            "threads": self.threads,
            "intended_rate": self.rate,
        })
    }

    /// The times at which the requests of a thread are sent: the threads take turns.
    pub(super) fn pace(&self, thread: u64, threads: u64) -> Pace {
        match self.rate {
            None => Pace::Closed,
            Some(rate) => Pace::Open {
                interval: 1e9 * threads as f64 / rate,
                offset: 1e9 * thread as f64 / rate,
            },
        }
    }
}

/// The protocol that was asked for, or that the server speaks.
pub(super) fn dialect(args: &Args, server: &LoadedServer) -> Result<Dialect, String> {
    if let Some(dialect) = args.protocol {
        return Ok(dialect);
    }
    let patience = Duration::from_secs_f64(args.timeout);
    match server.protocol(patience)? {
        Protocol::Memcached => Ok(Dialect::Memcached),
        Protocol::Resp => Ok(Dialect::Resp),
        Protocol::Echo => Ok(Dialect::Echo),
    }
}
