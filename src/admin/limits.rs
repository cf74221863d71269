//! The bounds of the admin listener.

use std::time::Duration;

/// Bytes of the longest head of a request. Browsers send less than 2 KiB; a longer one gets status 431.
pub(super) const HEAD: usize = 8 * 1024;

/// Lines of a head, beside the first. More get status 431.
pub(super) const HEADER_LINES: usize = 64;

/// The time from the accepted connection to the end of the head. Later bytes get status 408.
pub(super) const REQUEST_TIME: Duration = Duration::from_secs(5);

/// The time after which a connection on which nothing passes is closed.
pub(super) const SILENCE: Duration = Duration::from_secs(5);

/// Open connections. Further clients get status 503. They fit into the descriptors that a server keeps free beside those
/// of its clients.
pub(super) const CONNECTIONS: usize = 32;
