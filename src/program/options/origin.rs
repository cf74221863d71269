//! The settings of read-through: the command line, and the table `[origin]` of larder.toml.

mod kind;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::origin::{self, OnFailure, Origin};
use crate::program::values::{Count, Endpoint, PrintedSetting, Span, parsed};
use crate::server::ClientTls;

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

    /// The user of the memcached or the Redis [default: Redis's default user]
    #[arg(id = "origin-user", long = "origin-user", value_name = "NAME")]
    user: Option<String>,

    /// A file whose first line is the password of that user. LARDER_ORIGIN_PASSWORD in the environment does the same
    /// [default: none]
    #[arg(
        id = "origin-password-file",
        long = "origin-password-file",
        value_name = "FILE"
    )]
    password_file: Option<PathBuf>,

    /// The database of the Redis [default: 0]
    #[arg(id = "origin-database", long = "origin-database", value_name = "N")]
    database: Option<u32>,

    /// A PEM file of the authorities of the server, which then has to speak TLS, with a certificate for its host. A URL of https
    /// needs it [default: none]
    #[arg(id = "origin-tls-ca", long = "origin-tls-ca", value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// A PEM file with the certificate that a server with TLS sees, if it asks for one [default: none]
    #[arg(id = "origin-tls-cert", long = "origin-tls-cert", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// The PEM file of this certificate's private key [default: none]
    #[arg(id = "origin-tls-key", long = "origin-tls-key", value_name = "FILE")]
    tls_key: Option<PathBuf>,

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

/// An origin, and the TLS on the way to it, whose files can be read again.
#[derive(Debug)]
pub(crate) struct NamedOrigin {
    pub(crate) origin: Arc<dyn Origin>,
    pub(crate) tls: Option<Arc<ClientTls>>,
}

impl OriginOptions {
    /// These options if they were given, otherwise `file`'s. An origin here replaces that of the file, of whatever kind, with its
    /// query, its login and its TLS: a password never goes to another server.
    pub(crate) fn or(self, file: OriginOptions) -> OriginOptions {
        let origin = match self.given_kinds().is_empty() {
            true => file.clone(),
            false => OriginOptions::default(),
        };
        OriginOptions {
            command: self.command.or(origin.command),
            http: self.http.or(origin.http),
            memcached: self.memcached.or(origin.memcached),
            redis: self.redis.or(origin.redis),
            sqlite: self.sqlite.or(origin.sqlite),
            query: self.query.or(origin.query),
            user: self.user.or(origin.user),
            password_file: self.password_file.or(origin.password_file),
            database: self.database.or(origin.database),
            tls_ca: self.tls_ca.or(origin.tls_ca),
            tls_cert: self.tls_cert.or(origin.tls_cert),
            tls_key: self.tls_key.or(origin.tls_key),
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
            user,
            password_file,
            database,
            tls_ca,
            tls_cert,
            tls_key,
            timeout: _,
            retry: _,
            fetches: _,
            queue: _,
            fresh: _,
            stale: _,
            negative_ttl: _,
            on_failure: _,
        } = self;
        let name = PrintedSetting::name;
        let path = |flag, given: &Option<PathBuf>, example| {
            PrintedSetting::path(flag, given.as_ref(), example)
        };
        let address = |flag, given: &Option<ServerAddress>, example| {
            name(flag, given.as_ref().map(|given| &given.0), example)
        };
        let query_example = "SELECT body FROM pages WHERE path = ?";
        let url_example = "http://10.0.0.1:8000/items/{key}";
        let ca_example = "/etc/ssl/certs/ca-certificates.crt";
        let password_example = "/etc/larder/origin-password";
        let mut printed = vec![
            name("origin-command", command.as_ref(), "./lookup {key}"),
            name("origin-http", http.as_ref(), url_example),
            address("origin-memcached", memcached, "10.0.0.1:11211"),
            address("origin-redis", redis, "10.0.0.1:6379"),
            path("origin-sqlite", sqlite, "pages.db"),
            name("origin-query", query.as_ref(), query_example),
            name("origin-user", user.as_ref(), "app"),
            path("origin-password-file", password_file, password_example),
            PrintedSetting::number("origin-database", database.unwrap_or_default()),
            path("origin-tls-ca", tls_ca, ca_example),
            path("origin-tls-cert", tls_cert, "/etc/larder/origin.pem"),
            path("origin-tls-key", tls_key, "/etc/larder/origin.key"),
        ];
        printed.extend(self.printed_times());
        printed
    }

    fn printed_times(&self) -> [PrintedSetting; 8] {
        let settings = self.settings();
        [
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
