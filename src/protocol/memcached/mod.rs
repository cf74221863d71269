//! The memcached protocols. So far [`text`], the classic commands of memcached's `protocol.txt`.

pub mod text;
