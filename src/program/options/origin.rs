//! The settings of read-through: the command line, and the table `[origin]` of larder.toml.

mod kind;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::origin::{self, OnFailure};
use crate::program::values::{Count, Endpoint, PrintedSetting, Span, parsed};

/// The options that were given on the command line or in the `[origin]` table.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct OriginOptions {
    /// Fetch what the cache doesn't have from a program: it gets the key where {key} stands, otherwise on standard input,
    /// and prints the value; exit code 1 means that there is none. Words are separated by spaces; there is no shell
    /// [default: none]
    #[arg(id = "origin-command", long = "origin-command", value_name = "COMMAND")]
    command: Option<String>,

    /// Fetch what the cache doesn't have by GET from this URL, with the key, percent-encoded, where {key} stands. Status 200 is a
    /// value, 404 and 410 mean that there is none [default: none]
    #[arg(id = "origin-http", long = "origin-http", value_name = "URL")]
    http: Option<String>,

    /// Fetch what the cache doesn't have from this memcached or larder: HOST:PORT, or a path with a slash for a Unix socket
    /// [default: none]
    #[arg(
        id = "origin-memcached",
        long = "origin-memcached",
        value_name = "ADDR"
    )]
    #[serde(deserialize_with = "parsed")]
    memcached: Option<ServerAddress>,

    /// Fetch what the cache doesn't have from this Redis: HOST:PORT, or a path with a slash for a Unix socket [default: none]
    #[arg(id = "origin-redis", long = "origin-redis", value_name = "ADDR")]
    #[serde(deserialize_with = "parsed")]
    redis: Option<ServerAddress>,

    /// Fetch what the cache doesn't have from this SQLite database, by --origin-query. It is opened for reading only
    /// [default: none]
    #[arg(id = "origin-sqlite", long = "origin-sqlite", value_name = "FILE")]
    sqlite: Option<PathBuf>,

    /// The query for --origin-sqlite. Its one parameter, ?, is the key; the first column of the first row is the value, a second
    /// one memcached's flags; NULL or no row means that there is none [default: none]
    #[arg(id = "origin-query", long = "origin-query", value_name = "SQL")]
    query: Option<String>,

    /// The time in which a fetch has to end [default: 1s]
    #[arg(id = "origin-timeout", long = "origin-timeout", value_name = "SPAN")]
    #[serde(deserialize_with = "parsed")]
    timeout: Option<Span>,

    /// The time after a failed fetch in which its key is not fetched again [default: 1s]
    #[arg(id = "origin-retry", long = "origin-retry", value_name = "SPAN")]
    #[serde(deserialize_with = "parsed")]
    retry: Option<Span>,

    /// Fetches at a time [default: 16]
    #[arg(id = "origin-fetches", long = "origin-fetches", value_name = "N")]
    #[serde(deserialize_with = "parsed")]
    fetches: Option<Count<1024>>,

    /// Fetches that may wait for their turn; beyond them a read misses at once [default: 1024]
    #[arg(id = "origin-queue", long = "origin-queue", value_name = "N")]
    #[serde(deserialize_with = "parsed")]
    queue: Option<Count<1_000_000>>,

    /// The time for which a fetched item is fresh; 0 is for ever [default: 60s]
    #[arg(long, value_name = "SPAN")]
    #[serde(deserialize_with = "parsed")]
    fresh: Option<Span>,

    /// The time after that in which the item is still answered, while a fetch refreshes it [default: 0]
    #[arg(long, value_name = "SPAN")]
    #[serde(deserialize_with = "parsed")]
    stale: Option<Span>,

    /// The time for which a key that the origin doesn't have is a miss without a fetch [default: 1s]
    #[arg(long, value_name = "SPAN")]
    #[serde(deserialize_with = "parsed")]
    negative_ttl: Option<Span>,

    /// Whether a stale item is answered to its end if it can't be refreshed, or is a miss [default: stale]
    #[arg(long, value_name = "stale|miss")]
    #[serde(deserialize_with = "parsed")]
    on_failure: Option<FailureName>,
}

/// The address of a server to ask: `HOST:PORT`, or the path of a Unix socket, which has a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerAddress(String);

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ServerAddress, String> {
        match text.parse() {
            Ok(Endpoint(Some(_))) if !text.ends_with(":0") => Ok(ServerAddress(text.to_owned())),
            _ => Err(format!(
                "`{text}` is not the address of a server; write 127.0.0.1:11211, [::1]:11211 or a path like \
                 /run/memcached.sock"
            )),
        }
    }
}

/// The effect of a failed refresh, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailureName(OnFailure);

impl FromStr for FailureName {
    type Err = String;

    fn from_str(text: &str) -> Result<FailureName, String> {
        match text {
            "stale" => Ok(FailureName(OnFailure::Stale)),
            "miss" => Ok(FailureName(OnFailure::Miss)),
            _ => Err(format!("`{text}` is neither stale nor miss")),
        }
    }
}

impl std::fmt::Display for FailureName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            OnFailure::Stale => "stale",
            OnFailure::Miss => "miss",
        })
    }
}

impl OriginOptions {
    /// These options if they were given, otherwise `file`'s. An origin here replaces that of the file, of whatever kind.
    pub(crate) fn or(self, file: OriginOptions) -> OriginOptions {
        let kind = match self.given_kinds().is_empty() {
            true => file.clone(),
            false => self.clone(),
        };
        // The file's query is of no use to an origin of another kind.
        let file_query = kind.sqlite.as_ref().and(file.query);
        OriginOptions {
            command: kind.command,
            http: kind.http,
            memcached: kind.memcached,
            redis: kind.redis,
            sqlite: kind.sqlite,
            query: self.query.or(file_query),
            timeout: self.timeout.or(file.timeout),
            retry: self.retry.or(file.retry),
            fetches: self.fetches.or(file.fetches),
            queue: self.queue.or(file.queue),
            fresh: self.fresh.or(file.fresh),
            stale: self.stale.or(file.stale),
            negative_ttl: self.negative_ttl.or(file.negative_ttl),
            on_failure: self.on_failure.or(file.on_failure),
        }
    }

    /// How values are fetched and kept.
    pub(crate) fn settings(&self) -> origin::Settings {
        let default = origin::Settings::default();
        let span = |given: Option<Span>, default: Duration| given.map_or(default, |span| span.0);
        origin::Settings {
            fresh: span(self.fresh, default.fresh),
            stale: span(self.stale, default.stale),
            negative_ttl: span(self.negative_ttl, default.negative_ttl),
            retry: span(self.retry, default.retry),
            timeout: span(self.timeout, default.timeout),
            threads: self.fetches.map_or(default.threads, |n| n.0 as usize),
            queue: self.queue.map_or(default.queue, |n| n.0 as usize),
            on_failure: self.on_failure.map_or(default.on_failure, |name| name.0),
        }
    }

    /// The settings as `larder config` prints them.
    pub(crate) fn printed(&self) -> Vec<PrintedSetting> {
        // Field by field, so that a new setting can't be forgotten here.
        let OriginOptions {
            command,
            http,
            memcached,
            redis,
            sqlite,
            query,
            timeout: _,
            retry: _,
            fetches: _,
            queue: _,
            fresh: _,
            stale: _,
            negative_ttl: _,
            on_failure: _,
        } = self;
        let settings = self.settings();
        let address = |flag, given: &Option<ServerAddress>, example| {
            PrintedSetting::name(flag, given.as_ref().map(|given| &given.0), example)
        };
        vec![
            PrintedSetting::name("origin-command", command.as_ref(), "./lookup {key}"),
            PrintedSetting::name(
                "origin-http",
                http.as_ref(),
                "http://10.0.0.1:8000/items/{key}",
            ),
            address("origin-memcached", memcached, "10.0.0.1:11211"),
            address("origin-redis", redis, "10.0.0.1:6379"),
            PrintedSetting::path("origin-sqlite", sqlite.as_ref(), "pages.db"),
            PrintedSetting::name(
                "origin-query",
                query.as_ref(),
                "SELECT body FROM pages WHERE path = ?",
            ),
            PrintedSetting::new("origin-timeout", Span(settings.timeout)),
            PrintedSetting::new("origin-retry", Span(settings.retry)),
            PrintedSetting::number("origin-fetches", settings.threads),
            PrintedSetting::number("origin-queue", settings.queue),
            PrintedSetting::new("fresh", Span(settings.fresh)),
            PrintedSetting::new("stale", Span(settings.stale)),
            PrintedSetting::new("negative-ttl", Span(settings.negative_ttl)),
            PrintedSetting::new("on-failure", FailureName(settings.on_failure)),
        ]
    }
}
