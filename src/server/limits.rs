//! The limits of the server core, each with its unit, its reason, and what happens on breach.

/// Bytes of output after which a session ends its turn with [`Next::Again`](super::Next::Again).
///
/// Small enough that a thousand clients that pipeline reads of large values hold little memory, large enough that a
/// pipeline of small replies goes out in one write.
pub const OUTPUT_SOFT_LIMIT: usize = 256 * 1024;
