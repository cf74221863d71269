//! The state of a connection that others on the same connection would notice: its protocol, if the server speaks two, and
//! what RESP's commands change.

/// The databases that a client can choose from, as many as Redis has by default. Each needs connections of its own, so
/// there are no more even if an upstream has more.
pub(crate) const DATABASES: i64 = 16;

/// The state of a client's connection. An upstream connection that serves it must have the same state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct ConnectionState {
    /// The database that `SELECT` chose.
    pub(crate) database: u32,
    /// Whether `HELLO` chose RESP3.
    pub(crate) resp3: bool,
    /// Whether it speaks memcached's binary protocol, which the first byte of a connection decides.
    pub(crate) binary: bool,
}

impl ConnectionState {
    /// Whether commands have changed it, so that clients can need connections of many kinds.
    pub(crate) fn is_changed(self) -> bool {
        self.database != 0 || self.resp3
    }
}
