//! The suites: the transcripts for each kind of server.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

use crate::tools::transcript::{Agrees, Protocol, Transcript};

/// The transcripts that one kind of server has to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// Lines that come back: the book's first chapters
    Echo,
    /// memcached's text protocol, as memcached 1.6 speaks it
    Memcached,
    /// Differences of memcached 1.6.45 from the versions before it
    #[value(name = "memcached-newest")]
    #[serde(rename = "memcached-newest")]
    MemcachedNewest,
    /// memcached's binary protocol, as memcached 1.6 speaks it
    Binary,
    /// memcached's meta commands, as memcached 1.6.45 speaks them
    Meta,
    /// memcached over UDP, as memcached 1.6 speaks it; ADDR is that of the UDP port
    Udp,
    /// Keys as paths on memcached's text protocol, as larder speaks it
    Nested,
    /// Redis's RESP, as redis-server 7.0 speaks it
    Resp,
}

impl Suite {
    /// The suite of a transcript. Transcripts of memcached's protocol that hold only for larder are
    /// the nested suite. Those of the binary protocol are a folder, and those over UDP have
    /// that in their header.
    pub fn of(transcript: &Transcript) -> Suite {
        if transcript.over_udp {
            return Suite::Udp;
        }
        if transcript.name.starts_with("binary/") {
            return Suite::Binary;
        }
        match (transcript.protocol, &transcript.agrees) {
            (Protocol::Echo, _) => Suite::Echo,
            (Protocol::Memcached, Agrees::LarderOnly(_)) => Suite::Nested,
            (Protocol::Memcached, _) if transcript.name.starts_with("meta/") => Suite::Meta,
            (Protocol::Memcached, Agrees::Memcached1645) => Suite::MemcachedNewest,
            (Protocol::Memcached, _) => Suite::Memcached,
            (Protocol::Resp, _) => Suite::Resp,
        }
    }

    /// The protocol of the suite.
    pub fn protocol(self) -> Protocol {
        match self {
            Suite::Echo => Protocol::Echo,
            Suite::Memcached
            | Suite::MemcachedNewest
            | Suite::Binary
            | Suite::Meta
            | Suite::Udp
            | Suite::Nested => Protocol::Memcached,
            Suite::Resp => Protocol::Resp,
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Echo => "echo",
            Suite::Memcached => "memcached",
            Suite::MemcachedNewest => "memcached-newest",
            Suite::Binary => "binary",
            Suite::Meta => "meta",
            Suite::Udp => "udp",
            Suite::Nested => "nested",
            Suite::Resp => "resp",
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
