//! The limits of the text protocol, each with its unit, its reason and the answer beyond it.

/// The longest key, in bytes, as in memcached (`KEY_MAX_LENGTH`). With nested keys it bounds each
/// name of a path. A longer one is a `CLIENT_ERROR bad command line format`.
pub(crate) const KEY_LIMIT: usize = 250;

/// The bytes in which a line other than a `get` or `gets` must end. memcached closes the connection
/// without an answer when more bytes than this have arrived and none ends the line.
pub const LINE_LIMIT: usize = 2048;

/// The bytes in which the line of a `get` or `gets` must end; room for 4,000 of the longest keys.
/// memcached has no limit but its memory; beyond this one the client gets memcached's error for
/// exhausted memory, and the connection is closed.
pub const GET_LINE_LIMIT: usize = 1024 * 1024;

/// The largest length that a storage command may name, in bytes, as in memcached (`INT_MAX - 2`,
/// less one). A line with a larger one is malformed; a value of a smaller one that exceeds the item
/// size is discarded.
pub(crate) const LENGTH_LIMIT: usize = i32::MAX as usize - 2;

/// Spaces before a command after which memcached no longer sees that a long line is a `get`.
pub(super) const LEADING_SPACES: usize = 100;

/// Bytes of the shortest line, its end included, as in memcached: a shorter one is a `CLIENT_ERROR bad
/// command line format` with any content.
pub(super) const SHORTEST_LINE: usize = 4;
