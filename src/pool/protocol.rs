//! The protocol of a pool's servers.

use std::fmt;
use std::str::FromStr;

/// The protocol of a pool's servers. Clients of a proxy have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// memcached's protocols: text with the meta commands, and binary. The first byte of a connection decides. A proxy forwards
    /// both, and [`client`](crate::client) speaks text.
    Memcached,
    /// Redis's protocol, version 2.
    Resp,
}

impl Protocol {
    /// Its name in `listening on PROTOCOL ADDR` and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Memcached => "memcached",
            Protocol::Resp => "resp",
        }
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Protocol, String> {
        match text {
            "memcached" => Ok(Protocol::Memcached),
            "resp" => Ok(Protocol::Resp),
            _ => Err(format!("`{text}` is neither memcached nor resp")),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
