//! Options whose value is one of several words.

use std::fmt;
use std::str::FromStr;

use crate::server::{Model, TlsVersion};
use crate::service::memcached::SpokenProtocol;
use crate::service::slow_log::SLOWER_THAN;
use crate::store::WhenFull;

/// A way of running connections, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ModelName(pub(crate) Model);

impl FromStr for ModelName {
    type Err = String;

    fn from_str(text: &str) -> Result<ModelName, String> {
        match text {
            "turns" => Ok(ModelName(Model::Turns)),
            "threads" => Ok(ModelName(Model::Threads)),
            _ => Err(format!("`{text}` is neither turns nor threads")),
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Model::Turns => "turns",
            Model::Threads => "threads",
        })
    }
}

/// The name of what a store does when it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WhenFullName(pub(crate) WhenFull);

impl FromStr for WhenFullName {
    type Err = String;

    fn from_str(text: &str) -> Result<WhenFullName, String> {
        match text {
            "evict" => Ok(WhenFullName(WhenFull::Evict)),
            "refuse" => Ok(WhenFullName(WhenFull::Refuse)),
            _ => Err(format!("`{text}` is neither evict nor refuse")),
        }
    }
}

impl fmt::Display for WhenFullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            WhenFull::Evict => "evict",
            WhenFull::Refuse => "refuse",
        })
    }
}

/// memcached's protocols that clients may speak, by name. memcached's -B calls text `ascii`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpokenProtocolName(pub(crate) SpokenProtocol);

impl FromStr for SpokenProtocolName {
    type Err = String;

    fn from_str(text: &str) -> Result<SpokenProtocolName, String> {
        Ok(SpokenProtocolName(match text {
            "auto" => SpokenProtocol::Auto,
            "text" | "ascii" => SpokenProtocol::Text,
            "binary" => SpokenProtocol::Binary,
            _ => return Err(format!("`{text}` is none of auto, text and binary")),
        }))
    }
}

impl fmt::Display for SpokenProtocolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            SpokenProtocol::Auto => "auto",
            SpokenProtocol::Text => "text",
            SpokenProtocol::Binary => "binary",
        })
    }
}

/// A version of TLS by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TlsVersionName(pub(crate) TlsVersion);

impl FromStr for TlsVersionName {
    type Err = String;

    fn from_str(text: &str) -> Result<TlsVersionName, String> {
        match text {
            "1.2" => Ok(TlsVersionName(TlsVersion::Tls12)),
            "1.3" => Ok(TlsVersionName(TlsVersion::Tls13)),
            _ => Err(format!("`{text}` is neither 1.2 nor 1.3")),
        }
    }
}

impl fmt::Display for TlsVersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            TlsVersion::Tls12 => "1.2",
            TlsVersion::Tls13 => "1.3",
        })
    }
}

/// Microseconds from which on a request is slow; `None` if none is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlowerThan(pub(crate) Option<u64>);

impl SlowerThan {
    /// As Redis writes it: -1 for none.
    pub(crate) fn microseconds(self) -> i64 {
        let most = |number| i64::try_from(number).unwrap_or(i64::MAX);
        self.0.map_or(-1, most)
    }
}

impl Default for SlowerThan {
    fn default() -> SlowerThan {
        SlowerThan(u64::try_from(SLOWER_THAN).ok())
    }
}

impl FromStr for SlowerThan {
    type Err = String;

    fn from_str(text: &str) -> Result<SlowerThan, String> {
        match text {
            // Redis's own.
            "off" | "-1" => Ok(SlowerThan(None)),
            _ => text.parse().map(|number| SlowerThan(Some(number))).map_err(|_| {
                format!("`{text}` is not a number of microseconds; write 10000, 0 for every request, or off")
            }),
        }
    }
}

impl fmt::Display for SlowerThan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(number) => number.fmt(f),
        }
    }
}
