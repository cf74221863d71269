//! A transcript in memory: a header, then exchanges and advances of the clock.

use std::fmt;
use std::time::Duration;

use super::values::{Bindings, HexPattern, Pattern, Template};

/// One file: its title, the servers it holds for, and the conversation.
#[derive(Debug, Clone)]
pub struct Transcript {
    /// The path below `tests/transcripts` without `.txt`, as in `memcached/add`.
    pub name: String,
    /// The file as it is named in errors.
    pub file: String,
    /// The protocol of the conversation.
    pub protocol: Protocol,
    /// The subject of the conversation, in one sentence.
    pub shows: String,
    /// The first stage of the book whose server passes it.
    pub stage: u32,
    /// The real server that answers the same.
    pub agrees: Agrees,
    /// Settings that the server must have been started with, as written: `nested=off`.
    pub options: Vec<(String, String)>,
    /// The reason why only the delivery as written makes sense, if there is one.
    pub only_as_written: Option<String>,
    /// It is sent in datagrams.
    pub over_udp: bool,
    /// The connections by name; the one without a name is `""`.
    pub connections: Vec<String>,
    /// The conversation.
    pub steps: Vec<Step>,
}

impl Transcript {
    /// The exchanges in order, without the advances of the clock between them.
    pub fn exchanges(&self) -> impl Iterator<Item = &TranscriptExchange> {
        self.steps.iter().filter_map(|step| match step {
            Step::Exchange(exchange) => Some(exchange),
            Step::Advance { .. } => None,
        })
    }

    /// The advances of the clock, in order.
    pub(crate) fn advances(&self) -> impl Iterator<Item = Duration> {
        self.steps.iter().filter_map(|step| match step {
            Step::Exchange(_) => None,
            Step::Advance { by, .. } => Some(*by),
        })
    }

    /// Every byte that it sends, in the order of the file. Captured variables are empty: they are
    /// not known yet.
    pub fn sent(&self) -> Vec<u8> {
        let mut sent = Vec::new();
        for exchange in self.exchanges() {
            exchange.sent_into(&mut sent);
        }
        sent
    }

    /// The bytes of the longest exchange: how many places
    /// [`TranscriptDelivery::CutAt`](super::TranscriptDelivery::CutAt) has.
    pub fn longest(&self) -> usize {
        let lengths = self.exchanges().map(|exchange| {
            let mut sent = Vec::new();
            exchange.sent_into(&mut sent);
            sent.len()
        });
        lengths.max().unwrap_or(0)
    }

    /// The value of an option, if the header sets it.
    pub fn option(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The protocol of a conversation, and so the service that answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// An echo server returns its input.
    Echo,
    /// memcached's text protocol.
    Memcached,
    /// Redis's RESP.
    Resp,
}

impl Protocol {
    /// Every protocol, in the order in which the book meets them.
    pub const ALL: [Protocol; 3] = [Protocol::Echo, Protocol::Memcached, Protocol::Resp];

    /// The name in a header and in `listening on PROTOCOL ADDR`.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Echo => "echo",
            Protocol::Memcached => "memcached",
            Protocol::Resp => "resp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The real server that passes the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agrees {
    /// memcached 1.6: Debian's 1.6.18 and newer ones.
    Memcached16,
    /// memcached 1.6.18, if newer versions have a fault.
    Memcached1618,
    /// memcached 1.6.45, if 1.6.18 differs.
    Memcached1645,
    /// redis-server 7.0.
    Redis70,
    /// No server but larder, and the reason.
    LarderOnly(String),
}

impl fmt::Display for Agrees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Agrees::Memcached16 => f.write_str("memcached 1.6"),
            Agrees::Memcached1618 => f.write_str("memcached 1.6.18"),
            Agrees::Memcached1645 => f.write_str("memcached 1.6.45"),
            Agrees::Redis70 => f.write_str("redis 7.0"),
            Agrees::LarderOnly(reason) => write!(f, "larder only: {reason}"),
        }
    }
}

/// The side whose answers are expected if a transcript declares a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// larder's: the lines `<L`.
    Larder,
    /// The real server's: the lines `<R`.
    Real,
}

/// One step of a conversation.
#[derive(Debug, Clone)]
pub enum Step {
    /// Bytes sent, then bytes expected.
    Exchange(TranscriptExchange),
    /// Time passes.
    Advance {
        /// The line of the file, from 1.
        line: usize,
        /// The amount of time.
        by: Duration,
    },
}

/// A block of the file: all its bytes are sent, then all replies are read.
#[derive(Debug, Clone, Default)]
pub struct TranscriptExchange {
    /// The bytes to send, in order.
    pub sends: Vec<Sending>,
    /// The answers to expect, in order.
    pub expects: Vec<Expectation>,
}

impl TranscriptExchange {
    fn sent_into(&self, sent: &mut Vec<u8>) {
        let known = Bindings::default();
        for sending in &self.sends {
            if let Sent::Bytes(bytes) = &sending.what {
                sent.extend_from_slice(&bytes.bytes(&known));
            }
        }
    }
}

/// One `>` line.
#[derive(Debug, Clone)]
pub struct Sending {
    /// The line of the file, from 1.
    pub line: usize,
    /// An index into [`Transcript::connections`].
    pub connection: usize,
    /// The client's action.
    pub what: Sent,
}

/// The action of a `>` line.
#[derive(Debug, Clone)]
pub enum Sent {
    /// Sends these bytes.
    Bytes(Template),
    /// Shuts the sending side down, as a client does after its last request.
    End,
}

/// One `<` line.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// The line of the file, from 1.
    pub line: usize,
    /// An index into [`Transcript::connections`].
    pub connection: usize,
    /// The side that must send it; `None` for both.
    pub from: Option<Side>,
    /// The answer to expect.
    pub what: Expected,
}

impl Expectation {
    /// Whether `side` must fulfil it.
    pub(crate) fn holds_for(&self, side: Side) -> bool {
        self.from.is_none_or(|from| from == side)
    }
}

/// The expectation of a `<` line.
#[derive(Debug, Clone)]
pub enum Expected {
    /// Exactly these bytes.
    Bytes(Template),
    /// Bytes in hexadecimal, some of which may be of any kind.
    Hex(HexPattern),
    /// One line that the pattern matches whole, and its CRLF.
    Line(Pattern),
    /// The server closes the connection, and nothing came before that.
    Close,
}
