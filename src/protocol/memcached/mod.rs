//! The memcached protocols: [`text`], the classic commands of memcached's `protocol.txt`, and [`binary`]; and [`udp`],
//! which carries either in datagrams.

pub mod binary;
mod command_name;
pub mod text;
pub(crate) mod udp;

pub(crate) use command_name::{COMMANDS, CommandName};
