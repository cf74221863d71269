//! The memcached protocols: [`text`], the classic commands of memcached's `protocol.txt`, and [`binary`].

pub mod binary;
pub mod text;
