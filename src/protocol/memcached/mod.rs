//! The memcached protocols.
