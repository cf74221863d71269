//! Requests in RESP: the reader of the protocol finds the words, the table tells what they mean for the proxy.
//!
//! A line typed by hand is sent on as an array, so that upstreams see one form. What is read and what is refused, and
//! with which words, is the reader's matter and Redis's.

use crate::protocol::framing::reply::{Framer, Shape};
use crate::protocol::resp::{CommandArgs, Limits, ReadOutcome, Reader, Reply, write_request};

use crate::protocol::framing::request::keys::{self, Found};
use crate::protocol::framing::request::table::{self, Entry, Place, Way};
use crate::protocol::framing::request::{
    Cut, Detach, Join, Keys, Large, Local, Meta, Request, Rest, Route, Scratch, Source,
};

const LIMITS: Limits = Limits {
    // What is over the request's limit is not dropped but streamed, so no bulk string is too long.
    bulk: usize::MAX,
    request: crate::protocol::framing::request::REQUEST_LIMIT,
    unauthenticated: false,
};

/// How a command travels that Redis 7.0 does not have: by its first argument, as most commands of modules do.
const UNKNOWN: Entry = Entry {
    name: "",
    way: Way::Forward,
    place: Place::Channel,
    safe: false,
};

pub(super) fn cut<'a>(reader: &mut Reader, input: &'a [u8], scratch: &'a mut Scratch) -> Cut<'a> {
    let Scratch { words, rebuilt, .. } = scratch;
    match reader.read(input, &LIMITS, words) {
        ReadOutcome::Command(consumed) => {
            let args = words.args(input);
            if args.is_empty() {
                return Cut::Nothing(consumed);
            }
            if speaks_http(&args[0]) {
                return Cut::Bad {
                    reply: b"".into(),
                    consumed,
                    close: true,
                };
            }
            let bytes = if input[0] == b'*' {
                &input[..consumed]
            } else {
                rebuilt.clear();
                write_request(rebuilt, args.iter());
                &rebuilt[..]
            };
            Cut::Request(request(args, bytes), consumed)
        }
        ReadOutcome::Incomplete(_) => Cut::Incomplete,
        ReadOutcome::Overflow => Cut::Large(large(words.args(input), input)),
        // No bulk string is over the limit, so this has no way to come about; closing harms nobody else.
        ReadOutcome::TooLarge(_) => bad(b"invalid bulk length"),
        ReadOutcome::Bad(error) => bad(&error.text()),
    }
}

/// Whether the client is a browser: a web page may send a request here without its reader knowing, and what follows it
/// must not be run. Redis closes such a connection without a word; over a shared one that would hit other clients.
fn speaks_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

fn bad(text: &[u8]) -> Cut<'static> {
    let mut reply = Vec::new();
    let message = [b"ERR Protocol error: ", text].concat();
    Reply::new(&mut reply, false, usize::MAX).error(message);
    Cut::Bad {
        reply: reply.into(),
        consumed: 0,
        close: true,
    }
}

fn request<'a>(args: CommandArgs<'a>, bytes: &'a [u8]) -> Request<'a> {
    let entry = table::find(&args[0]).unwrap_or(&UNKNOWN);
    Request {
        bytes,
        route: route(entry, args),
        shape: Shape::Resp,
        repeat_safe: entry.safe,
        meta: Meta::No,
        source: Source::Resp(args),
    }
}

fn route<'a>(entry: &Entry, args: CommandArgs<'a>) -> Route<'a> {
    let found = || keys::find(entry.place, args, args.len());
    let keys = || found().map_or(Keys::default(), |found| Keys::of_args(args, found));
    let second = |words: &[&str]| {
        let is = |word: &&str| args[1].eq_ignore_ascii_case(word.as_bytes());
        args.len() > 1 && words.iter().any(is)
    };
    match entry.way {
        Way::Forward => by_keys(args, found()),
        Way::MayBlock if blocks(args) => Route::Detach(Detach::Blocking, keys()),
        Way::MayBlock => by_keys(args, found()),
        Way::Split(join) => match found() {
            None => Route::Any,
            Some(found) if found.single().is_some() => by_keys(args, Some(found)),
            Some(found) => Route::Split(join, Keys::of_args(args, found)),
        },
        Way::Any => Route::Any,
        Way::Only => Route::Only,
        Way::Every(join) => Route::Every(join),
        Way::Code if second(&["load", "flush", "delete", "restore"]) => Route::Every(Join::Same),
        // SCRIPT DEBUG changes what EVAL does on the connection.
        Way::Code if second(&["debug"]) => Route::Refused,
        Way::Code => Route::Any,
        Way::State(crate::protocol::framing::request::StateCommand::Client)
            if second(&["tracking"]) =>
        {
            Route::Detach(Detach::Tracking, Keys::default())
        }
        Way::State(command) => Route::Local(Local::Resp(command, args)),
        Way::Detach(why) => Route::Detach(why, keys()),
        Way::Refused => Route::Refused,
    }
}

fn by_keys(args: CommandArgs<'_>, found: Option<Found>) -> Route<'_> {
    match found.map(|found| (found.single(), found)) {
        None => Route::Any,
        Some((Some(only), _)) => Route::Key(args.get(only)),
        Some((None, found)) => Route::Together(Keys::of_args(args, found)),
    }
}

/// Whether a `BLOCK` stands among the options, which end at `STREAMS`.
fn blocks(args: CommandArgs<'_>) -> bool {
    let end = keys::word(args, 1, b"streams").unwrap_or(args.len());
    keys::word(args, 1, b"block").is_some_and(|at| at < end)
}

/// What can be told of a request of which only the first words have arrived.
fn large<'a>(args: CommandArgs<'a>, input: &[u8]) -> Large<'a> {
    let entry = match args.len() {
        0 => &UNKNOWN,
        _ => table::find(&args[0]).unwrap_or(&UNKNOWN),
    };
    let route = match entry.way {
        Way::Forward | Way::Split(_) => keys::find(entry.place, args, count(input))
            .and_then(Found::single)
            .filter(|only| *only < args.len())
            .map_or(Route::Only, |only| Route::Key(args.get(only))),
        Way::Any | Way::Only => Route::Only,
        _ => Route::Refused,
    };
    Large {
        route,
        shape: Shape::Resp,
        meta: Meta::No,
        rest: Rest::Resp(Framer::new(Shape::Resp)),
    }
}

/// The number of words of a request that the reader has begun to read.
fn count(input: &[u8]) -> usize {
    let digits = input
        .iter()
        .skip(1)
        .take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |count, digit| count * 10 + usize::from(digit - b'0'))
}
