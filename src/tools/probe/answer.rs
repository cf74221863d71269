//! Questions of the probe itself, each on a connection of its own, or in a datagram. If a server doesn't answer, the answer is empty:
//! the transcripts find its faults.

use std::time::Instant;

use super::server::Probe;
use crate::protocol::memcached::udp::HEADER_LENGTH;
use crate::tools::transcript::{Address, Protocol, Received, Target, readable};

/// Bytes of an answer that are read.
const LONGEST: usize = 64 * 1024;

impl Probe {
    /// Whether a server listens.
    pub(super) fn reachable(&self) -> Result<(), String> {
        let unreachable = |error| Err(format!("no server answers at {}: {error}", self.address()));
        match self.target().connect() {
            // A socket for datagrams is connected to nothing.
            Ok(_) if self.over_udp && first_line(self, b"version\r\n").is_empty() => {
                unreachable("no datagram came back".into())
            }
            Ok(_) => Ok(()),
            Err(error) => unreachable(error.to_string()),
        }
    }

    /// The server's protocol, by its answer to `PING`: Redis answers it, memcached refuses it, an
    /// echo server returns it.
    ///
    /// # Errors
    /// A sentence for the person at the terminal when no server listens, or when the answer
    /// is unknown.
    pub fn protocol(&self) -> Result<Protocol, String> {
        self.reachable()?;
        protocol_of(&first_line(self, b"PING\r\n"), self.address())
    }

    /// Whether a memcached server supports paths as keys: it answers the command that reads one.
    pub(super) fn knows_nested_keys(&self) -> bool {
        first_line(self, b"getn larder probe\r\n") == b"END\r\n"
    }
}

/// The protocol of the server at `address`, which answers `PING` with this line.
///
/// # Errors
/// A sentence for the person at the terminal.
pub(in crate::tools) fn protocol_of(answer: &[u8], address: &Address) -> Result<Protocol, String> {
    match answer {
        b"PING\r\n" => Ok(Protocol::Echo),
        b"ERROR\r\n" => Ok(Protocol::Memcached),
        [b'+' | b'-', ..] => Ok(Protocol::Resp),
        _ => Err(format!(
            "the protocol of {address} is not known: it answers PING with {:?}; give --suite echo, memcached, nested or resp",
            readable(answer)
        )),
    }
}

/// The first line of the answer to `request`, CRLF included; less if the server closes or is silent.
pub(super) fn first_line(probe: &Probe, request: &[u8]) -> Vec<u8> {
    let mut answer = until(probe, request, |answer| answer.contains(&b'\n'));
    if let Some(end) = answer.iter().position(|&byte| byte == b'\n') {
        answer.truncate(end + 1);
    }
    answer
}

/// The lines of the answer to `request`, up to one that is the `last`. Lines that are an error are the last one as well.
pub(super) fn lines(probe: &Probe, request: &[u8], last: impl Fn(&str) -> bool) -> Vec<String> {
    let read = |answer: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(answer);
        let lines = text.split_inclusive("\r\n");
        let whole = lines.filter_map(|line| line.strip_suffix("\r\n"));
        whole.map(str::to_owned).collect()
    };
    let is_error = |line: &str| {
        ["ERROR", "CLIENT_ERROR", "SERVER_ERROR"]
            .iter()
            .any(|error| line.starts_with(error))
    };
    let answer = until(probe, request, |answer| {
        answer.ends_with(b"\n") && read(answer).iter().any(|line| last(line) || is_error(line))
    });
    read(&answer)
}

fn until(probe: &Probe, request: &[u8], whole: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let deadline = Instant::now() + probe.patience();
    let mut answer = Vec::new();
    let target = probe.target();
    let Ok(mut connection) = target.connect() else {
        return answer;
    };
    let header = &[0, 1, 0, 0, 0, 1, 0, 0][..if probe.over_udp { HEADER_LENGTH } else { 0 }];
    if connection.write(&[header, request].concat()).is_err() {
        return answer;
    }
    while !whole(&answer) && answer.len() <= LONGEST {
        match connection.read(deadline.saturating_duration_since(Instant::now())) {
            Ok(Received::Bytes(bytes)) => {
                answer.extend_from_slice(bytes.get(header.len()..).unwrap_or_default());
            }
            _ => break,
        }
    }
    answer
}
