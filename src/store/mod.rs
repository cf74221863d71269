//! The embedded cache.
