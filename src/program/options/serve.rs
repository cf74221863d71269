//! The settings of `larder serve`. One structure is the command line, the `[serve]` table of larder.toml and the source
//! of `larder config`'s output, so that the three can't drift apart. A flag overrides the file, the file overrides the
//! default.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::server::limits::LEAST_REPLY_MEMORY;
use crate::server::{Listen, Model};

use crate::program::values::{
    Count, Endpoint, ModelName, PrintedSetting, Seconds, Size, Span, Switch, parsed,
};

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

    /// Memory for items, overhead included; at the limit the least useful items are evicted [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    #[serde(deserialize_with = "parsed")]
    pub(crate) memory: Option<Size>,

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
}

impl ServeOptions {
    /// These options if they were given, otherwise `other`'s.
    pub(crate) fn or(self, other: ServeOptions) -> ServeOptions {
        ServeOptions {
            memcached: self.memcached.or(other.memcached),
            resp: self.resp.or(other.resp),
            unix: self.unix.or(other.unix),
            udp: self.udp.or(other.udp),
            memory: self.memory.or(other.memory),
            max_item_size: self.max_item_size.or(other.max_item_size),
            max_reply_memory: self.max_reply_memory.or(other.max_reply_memory),
            nested: self.nested.or(other.nested),
            flush_all: self.flush_all.or(other.flush_all),
            watch: self.watch.or(other.watch),
            shutdown_command: self.shutdown_command.or(other.shutdown_command),
            model: self.model.or(other.model),
            workers: self.workers.or(other.workers),
            max_connections: self.max_connections.or(other.max_connections),
            idle_timeout: self.idle_timeout.or(other.idle_timeout),
            password_file: self.password_file.or(other.password_file),
            auth_file: self.auth_file.or(other.auth_file),
            acl_file: self.acl_file.or(other.acl_file),
            protected_mode: self.protected_mode.or(other.protected_mode),
            snapshot: self.snapshot.or(other.snapshot),
            snapshot_every: self.snapshot_every.or(other.snapshot_every),
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
            memory,
            max_item_size,
            max_reply_memory: self.max_reply_memory.unwrap_or_else(reply_memory),
            nested: self.nested.unwrap_or(Switch(true)),
            flush_all: self.flush_all.unwrap_or(Switch(true)),
            watch: self.watch.unwrap_or(Switch(true)),
            shutdown_command: self.shutdown_command.unwrap_or(Switch(false)),
            model,
            workers: self.workers.map(|count| count.0),
            max_connections: self.max_connections.map_or(1024, |count| count.0),
            idle_timeout: self.idle_timeout.unwrap_or(Seconds(0)),
            password_file: self.password_file,
            auth_file: self.auth_file,
            acl_file: self.acl_file,
            protected_mode: self.protected_mode.unwrap_or(Switch(true)),
            snapshot: self.snapshot,
            snapshot_every: self.snapshot_every.unwrap_or(Span(Duration::ZERO)),
        }
    }
}

fn listen(address: &str) -> Endpoint {
    Endpoint(Some(Listen::Tcp(address.to_owned())))
}

/// The settings of `larder serve` in force.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) memcached: Endpoint,
    pub(crate) resp: Endpoint,
    pub(crate) unix: Option<PathBuf>,
    pub(crate) udp: Endpoint,
    pub(crate) memory: Size,
    pub(crate) max_item_size: Size,
    pub(crate) max_reply_memory: Size,
    pub(crate) nested: Switch,
    pub(crate) flush_all: Switch,
    pub(crate) watch: Switch,
    pub(crate) shutdown_command: Switch,
    pub(crate) model: ModelName,
    /// `None` for the number that suits the model and the machine.
    pub(crate) workers: Option<u32>,
    pub(crate) max_connections: u32,
    pub(crate) idle_timeout: Seconds,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) auth_file: Option<PathBuf>,
    pub(crate) acl_file: Option<PathBuf>,
    pub(crate) protected_mode: Switch,
    pub(crate) snapshot: Option<PathBuf>,
    pub(crate) snapshot_every: Span,
}

/// The smallest `--memory`: less leaves no room for the tables of the store themselves.
const MIN_MEMORY: u64 = 1 << 20;

/// The largest `--max-item-size`, memcached's. Half of the memory is the limit of most.
const MAX_ITEM_SIZE: u64 = 1 << 30;

impl Settings {
    /// A sentence that names the setting to change, if the settings contradict each other.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.memory.0 < MIN_MEMORY {
            return Some(format!(
                "--memory {} is too little; give at least {}",
                self.memory,
                Size(MIN_MEMORY)
            ));
        }
        let most = MAX_ITEM_SIZE.min(self.memory.0 / 2);
        if self.max_item_size.0 < 1024 || self.max_item_size.0 > most {
            return Some(format!(
                "--max-item-size {} must be at least 1KiB, and at most half of --memory {} and 1GiB",
                self.max_item_size, self.memory
            ));
        }
        let replies = Size((2 * self.max_item_size.0).max(LEAST_REPLY_MEMORY as u64));
        if self.max_reply_memory.0 < replies.0 {
            return Some(format!(
                "--max-reply-memory {} is too little for the largest items; give at least {replies}",
                self.max_reply_memory
            ));
        }
        let udp = self.udp.0.is_some();
        if self.memcached.0.is_none() && self.resp.0.is_none() && self.unix.is_none() && !udp {
            return Some(
                "nothing to listen on: --memcached and --resp are off, and there is no --unix and no --udp"
                    .into(),
            );
        }
        if let Some(Listen::Unix(path)) = &self.udp.0 {
            return Some(format!(
                "--udp {}: UDP has no path; write 127.0.0.1:11211, [::1]:11211, port 0 for a free port, or off",
                path.display()
            ));
        }
        if udp && self.auth_file.is_some() {
            return Some(
                "--udp can't be used with --auth-file: a datagram can't prove who sent it; remove one of the two"
                    .into(),
            );
        }
        if self.snapshot.is_none() && !self.snapshot_every.0.is_zero() {
            return Some(format!(
                "--snapshot-every {} needs a file; name one with --snapshot FILE",
                self.snapshot_every
            ));
        }
        None
    }

    /// The settings as `larder config` prints them.
    pub(crate) fn printed(&self) -> Vec<PrintedSetting> {
        // Field by field, so that a new setting can't be forgotten here.
        let Settings {
            memcached,
            resp,
            unix,
            udp,
            memory,
            max_item_size,
            max_reply_memory,
            nested,
            flush_all,
            watch,
            shutdown_command,
            model,
            workers,
            max_connections,
            idle_timeout,
            password_file,
            auth_file,
            acl_file,
            protected_mode,
            snapshot,
            snapshot_every,
        } = self;
        vec![
            PrintedSetting::new("memcached", memcached),
            PrintedSetting::new("resp", resp),
            PrintedSetting::path("unix", unix.as_ref(), "/run/larder/larder.sock"),
            PrintedSetting::new("udp", udp),
            PrintedSetting::new("memory", memory),
            PrintedSetting::new("max-item-size", max_item_size),
            PrintedSetting::new("max-reply-memory", max_reply_memory),
            PrintedSetting::new("nested", nested),
            PrintedSetting::new("flush-all", flush_all),
            PrintedSetting::new("watch", watch),
            PrintedSetting::new("shutdown-command", shutdown_command),
            PrintedSetting::new("model", model),
            PrintedSetting::chosen("workers", *workers, model.0.default_workers()),
            PrintedSetting::number("max-connections", *max_connections),
            PrintedSetting::number("idle-timeout", idle_timeout.0),
            PrintedSetting::path(
                "password-file",
                password_file.as_ref(),
                "/etc/larder/password",
            ),
            PrintedSetting::path("auth-file", auth_file.as_ref(), "/etc/larder/users"),
            PrintedSetting::path("acl-file", acl_file.as_ref(), "/etc/larder/users.acl"),
            PrintedSetting::new("protected-mode", protected_mode),
            PrintedSetting::path("snapshot", snapshot.as_ref(), "/var/lib/larder/snapshot"),
            PrintedSetting::new("snapshot-every", snapshot_every),
        ]
    }

    /// Takes over from `new` the settings that can change while larder serves, and names the others that differ.
    pub(crate) fn reload(&mut self, new: &Settings) -> Vec<&'static str> {
        // Field by field, so that a new setting can't be forgotten here.
        let Settings {
            memcached,
            resp,
            unix,
            udp,
            memory,
            max_item_size,
            max_reply_memory,
            nested,
            flush_all,
            watch,
            shutdown_command,
            model,
            workers,
            max_connections,
            idle_timeout,
            password_file,
            auth_file,
            acl_file,
            protected_mode,
            snapshot,
            snapshot_every,
        } = new;
        (self.memory, self.max_item_size) = (*memory, *max_item_size);
        (self.max_connections, self.max_reply_memory) = (*max_connections, *max_reply_memory);
        self.snapshot_every = *snapshot_every;
        [
            ("memcached", self.memcached != *memcached),
            ("resp", self.resp != *resp),
            ("unix", self.unix != *unix),
            ("udp", self.udp != *udp),
            ("nested", self.nested != *nested),
            ("flush-all", self.flush_all != *flush_all),
            ("watch", self.watch != *watch),
            (
                "shutdown-command",
                self.shutdown_command != *shutdown_command,
            ),
            ("model", self.model != *model),
            ("workers", self.workers != *workers),
            ("idle-timeout", self.idle_timeout != *idle_timeout),
            ("password-file", self.password_file != *password_file),
            ("auth-file", self.auth_file != *auth_file),
            ("acl-file", self.acl_file != *acl_file),
            ("protected-mode", self.protected_mode != *protected_mode),
            ("snapshot", self.snapshot != *snapshot),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }
}
