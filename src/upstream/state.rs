//! The state of a RESP connection that commands change and that others on the same connection would notice.

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
}
