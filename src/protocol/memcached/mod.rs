//! The memcached protocols: [`text`], the classic commands of memcached's `protocol.txt`, and [`binary`]; and [`udp`],
//! which carries either in datagrams.

pub mod binary;
pub mod text;
pub(crate) mod udp;
