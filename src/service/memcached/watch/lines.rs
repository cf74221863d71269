//! The lines of the log, in memcached's form. All items are of class 1, as in `stats`.

use std::io::Write;

use crate::server::{Connection, EndReason};
use crate::service::memcached::operations::seconds_left;
use crate::store::EvictedItem;

/// A look-up of an item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LookUp {
    /// Bytes of the value, if there is one.
    pub(crate) found: Option<usize>,
    /// Whether the look-up found that the item has expired.
    pub(crate) expired: bool,
}

/// A storage command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreEvent {
    /// The outcome.
    pub(crate) status: &'static str,
    pub(crate) command: &'static str,
    /// Seconds to live.
    pub(crate) left: u64,
    /// Bytes of the value.
    pub(crate) length: usize,
}

/// The command that deleted an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeleteVerb {
    Delete,
    MetaDelete,
}

/// The line of a look-up.
pub(super) fn item_get(line: &mut Vec<u8>, path: &[&[u8]], look_up: LookUp, connection: u64) {
    let status = match look_up.found {
        Some(_) => "found",
        None if look_up.expired => "expired",
        None => "not_found",
    };
    let class = u8::from(look_up.found.is_some());
    let size = look_up.found.unwrap_or(0);
    key(line, "item_get", path);
    let _ = write!(
        line,
        " status={status} clsid={class} cfd={connection} size={size}"
    );
}

/// The line of a storage command.
pub(super) fn item_store(line: &mut Vec<u8>, path: &[&[u8]], event: StoreEvent, connection: u64) {
    let StoreEvent {
        status,
        command,
        left,
        length,
    } = event;
    key(line, "item_store", path);
    let _ = write!(
        line,
        " status={status} cmd={command} ttl={left} clsid=1 cfd={connection} size={length}"
    );
}

/// The line of a deletion.
pub(super) fn deleted(line: &mut Vec<u8>, path: &[&[u8]], verb: DeleteVerb, length: usize) {
    let command = match verb {
        DeleteVerb::Delete => "delete",
        DeleteVerb::MetaDelete => "md",
    };
    key(line, "deleted", path);
    let _ = write!(line, " cmd={command} clsid=1 size={length}");
}

/// The line of the beginning of a connection.
pub(super) fn conn_new(line: &mut Vec<u8>, connection: &Connection) {
    peer(line, "conn_new", connection);
    let _ = write!(line, " cfd={}", connection.id());
}

/// The line of the end of a connection. `refused`: its session ended it because of what the client had sent.
pub(super) fn conn_close(line: &mut Vec<u8>, connection: &Connection, refused: bool) {
    let reason = match connection.end_reason() {
        Some(EndReason::Idle) => "idle_timeout",
        None if !refused => "normal",
        _ => "error",
    };
    peer(line, "conn_close", connection);
    let _ = write!(line, " reason={reason} cfd={}", connection.id());
}

/// The line of an eviction.
pub(super) fn eviction(line: &mut Vec<u8>, evicted: &EvictedItem<'_>) {
    let (item, now_ms) = (&evicted.item, evicted.now_ms);
    let fetched = if item.is_fetched() { "yes" } else { "no" };
    let left = seconds_left(item.expires_ms(), now_ms).map_or(-1, u64::cast_signed);
    let idle = now_ms.saturating_sub(item.last_access_ms()) / 1000;
    let length = item.value().map_or(0, <[u8]>::len);
    key(line, "eviction", &evicted.path);
    let _ = write!(
        line,
        " fetch={fetched} ttl={left} la={idle} clsid=1 size={length}"
    );
}

/// Begins a line about a key, which is encoded as in a URI. The names of a nested key have a slash between them.
fn key(line: &mut Vec<u8>, event: &str, path: &[&[u8]]) {
    let _ = write!(line, "type={event} key=");
    for (depth, name) in path.iter().enumerate() {
        if depth > 0 {
            line.push(b'/');
        }
        encode(line, name);
    }
}

/// Writes bytes as in a URI.
pub(in super::super) fn encode(line: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            line.push(byte);
        } else {
            let _ = write!(line, "%{byte:02X}");
        }
    }
}

/// Begins a line about a connection.
fn peer(line: &mut Vec<u8>, event: &str, connection: &Connection) {
    let _ = match connection.peer().tcp() {
        Some(peer) => write!(
            line,
            "type={event} rip={} rport={} transport=tcp",
            peer.ip(),
            peer.port()
        ),
        None => write!(line, "type={event} rip=unix rport=0 transport=local"),
    };
}
