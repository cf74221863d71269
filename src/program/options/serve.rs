//! The settings of `larder serve`. One structure is the command line, the `[serve]` table of larder.toml and the source
//! of `larder config`'s output, so that the three can't drift apart. A flag overrides the file, the file overrides the
//! default.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::server::limits::BACKLOG;
use crate::server::{Listen, Model};
use crate::service::memcached::SpokenProtocol;
use crate::service::slow_log::MAX_LEN;
use crate::store::WhenFull;

use crate::program::values::{
    Count, Endpoint, ModelName, Seconds, Size, SlowerThan, Span, SpokenProtocolName, Switch,
    WhenFullName, parsed,
};

use super::Settings;

/// The options that were given on the command line or in the file; `None` for the others.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ServeOptions {
    /// Address of memcached's protocols, text and binary: HOST:PORT, a path with a slash for a Unix socket, or off [default: 127.0.0.1:11211]
    #[arg(long, value_name = "ADDR|off")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) memcached: Option<Endpoint>,

    /// Address of RESP, Redis's protocol: HOST:PORT, a path with a slash for a Unix socket, or off [default: 127.0.0.1:6379]
    #[arg(long, value_name = "ADDR|off")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) resp: Option<Endpoint>,

    /// A Unix socket for memcached's protocols, in addition to the TCP port [default: none]
    #[arg(long, value_name = "PATH")]
    pub(crate) unix: Option<PathBuf>,

    /// Address of memcached's protocols over UDP: HOST:PORT, or off. A reply has at most 16 datagrams of 1400 bytes; in
    /// place of a longer one there is an error. UDP has neither passwords nor TLS, so it can't be used with --auth-file
    /// or client certificates [default: off]
    #[arg(long, value_name = "ADDR|off")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) udp: Option<Endpoint>,

    /// Address of the admin listener: HOST:PORT, a path with a slash for a Unix socket, or off. It answers HTTP: a page with
    /// plots, /metrics for Prometheus, and /healthz. It has neither a login nor TLS [default: off]
    #[arg(long, value_name = "ADDR|off")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) admin: Option<Endpoint>,

    /// Memory for items, overhead included; see --when-full for what happens at the limit [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) memory: Option<Size>,

    /// What happens when --memory is full: `evict` removes the least useful items; `refuse` keeps all and answers an error to
    /// writes that need memory, as memcached's -M and Redis's noeviction do [default: evict]
    #[arg(long, value_name = "evict|refuse")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) when_full: Option<WhenFullName>,

    /// The largest item of memcached's clients: key and value together. RESP takes items up to half of --memory,
    /// at most 512MiB [default: 1MiB]
    #[arg(long, value_name = "SIZE")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) max_item_size: Option<Size>,

    /// Memory for replies that wait for their clients and for unfinished requests, over all connections. When it runs
    /// short, large replies wait, and slow clients are disconnected [default: as --memory, but 64MiB to 1GiB]
    #[arg(long, value_name = "SIZE")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) max_reply_memory: Option<Size>,

    /// Nested keys on memcached's protocol: `set user name 0 0 3` stores a child of `user`; off is exactly
    /// memcached [default: on]
    #[arg(long, value_name = "on|off")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) nested: Option<Switch>,

    /// Protocols of memcached's clients: `auto` takes the one of a connection's first byte, `text` (with meta) and `binary` only
    /// this one, as memcached's -B does [default: auto]
    #[arg(long, value_name = "auto|text|binary")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) memcached_protocol: Option<SpokenProtocolName>,

    /// memcached's `flush_all`; off refuses it, as memcached with -F does. RESP has --acl-file for its commands [default: on]
    #[arg(long, value_name = "on|off")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) flush_all: Option<Switch>,

    /// memcached's `watch`, which shows a client the keys that others use; off refuses it, as memcached with -W does
    /// [default: on]
    #[arg(long, value_name = "on|off")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) watch: Option<Switch>,

    /// memcached's `shutdown`, by which a client ends the server; on is memcached's -A [default: off]
    #[arg(long, value_name = "on|off")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) shutdown_command: Option<Switch>,

    /// Model that runs connections: `turns` (each thread serves many) or `threads` (one thread holds one)
    /// [default: turns]
    #[arg(long, value_name = "turns|threads")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) model: Option<ModelName>,

    /// Threads that serve connections [default: 256 for threads; for turns up to one per core, as many as are faster]
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) workers: Option<Count<4096>>,

    /// Open connections, over all listeners; further clients get an error and are disconnected [default: 1024]
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) max_connections: Option<Count<{ u32::MAX }>>,

    /// Connections that may wait to be accepted, for each listener; the system's net.core.somaxconn may allow fewer
    /// [default: 1024]
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) backlog: Option<Count<{ i32::MAX as u32 }>>,

    /// Close a connection after this many seconds of silence; 0 is never [default: 0]
    #[arg(long, value_name = "SECONDS")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) idle_timeout: Option<Seconds>,

    /// A file whose first line is the password that RESP clients must give with AUTH; the environment variable
    /// LARDER_PASSWORD does the same [default: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,

    /// A file with the users of memcached's protocol, a line `user:password` for each; clients authenticate as with
    /// memcached's -Y. HUP reads it again [default: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) auth_file: Option<PathBuf>,

    /// A file with the users of RESP and their rules, in the format of Redis's aclfile. ACL LOAD reads it again, ACL SAVE
    /// writes it [default: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) acl_file: Option<PathBuf>,

    /// Refuse to start if other machines can reach a listener whose clients don't have to log in [default: on]
    #[arg(long, value_name = "on|off")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) protected_mode: Option<Switch>,

    /// A file for snapshots of all items, so that a restart begins with a warm cache: loaded at the start; written at the end,
    /// at USR1, by SAVE and BGSAVE, and at intervals [default: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshot: Option<PathBuf>,

    /// Time between two snapshots, written 10m or 1h; 0 is never. HUP reads it again [default: 0]
    #[arg(long, value_name = "SPAN")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) snapshot_every: Option<Span>,

    /// Microseconds from which on a request is in the slow log, which SLOWLOG and `stats slowlog` show; 0 logs all, off none.
    /// HUP reads it again [default: 10000]
    #[arg(long, value_name = "MICROSECONDS|off")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) slowlog_log_slower_than: Option<SlowerThan>,

    /// Entries of the slow log; it has at most 16MiB. HUP reads it again [default: 128]
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) slowlog_max_len: Option<Count<{ u32::MAX }>>,
}

impl ServeOptions {
    /// These options if they were given, otherwise `other`'s.
    pub(crate) fn or(self, other: ServeOptions) -> ServeOptions {
        ServeOptions {
            memcached: self.memcached.or(other.memcached),
            resp: self.resp.or(other.resp),
            unix: self.unix.or(other.unix),
            udp: self.udp.or(other.udp),
            admin: self.admin.or(other.admin),
            memory: self.memory.or(other.memory),
            when_full: self.when_full.or(other.when_full),
            max_item_size: self.max_item_size.or(other.max_item_size),
            max_reply_memory: self.max_reply_memory.or(other.max_reply_memory),
            nested: self.nested.or(other.nested),
            memcached_protocol: self.memcached_protocol.or(other.memcached_protocol),
            flush_all: self.flush_all.or(other.flush_all),
            watch: self.watch.or(other.watch),
            shutdown_command: self.shutdown_command.or(other.shutdown_command),
            model: self.model.or(other.model),
            workers: self.workers.or(other.workers),
            max_connections: self.max_connections.or(other.max_connections),
            backlog: self.backlog.or(other.backlog),
            idle_timeout: self.idle_timeout.or(other.idle_timeout),
            password_file: self.password_file.or(other.password_file),
            auth_file: self.auth_file.or(other.auth_file),
            acl_file: self.acl_file.or(other.acl_file),
            protected_mode: self.protected_mode.or(other.protected_mode),
            snapshot: self.snapshot.or(other.snapshot),
            snapshot_every: self.snapshot_every.or(other.snapshot_every),
            slowlog_log_slower_than: (self.slowlog_log_slower_than)
                .or(other.slowlog_log_slower_than),
            slowlog_max_len: self.slowlog_max_len.or(other.slowlog_max_len),
        }
    }

    /// The settings in force: the options that were given, and the defaults of the others.
    pub(crate) fn settings(self) -> Settings {
        let model = self.model.unwrap_or(ModelName(Model::Turns));
        let memory = self.memory.unwrap_or(Size(64 << 20));
        let max_item_size = self.max_item_size.unwrap_or(Size(1 << 20));
        let reply_memory = || {
            let bytes = crate::Server::default_reply_memory(memory.0) as u64;
            Size(bytes.max(2 * max_item_size.0))
        };
        Settings {
            memcached: self.memcached.unwrap_or(listen("127.0.0.1:11211")),
            resp: self.resp.unwrap_or(listen("127.0.0.1:6379")),
            unix: self.unix,
            udp: self.udp.unwrap_or(Endpoint(None)),
            admin: self.admin.unwrap_or(Endpoint(None)),
            memory,
            when_full: self.when_full.unwrap_or(WhenFullName(WhenFull::Evict)),
            max_item_size,
            max_reply_memory: self.max_reply_memory.unwrap_or_else(reply_memory),
            nested: self.nested.unwrap_or(Switch(true)),
            memcached_protocol: self
                .memcached_protocol
                .unwrap_or(SpokenProtocolName(SpokenProtocol::Auto)),
            flush_all: self.flush_all.unwrap_or(Switch(true)),
            watch: self.watch.unwrap_or(Switch(true)),
            shutdown_command: self.shutdown_command.unwrap_or(Switch(false)),
            model,
            workers: self.workers.map(|count| count.0),
            max_connections: self.max_connections.map_or(1024, |count| count.0),
            backlog: self.backlog.map_or(BACKLOG, |count| count.0),
            idle_timeout: self.idle_timeout.unwrap_or(Seconds(0)),
            password_file: self.password_file,
            auth_file: self.auth_file,
            acl_file: self.acl_file,
            protected_mode: self.protected_mode.unwrap_or(Switch(true)),
            snapshot: self.snapshot,
            snapshot_every: self.snapshot_every.unwrap_or(Span(Duration::ZERO)),
            slowlog_log_slower_than: self.slowlog_log_slower_than.unwrap_or_default(),
            slowlog_max_len: self.slowlog_max_len.map_or(MAX_LEN as u32, |count| count.0),
        }
    }
}

fn listen(address: &str) -> Endpoint {
    Endpoint(Some(Listen::Tcp(address.to_owned())))
}
