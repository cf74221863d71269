//! The settings of invalidation, and its fixed limits.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use regex::bytes::Regex;

use crate::pool::Placement;
use crate::pool::ServerList;
use crate::server::ClientTls;

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$each])* $variant),* }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<$name, String> {
                match text {
                    $($word => Ok($name::$variant),)*
                    _ => Err(format!("`{text}` is none of {}", [$($word),*].join(", "))),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($name::$variant => $word),* })
            }
        }
    };
}

words! {
    /// The guarantee of an answer.
    Durability {
        /// None: the change is in memory, and lost with the process.
        None = "none",
        /// The change survives the process; a crash of the machine may lose the last ones.
        Os = "os",
        /// The change is on the disk.
        Fsync = "fsync",
    }
}

words! {
    /// The treatment of requests that are not writes.
    ReadPolicy {
        /// It is refused with an error.
        Refuse = "refuse",
        /// It is sent to the servers of the first target that speaks the client's protocol.
        Forward = "forward",
    }
}

words! {
    /// The protocol of a target's servers.
    TargetKind {
        /// One of memcached's protocols.
        Memcached = "memcached",
        /// RESP.
        Redis = "redis",
    }
}

words! {
    /// The protocol that memcached's servers of a target are sent.
    TargetProtocol {
        /// Text.
        Text = "text",
        /// The binary protocol, which servers with `-B binary` and `-S` ask for.
        Binary = "binary",
    }
}

words! {
    /// The servers of a target that may hold a key.
    TargetMode {
        /// The one to which the key belongs on the ring.
        Pool = "pool",
        /// All of them.
        Replicas = "replicas",
    }
}

words! {
    /// The way to invalidate a key.
    ForgetMethod {
        /// It is deleted.
        Delete = "delete",
        /// It is marked stale with memcached's `md KEY I T…`: the first reader has to fetch it anew, the others get
        /// the old value meanwhile.
        Stale = "stale",
        /// The new value is written if the client sent it; otherwise the key is deleted.
        Update = "update",
    }
}

/// A group of servers that hold copies of changed values.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name in logs and statistics.
    pub name: String,
    /// The protocol of the servers.
    pub kind: TargetKind,
    /// Whether memcached servers are sent the binary protocol, instead of text.
    pub binary: bool,
    /// The servers.
    pub servers: ServerList,
    /// The servers that may hold a key.
    pub mode: TargetMode,
    /// The placement of keys in a pool.
    pub placement: Placement,
    /// Keys that concern this target begin with this.
    pub prefix: Vec<u8>,
    /// Keys that concern this target match this, too.
    pub pattern: Option<Regex>,
    /// The key's name there: `{key}` in it stands for the client's key.
    pub template: String,
    /// The way of invalidation.
    pub forget: ForgetMethod,
    /// Seconds for which a stale value may still be answered.
    pub stale_seconds: u32,
    /// After this the key is deleted a second time.
    pub again: Option<Duration>,
    /// The user of the servers. Without one it is Redis's default user; memcached's users have names.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// The database of Redis servers.
    pub database: u32,
    /// TLS for the connections to the servers.
    pub tls: Option<Arc<ClientTls>>,
}

impl Target {
    /// A ketama pool of memcached servers from which keys are deleted.
    pub fn new(name: &str, servers: ServerList) -> Target {
        Target {
            name: name.to_owned(),
            kind: TargetKind::Memcached,
            binary: false,
            servers,
            mode: TargetMode::Pool,
            placement: Placement::Ketama,
            prefix: Vec::new(),
            pattern: None,
            template: "{key}".to_owned(),
            forget: ForgetMethod::Delete,
            stale_seconds: 30,
            again: None,
            user: None,
            password: None,
            database: 0,
            tls: None,
        }
    }

    /// Checks that the settings are consistent.
    ///
    /// # Errors
    /// The inconsistency, in a sentence for a person.
    pub fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if name.is_empty() || name.contains([' ', ':', '/']) {
            return Err(format!(
                "the target's name `{name}` has a space, colon or slash; choose one without"
            ));
        }
        if self.template.matches("{key}").count() != 1 {
            return Err(format!(
                "target {name}: the key template `{}` must contain {{key}} once, as in app:{{key}}",
                self.template
            ));
        }
        if self.kind == TargetKind::Redis && self.forget == ForgetMethod::Stale {
            return Err(format!(
                "target {name}: Redis has no stale values; forget = \"delete\" or \"update\""
            ));
        }
        if self.binary && self.kind == TargetKind::Redis {
            return Err(format!(
                "target {name}: protocol is a setting of memcached's servers; remove it"
            ));
        }
        if self.binary && self.forget == ForgetMethod::Stale {
            return Err(format!(
                "target {name}: memcached's binary protocol has no stale values; forget = \"delete\" or \"update\""
            ));
        }
        if self.user.is_some() && self.password.is_none() {
            return Err(format!(
                "target {name}: the user needs a password: password-file = \"FILE\""
            ));
        }
        if self.kind == TargetKind::Memcached && self.password.is_some() && self.user.is_none() {
            return Err(format!(
                "target {name}: memcached's users have names: user = \"NAME\""
            ));
        }
        Ok(())
    }
}

/// The settings of invalidation.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory of the spool.
    pub spool: PathBuf,
    /// The guarantee of an answer.
    pub durability: Durability,
    /// The treatment of requests that are not writes.
    pub reads: ReadPolicy,
    /// Threads that deliver, for each upstream.
    pub workers: usize,
    /// Threads that serve clients.
    pub front_workers: usize,
    /// Keys that may be pending for an upstream. With more, it is flushed instead.
    pub max_pending: u64,
    /// The longest time that a change may be pending for an upstream. After that, the upstream is
    /// flushed instead.
    pub max_age: Option<Duration>,
    /// The time for which a server may hold values of keys that it had by an earlier list of its target. For so
    /// long, deletes of these keys reach it too. Zero if no earlier list is remembered.
    pub remember_rings: Duration,
    /// Client connections that may be open at once, at each listener.
    pub max_connections: usize,
    /// The longest time for an upstream to connect, to accept requests, and to answer.
    pub timeout: Duration,
    /// The longest time that the end waits for deliveries.
    pub grace: Duration,
}

impl Settings {
    /// The defaults, with the spool in this directory.
    pub fn new(spool: impl Into<PathBuf>) -> Settings {
        Settings {
            spool: spool.into(),
            durability: Durability::Os,
            reads: ReadPolicy::Refuse,
            workers: 2,
            front_workers: 1,
            max_pending: 10_000_000,
            max_age: Some(Duration::from_secs(24 * 3600)),
            remember_rings: Duration::from_secs(7 * 24 * 3600),
            max_connections: crate::server::limits::MAX_CONNECTIONS,
            timeout: Duration::from_secs(2),
            grace: Duration::from_secs(5),
        }
    }
}

/// Changes that a worker hands over at once.
pub(crate) const BATCH: usize = 1024;

/// Bytes of changes after which a worker hands them over.
pub(crate) const BATCH_BYTES: usize = 256 << 10;

/// Messages that wait for the recorder. With more, clients wait.
pub(crate) const INBOX: usize = 64;

/// Changes that are recorded in one transaction, about.
pub(crate) const GROUP: usize = 8192;

/// Maximum number of batches that wait for a delivery that is up to date. Further ones wait in the spool.
pub(crate) const DELIVERY_BATCHES: usize = 64;

/// Changes that are sent to an upstream before its answers are read: as many as fit into the buffers of a socket, so that
/// neither side waits for the other.
pub(crate) const WINDOW: usize = 512;

/// Bytes that are sent to an upstream before its answers are read.
pub(crate) const WINDOW_BYTES: usize = 64 << 10;

/// If no more than this is pending for a delivery that replays, the rest is handed over from memory and the delivery is up to date.
pub(crate) const REST: u64 = 4096;

/// Bytes of values that are handed over in this way.
pub(crate) const REST_BYTES: usize = 4 << 20;

/// Earlier rings of a target that are remembered. With more, deletes go to all its servers.
pub(crate) const REMEMBERED_RINGS: usize = 16;

/// The longest time between two notes in the spool of how long rings are still remembered. The spool loses no more of that time
/// when the process is killed.
pub(crate) const RINGS_NOTED: Duration = Duration::from_secs(60);

/// The longest time that removals wait for changes to be committed with.
pub(crate) const LINGER: Duration = Duration::from_millis(20);

/// The first and the longest pause before an upstream that is down is tried again.
pub(crate) const BACKOFF: (Duration, Duration) =
    (Duration::from_millis(20), Duration::from_secs(1));
