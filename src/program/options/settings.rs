//! The settings of `larder serve` in force: their contradictions, their output in `larder config`, and their changes while larder runs.

use std::path::PathBuf;

use crate::server::Listen;
use crate::server::limits::LEAST_REPLY_MEMORY;

use crate::program::values::{
    Endpoint, ModelName, PrintedSetting, Seconds, Size, SlowerThan, Span, SpokenProtocolName,
    Switch, WhenFullName,
};

/// The settings of `larder serve` in force.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) memcached: Endpoint,
    pub(crate) resp: Endpoint,
    pub(crate) unix: Option<PathBuf>,
    pub(crate) udp: Endpoint,
    pub(crate) admin: Endpoint,
    pub(crate) memory: Size,
    pub(crate) when_full: WhenFullName,
    pub(crate) max_item_size: Size,
    pub(crate) max_reply_memory: Size,
    pub(crate) nested: Switch,
    pub(crate) memcached_protocol: SpokenProtocolName,
    pub(crate) flush_all: Switch,
    pub(crate) watch: Switch,
    pub(crate) shutdown_command: Switch,
    pub(crate) model: ModelName,
    /// `None` for the number that suits the model and the machine.
    pub(crate) workers: Option<u32>,
    pub(crate) max_connections: u32,
    pub(crate) backlog: u32,
    pub(crate) idle_timeout: Seconds,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) auth_file: Option<PathBuf>,
    pub(crate) acl_file: Option<PathBuf>,
    pub(crate) protected_mode: Switch,
    pub(crate) snapshot: Option<PathBuf>,
    pub(crate) snapshot_every: Span,
    pub(crate) slowlog_log_slower_than: SlowerThan,
    pub(crate) slowlog_max_len: u32,
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
            admin,
            memory,
            when_full,
            max_item_size,
            max_reply_memory,
            nested,
            memcached_protocol,
            flush_all,
            watch,
            shutdown_command,
            model,
            workers,
            max_connections,
            backlog,
            idle_timeout,
            password_file: _,
            auth_file: _,
            acl_file: _,
            protected_mode: _,
            snapshot: _,
            snapshot_every: _,
            slowlog_log_slower_than: _,
            slowlog_max_len: _,
        } = self;
        let path = PrintedSetting::path;
        let mut printed = vec![
            PrintedSetting::new("memcached", memcached),
            PrintedSetting::new("resp", resp),
            path("unix", unix.as_ref(), "/run/larder.sock"),
            PrintedSetting::new("udp", udp),
            PrintedSetting::new("admin", admin),
            PrintedSetting::new("memory", memory),
            PrintedSetting::new("when-full", when_full),
            PrintedSetting::new("max-item-size", max_item_size),
            PrintedSetting::new("max-reply-memory", max_reply_memory),
            PrintedSetting::new("nested", nested),
            PrintedSetting::new("memcached-protocol", memcached_protocol),
            PrintedSetting::new("flush-all", flush_all),
            PrintedSetting::new("watch", watch),
            PrintedSetting::new("shutdown-command", shutdown_command),
            PrintedSetting::new("model", model),
            PrintedSetting::chosen("workers", *workers, model.0.default_workers()),
            PrintedSetting::number("max-connections", *max_connections),
            PrintedSetting::number("backlog", *backlog),
            PrintedSetting::number("idle-timeout", idle_timeout.0),
        ];
        printed.extend(self.printed_last());
        printed
    }

    /// The last ones: users, snapshots, and the slow log.
    fn printed_last(&self) -> Vec<PrintedSetting> {
        let path = PrintedSetting::path;
        vec![
            path(
                "password-file",
                self.password_file.as_ref(),
                "/etc/larder/password",
            ),
            path("auth-file", self.auth_file.as_ref(), "/etc/larder/users"),
            path("acl-file", self.acl_file.as_ref(), "/etc/larder/users.acl"),
            PrintedSetting::new("protected-mode", self.protected_mode),
            path(
                "snapshot",
                self.snapshot.as_ref(),
                "/var/lib/larder/snapshot",
            ),
            PrintedSetting::new("snapshot-every", self.snapshot_every),
            PrintedSetting::new("slowlog-log-slower-than", self.slowlog_log_slower_than),
            PrintedSetting::number("slowlog-max-len", self.slowlog_max_len),
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
            admin,
            memory: _,
            when_full: _,
            max_item_size: _,
            max_reply_memory: _,
            nested,
            memcached_protocol,
            flush_all,
            watch,
            shutdown_command,
            model,
            workers,
            max_connections: _,
            backlog,
            idle_timeout,
            password_file,
            auth_file,
            acl_file,
            protected_mode,
            snapshot,
            snapshot_every: _,
            slowlog_log_slower_than: _,
            slowlog_max_len: _,
        } = new;
        self.take_over(new);
        let shutdown_differs = self.shutdown_command != *shutdown_command;
        let protocol_differs = self.memcached_protocol != *memcached_protocol;
        [
            ("memcached", self.memcached != *memcached),
            ("resp", self.resp != *resp),
            ("unix", self.unix != *unix),
            ("udp", self.udp != *udp),
            ("admin", self.admin != *admin),
            ("nested", self.nested != *nested),
            ("memcached-protocol", protocol_differs),
            ("flush-all", self.flush_all != *flush_all),
            ("watch", self.watch != *watch),
            ("shutdown-command", shutdown_differs),
            ("model", self.model != *model),
            ("workers", self.workers != *workers),
            ("backlog", self.backlog != *backlog),
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

    /// Takes over the settings that can change while larder serves.
    fn take_over(&mut self, new: &Settings) {
        (self.memory, self.when_full) = (new.memory, new.when_full);
        self.max_item_size = new.max_item_size;
        (self.max_connections, self.max_reply_memory) = (new.max_connections, new.max_reply_memory);
        self.snapshot_every = new.snapshot_every;
        self.slowlog_log_slower_than = new.slowlog_log_slower_than;
        self.slowlog_max_len = new.slowlog_max_len;
    }
}
