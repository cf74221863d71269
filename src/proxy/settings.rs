//! The settings of a proxy, and its fixed limits.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::pool::Protocol;

/// The answer for keys of an ejected upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// An error that names the upstream.
    Error,
    /// The answer of the next server on the ring, for as long as the ejection lasts.
    Next,
    /// A read is answered as if the key didn't exist, any other command with an error.
    Miss,
}

impl FromStr for OnFailure {
    type Err = String;

    fn from_str(text: &str) -> Result<OnFailure, String> {
        match text {
            "error" => Ok(OnFailure::Error),
            "next" => Ok(OnFailure::Next),
            "miss" => Ok(OnFailure::Miss),
            _ => Err(format!("`{text}` is neither error, next nor miss")),
        }
    }
}

impl fmt::Display for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OnFailure::Error => "error",
            OnFailure::Next => "next",
            OnFailure::Miss => "miss",
        })
    }
}

/// The treatment of the values that an ejected upstream still has when it is back: they are as old as the ejection, and
/// newer values may have been written to other servers since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnReturn {
    /// They are served.
    Keep,
    /// They are deleted before the upstream gets any request.
    Flush,
}

impl FromStr for OnReturn {
    type Err = String;

    fn from_str(text: &str) -> Result<OnReturn, String> {
        match text {
            "keep" => Ok(OnReturn::Keep),
            "flush" => Ok(OnReturn::Flush),
            _ => Err(format!("`{text}` is neither keep nor flush")),
        }
    }
}

impl fmt::Display for OnReturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OnReturn::Keep => "keep",
            OnReturn::Flush => "flush",
        })
    }
}

/// The settings of a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The protocol of clients and upstreams.
    pub protocol: Protocol,
    /// Threads that forward; no more than there are `connections`. By default one for every two cores: upstreams and
    /// clients on the same box need cores as well, and fewer workers write more requests at once.
    pub workers: usize,
    /// Client connections that may be open at once.
    pub max_connections: usize,
    /// Connections to each upstream that all clients share.
    pub connections: usize,
    /// Connections to upstreams that a client may have for itself, all clients together.
    pub detached: usize,
    /// Errors in a row after which an upstream is ejected.
    pub failures: u32,
    /// The answer for keys of an ejected upstream.
    pub on_failure: OnFailure,
    /// The treatment of the values of an upstream that is back. Not for a cluster: its servers don't serve old values.
    pub on_return: OnReturn,
    /// The database of Redis that a client's database 0 stands for.
    pub database: u32,
    /// The longest time to connect to an upstream, name lookup included.
    pub connect_timeout: Duration,
    /// The longest time that an upstream may be silent while a reply is due.
    pub read_timeout: Duration,
    /// The longest time that a client may leave a waiting reply unread.
    pub write_timeout: Duration,
}

impl Settings {
    /// The defaults for a protocol.
    pub fn new(protocol: Protocol) -> Settings {
        Settings {
            protocol,
            workers: std::thread::available_parallelism()
                .map_or(1, |cores| cores.get().div_ceil(2)),
            max_connections: crate::server::limits::MAX_CONNECTIONS,
            connections: 4,
            detached: 256,
            failures: 3,
            on_failure: OnFailure::Error,
            on_return: OnReturn::Keep,
            database: 0,
            connect_timeout: Duration::from_secs(2),
            read_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(5),
        }
    }
}

/// Bytes of replies that may wait for one client. With more, their connection is not read until the
/// client has read some. A reply of any size passes in pieces of this size.
pub(super) const BACKLOG: usize = 1024 * 1024;

/// Requests of one client that may be under way. Further ones wait.
pub(super) const PIPELINE: usize = 4096;

/// Milliseconds between two checks of the deadlines, and so the most by which one is noticed late.
pub(super) const SWEEP_MS: u64 = 20;

/// A worker's round of this many milliseconds or more extends all deadlines by its length. Most rounds take less than
/// one.
pub(super) const SLOW_ROUND_MS: u64 = 50;

/// Milliseconds after which a shared connection of clients in another database than 0, or in RESP3,
/// is closed when no client uses it: such clients can create many kinds of them.
pub(super) const STATE_IDLE_MS: u64 = 10_000;
