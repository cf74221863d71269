//! The requests of clients, for pages of metrics: the number of each command, the number of errors that were answered, and the
//! latencies of a sample.
//!
//! ```text
//!   take_requests ─▶ RequestRun: the last command and its requests in a row ── another one, or the end of the turn ──▶ ClientCounts
//!   answer, fail  ─▶ an error of the proxy's own        end of a reply ─▶ an error of a server
//!   one request of TIMED of each client: its slot, until that is answered ─▶ the latency
//! ```
//!
//! Cost: a request compares one number, or its name with the one before, and adds one. A run of requests for the same
//! command is one atomic addition. It reads no clock, because the forwarder knows the time of its round.
//!
//! Names come from the tables of commands and never from a client, so their number is bounded.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::pool::Latency;
use crate::protocol::framing::request::{self, Request, RequestWords};
use crate::protocol::memcached::binary::{self, REQUEST_MAGIC};
use crate::protocol::memcached::{COMMANDS, CommandName};

/// Requests of a client of which one is timed.
pub(super) const TIMED: u8 = 16;

/// The name for all commands that are in no table.
const OTHER: &str = "other";

/// The sender of an error.
#[derive(Debug, Clone, Copy)]
pub(super) enum ErrorSource {
    /// The proxy: a malformed or refused request, or a server that is down.
    Proxy,
    Server,
}

/// The counts of all workers.
#[derive(Debug)]
pub(crate) struct ClientCounts {
    /// The requests by the number of their command: those of memcached's protocols, those of RESP, other ones.
    requests: Box<[AtomicU64]>,
    /// The errors, by the number of their source.
    errors: [AtomicU64; 2],
    /// The latencies of a sample of the requests, from the arrival to the whole answer.
    pub(crate) latency: Latency,
}

/// The number of the command of a request that is in no table.
fn other() -> usize {
    COMMANDS.len() + request::command_names().len()
}

impl Default for ClientCounts {
    fn default() -> ClientCounts {
        ClientCounts {
            requests: (0..=other()).map(|_| AtomicU64::new(0)).collect(),
            errors: Default::default(),
            latency: Latency::default(),
        }
    }
}

impl ClientCounts {
    /// Counts an error that was answered.
    pub(super) fn error(&self, source: ErrorSource) {
        self.errors[source as usize].fetch_add(1, Relaxed);
    }

    /// The errors of the proxy, and those of servers.
    pub(crate) fn errors(&self) -> [u64; 2] {
        [ErrorSource::Proxy, ErrorSource::Server]
            .map(|source| self.errors[source as usize].load(Relaxed))
    }

    /// Each command that was requested: its protocol, its name, and the requests. Commands of no table are one with
    /// the name `other`.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let resp = request::command_names().map(|name| ("resp", name));
        let names = COMMANDS.into_iter().chain(resp).chain([("resp", OTHER)]);
        let counts = self.requests.iter().map(|count| count.load(Relaxed));
        let all = names.zip(counts);
        all.map(|((protocol, name), count)| (protocol, name, count))
            .filter(|(_, _, count)| *count > 0)
    }
}

/// Requests in a row for the same command.
#[derive(Debug, Default)]
pub(super) struct RequestRun {
    command: usize,
    /// The name of a command of RESP, as it was sent.
    name: Vec<u8>,
    requests: u64,
}

impl RequestRun {
    /// Counts a request.
    pub(super) fn add(&mut self, request: &Request<'_>, counts: &ClientCounts) {
        let command = match request.source {
            RequestWords::Memcached(command) => CommandName::of_text(&command) as usize,
            RequestWords::Meta(_) => of_memcached_line(request.bytes),
            RequestWords::Binary(request) => CommandName::of_binary(&request.command) as usize,
            RequestWords::Resp(args) => {
                if self.requests > 0 && self.name == args[0] {
                    self.requests += 1;
                    return;
                }
                self.name.clear();
                self.name.extend_from_slice(&args[0]);
                of_resp(&args[0])
            }
        };
        self.count(command, counts);
    }

    /// Counts a request of which only the start has arrived.
    pub(super) fn add_large(&mut self, input: &[u8], counts: &ClientCounts) {
        self.name.clear();
        let command = match input.first() {
            Some(b'*') => of_resp(first_word_of_resp(input)),
            Some(&REQUEST_MAGIC) => of_opcode(input.get(1).copied().unwrap_or_default()),
            _ => of_memcached_line(input),
        };
        self.count(command, counts);
    }

    fn count(&mut self, command: usize, counts: &ClientCounts) {
        if command != self.command {
            self.end(counts);
            self.command = command;
        }
        self.requests += 1;
    }

    /// Adds the run to the counts of all workers.
    pub(super) fn end(&mut self, counts: &ClientCounts) {
        if self.requests > 0 {
            counts.requests[self.command].fetch_add(self.requests, Relaxed);
            self.requests = 0;
        }
    }
}

fn of_resp(name: &[u8]) -> usize {
    request::command_number(name).map_or_else(other, |number| COMMANDS.len() + number)
}

fn first_word_of_resp(input: &[u8]) -> &[u8] {
    let mut lines = input.split(|byte| *byte == b'\n');
    let word = lines.nth(2).unwrap_or_default();
    word.strip_suffix(b"\r").unwrap_or(word)
}

fn of_memcached_line(input: &[u8]) -> usize {
    let end = input.iter().position(|byte| byte.is_ascii_whitespace());
    let word = &input[..end.unwrap_or(input.len())];
    let is_it = |(protocol, name): &(&str, &str)| *protocol != "binary" && name.as_bytes() == word;
    COMMANDS.iter().position(is_it).unwrap_or_else(other)
}

/// The command of a large request of the binary protocol, which is quiet or not.
fn of_opcode(opcode: u8) -> usize {
    let name = binary::opcode_name(opcode).unwrap_or(OTHER);
    let is_it = |(protocol, loud): &(&str, &str)| {
        *protocol == "binary" && (name == *loud || name.strip_suffix('q') == Some(loud))
    };
    COMMANDS.iter().position(is_it).unwrap_or_else(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::framing::request::{RequestBuffers, RequestFrame, RequestFramer};

    /// The commands that are counted for requests one behind the other.
    fn counted(mut framer: RequestFramer, input: &[u8]) -> Vec<(&'static str, &'static str, u64)> {
        let (counts, mut run) = (ClientCounts::default(), RequestRun::default());
        let (mut buffers, mut at) = (RequestBuffers::default(), 0);
        while at < input.len() {
            match framer.frame(&input[at..], &mut buffers) {
                RequestFrame::Request(request, used) => {
                    run.add(&request, &counts);
                    at += used;
                }
                RequestFrame::Large(_) => {
                    run.add_large(&input[at..], &counts);
                    break;
                }
                _ => panic!("no request at {at}"),
            }
        }
        run.end(&counts);
        counts.commands().collect()
    }

    #[test]
    fn requests_are_counted_by_protocol_and_command() {
        let lines =
            b"get a\r\nget b c\r\ngats 0 a\r\nset a 0 0 1\r\nx\r\nmg a v\r\nmn\r\nget a\r\n";
        assert_eq!(
            counted(RequestFramer::memcached(), lines),
            [
                ("text", "get", 3),
                ("text", "gats", 1),
                ("text", "set", 1),
                ("meta", "mg", 1),
                ("meta", "mn", 1)
            ]
        );
        let words = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nget\r\n$1\r\na\r\n*1\r\n$4\r\nnone\r\n*1\r\n$4\r\nwhat\r\nGET a\r\n";
        assert_eq!(
            counted(RequestFramer::resp(), words),
            [("resp", "get", 3), ("resp", "other", 2)]
        );
    }

    #[test]
    fn a_request_that_is_streamed_is_counted_by_its_start() {
        let line = b"set k 0 0 2000000\r\nxx";
        let memcached = counted(RequestFramer::memcached(), line);
        assert_eq!(memcached, [("text", "set", 1)]);
        let counts = ClientCounts::default();
        let mut run = RequestRun::default();
        run.add_large(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2000000\r\n", &counts);
        run.add_large(b"\x80\x11\x00\x01", &counts);
        run.add_large(b"\x80\xff", &counts);
        run.end(&counts);
        let expected = [
            ("binary", "set", 1),
            ("resp", "set", 1),
            ("resp", "other", 1),
        ];
        assert_eq!(counts.commands().collect::<Vec<_>>(), expected);
    }
}
