//! `larder tap`: stands between clients and a server, forwards all bytes unchanged, and explains every frame.
//!
//! ```text
//!   client ◀──▶ forward (sockets, two threads a connection) ◀──▶ upstream
//!                  │ Event: connection, direction, time, bytes
//!                  ▼
//!               Conversation ──▶ PassedFrame: a frame in fields, its request, how long it took
//!                  │                     memcached.rs, binary.rs, resp.rs: bytes to fields
//!                  ├──▶ filters ──▶ print: text, colours, JSON
//!                  └──▶ record: a transcript
//! ```
//!
//! Invariant: the fields of all frames are all bytes that passed, in order. Bytes that are not the protocol are shown as
//! they came. Cost: a copy of all traffic, and an incomplete frame is read again with each piece. So a tap is for
//! debugging, not for production traffic at full rate. After `CLIENT REPLY OFF`, and for replies to several channels of
//! one SUBSCRIBE, replies don't find their requests. memcached's binary protocol is known by its first byte.

mod binary;
mod conversation;
mod forward;
mod frame;
mod memcached;
mod print;
mod record;
mod resp;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args as Arguments;
use crossbeam_channel::{Receiver, bounded};
use regex::bytes::Regex;

use super::bench::Dialect;
use super::output::written;
use super::probe::Probe;
use super::transcript::{Address, Protocol};
use conversation::{Conversation, Direction, PassedFrame};
use forward::{Change, Event, TapListener};
use frame::Frame;
use print::{Style, print};
use record::Recording;

/// Events that wait to be printed, at most.
const QUEUE: usize = 1024;

/// The exit code when the tap could not be set up.
const NOT_MADE: u8 = 2;

/// The options of `larder tap`.
#[derive(Debug, Clone, Arguments)]
pub struct Args {
    /// Address that clients connect to: host:port, or the path of a Unix socket; port 0 is a free
    /// port
    #[arg(long, value_name = "ADDR")]
    pub listen: String,

    /// The server that gets their requests
    #[arg(long, value_name = "ADDR")]
    pub upstream: String,

    /// The protocol [default: the protocol that the server speaks]
    #[arg(long, value_enum)]
    pub protocol: Option<Dialect>,

    /// Only requests with this command, and their replies; can be repeated
    #[arg(long, value_name = "NAME")]
    pub command: Vec<String>,

    /// Only requests with a key or another argument that this expression finds, and their replies
    #[arg(long, value_name = "REGEX")]
    pub key: Option<String>,

    /// Write all traffic as a transcript, which `cargo test --test transcripts` replays from tests/transcripts
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Print one JSON object for each frame
    #[arg(long)]
    pub json: bool,
}

/// Runs the command until a signal ends it.
pub fn run(args: &Args) -> ExitCode {
    match tap(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("larder tap: {problem}");
            ExitCode::from(NOT_MADE)
        }
    }
}

fn tap(args: &Args) -> Result<(), String> {
    let upstream = Address::parse(&args.upstream);
    let protocol = match args.protocol {
        Some(Dialect::Memcached | Dialect::Meta | Dialect::Binary) => Protocol::Memcached,
        Some(Dialect::Resp) => Protocol::Resp,
        Some(Dialect::Echo) => Protocol::Echo,
        None => Probe::new(upstream.clone(), Duration::from_secs(10), Duration::ZERO).protocol()?,
    };
    let filter = Filter::new(args)?;
    let recording = args.record.as_ref().map(|path| {
        let file = File::create(path);
        let recording =
            file.and_then(|file| Recording::begin(file, protocol, &upstream.to_string()));
        recording.map_err(|error| format!("--record {}: {error}", path.display()))
    });
    let listen = Address::parse(&args.listen);
    let listener =
        TapListener::bind(&listen).map_err(|error| format!("--listen {listen}: {error}"))?;
    let stdout = io::stdout();
    let style = match args.json {
        true => Style::Json,
        false if stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none() => Style::Coloured,
        false => Style::Plain,
    };
    let address = listener.address(&listen);
    let announced = match style {
        Style::Json => writeln!(
            &stdout,
            "{}",
            serde_json::json!({"listening": protocol.name(), "address": address})
        ),
        _ => writeln!(&stdout, "listening on {protocol} {address}"),
    };
    written(announced)?;
    let (sender, events) = bounded(QUEUE);
    let began = Instant::now();
    std::thread::spawn(move || forward::forward(&listener, &upstream, began, &sender));
    let mut tap = Tap {
        protocol,
        filter,
        recording: recording.transpose()?,
        style,
        conversations: HashMap::new(),
    };
    tap.follow(&events, &mut stdout.lock())
}

/// The filters of the printed frames.
struct Filter {
    commands: Vec<String>,
    key: Option<Regex>,
}

impl Filter {
    fn new(args: &Args) -> Result<Filter, String> {
        let key = args.key.as_deref().map(Regex::new).transpose();
        Ok(Filter {
            commands: args
                .command
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            key: key.map_err(|error| format!("--key: {error}"))?,
        })
    }

    /// A reply is printed if its request is. One that answers no request is printed only without
    /// filters.
    fn shows(&self, passed: &PassedFrame) -> bool {
        let request = match (&passed.to, passed.direction) {
            (Some((request, _)), _) => Some(request),
            (None, Direction::Request) => Some(&passed.frame),
            (None, Direction::Reply) => None,
        };
        match request {
            Some(request) => self.meets(request),
            None => self.commands.is_empty() && self.key.is_none(),
        }
    }

    fn meets(&self, request: &Frame) -> bool {
        let named = self.commands.is_empty() || self.commands.contains(&request.name);
        let found = |key: &Regex| request.words().any(|word| key.is_match(word));
        named && self.key.as_ref().is_none_or(found)
    }
}

/// The thread that explains the traffic.
struct Tap {
    protocol: Protocol,
    filter: Filter,
    recording: Option<Recording<File>>,
    style: Style,
    /// The open connections, with the side that has ended first.
    conversations: HashMap<u64, (Conversation, Option<Direction>)>,
}

impl Tap {
    fn follow(&mut self, events: &Receiver<Event>, out: &mut dyn Write) -> Result<(), String> {
        for event in events {
            let Event {
                connection,
                direction,
                at,
                change,
            } = event;
            match change {
                Change::Unreachable(error) => {
                    eprintln!("larder tap: #{connection}: the upstream can't be reached: {error}");
                }
                Change::End => self.end(connection, direction)?,
                Change::Bytes(bytes) => {
                    let protocol = self.protocol;
                    let conversation = self.conversations.entry(connection);
                    let (conversation, _) =
                        conversation.or_insert_with(|| (Conversation::new(protocol), None));
                    for passed in conversation.pass(direction, &bytes, at) {
                        if let Some(recording) = &mut self.recording {
                            let recorded =
                                recording.frame(connection, direction, &passed.frame.bytes());
                            recorded.map_err(|error| format!("--record: {error}"))?;
                        }
                        if self.filter.shows(&passed) {
                            written(
                                print(out, self.style, connection, &passed)
                                    .and_then(|()| out.flush()),
                            )?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// One side has ended. A server that ends first is part of the conversation.
    fn end(&mut self, connection: u64, direction: Direction) -> Result<(), String> {
        let Some((_, ended)) = self.conversations.get_mut(&connection) else {
            return Ok(());
        };
        if ended.replace(direction).is_some() {
            self.conversations.remove(&connection);
            return Ok(());
        }
        if let Some(recording) = &mut self.recording
            && direction == Direction::Reply
        {
            let recorded = recording.end(connection, direction);
            recorded.map_err(|error| format!("--record: {error}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(commands: &[&str], key: Option<&str>) -> Vec<String> {
        let filter = Filter {
            commands: commands.iter().map(|name| (*name).to_owned()).collect(),
            key: key.map(|key| Regex::new(key).expect("an expression")),
        };
        let mut conversation = Conversation::new(Protocol::Memcached);
        let mut passed = conversation.pass(
            Direction::Request,
            b"get user:1\r\nget b\r\nset user:2 0 0 1\r\nx\r\n",
            1,
        );
        passed.extend(conversation.pass(Direction::Reply, b"END\r\nEND\r\nSTORED\r\nERROR\r\n", 2));
        let shown = passed.iter().filter(|passed| filter.shows(passed));
        shown.map(|passed| passed.frame.name.clone()).collect()
    }

    #[test]
    fn a_filter_shows_requests_and_the_replies_to_them() {
        assert_eq!(
            shown(&[], None),
            ["get", "get", "set", "END", "END", "STORED", "ERROR"]
        );
        assert_eq!(shown(&["set"], None), ["set", "STORED"]);
        assert_eq!(shown(&[], Some("^user:")), ["get", "set", "END", "STORED"]);
        assert_eq!(shown(&["get"], Some("^user:")), ["get", "END"]);
    }
}
