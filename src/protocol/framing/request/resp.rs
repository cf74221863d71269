//! Requests in RESP: the reader of the protocol finds the words, the table has their meaning for the proxy.
//!
//! An inline command is forwarded as an array, so that upstreams see one form. The reader decides, as Redis
//! does, which input is accepted, and with which error other input is refused.

use crate::protocol::framing::reply::{ReplyFramer, ReplyShape};
use crate::protocol::resp::{CommandArgs, Limits, ReadOutcome, Reader, Reply, write_request};

use crate::protocol::framing::request::command_route::CommandRoute;
use crate::protocol::framing::request::frame::{
    DedicatedReason, LargeRequest, LocalCommand, MetaForm, REQUEST_LIMIT, Remainder, Request,
    RequestBuffers, RequestFrame, RequestWords, Route, WHOLE_LIMIT,
};
use crate::protocol::framing::request::keys::{self, KeyPositions, KeySpec, RequestKeys};
use crate::protocol::framing::request::table::{self, CommandEntry};

const LIMITS: Limits = Limits {
    // A request over the limit is streamed, so no bulk string is too long.
    bulk: usize::MAX,
    request: REQUEST_LIMIT,
    unauthenticated: false,
};

/// The route of a command that Redis 7.0 does not have: by its first argument, as for most commands of
/// modules.
const UNKNOWN: CommandEntry = CommandEntry {
    name: "",
    route: CommandRoute::Forward,
    place: KeySpec::Channel,
    safe: false,
};

pub(super) fn frame<'a>(
    reader: &mut Reader,
    whole: &mut bool,
    unauthenticated: bool,
    input: &'a [u8],
    scratch: &'a mut RequestBuffers,
) -> RequestFrame<'a> {
    let limits = Limits {
        request: if *whole { WHOLE_LIMIT } else { REQUEST_LIMIT },
        unauthenticated,
        ..LIMITS
    };
    let RequestBuffers { words, rebuilt, .. } = scratch;
    match reader.read(input, &limits, words) {
        ReadOutcome::Command(consumed) => {
            *whole = false;
            let args = words.args(input);
            if args.is_empty() {
                return RequestFrame::Nothing(consumed);
            }
            if speaks_http(&args[0]) {
                return RequestFrame::Bad {
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
            RequestFrame::Request(request(args, bytes), consumed)
        }
        ReadOutcome::Incomplete(_) => RequestFrame::Incomplete,
        ReadOutcome::Overflow => RequestFrame::Large(large(words.args(input), input)),
        // Unreachable, because bulk strings have no limit here; closing affects only this client.
        ReadOutcome::TooLarge(_) => bad(b"invalid bulk length"),
        ReadOutcome::Bad(error) => bad(&error.text()),
    }
}

/// Whether the client is a browser: a web page may make its reader's browser send a request here, and no command
/// behind it may run. Redis closes such a connection without an answer; a shared one would close for other clients,
/// too.
fn speaks_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

fn bad(text: &[u8]) -> RequestFrame<'static> {
    let mut reply = Vec::new();
    let message = [b"ERR Protocol error: ", text].concat();
    Reply::new(&mut reply, false, usize::MAX).error(message);
    RequestFrame::Bad {
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
        shape: ReplyShape::Resp,
        repeat_safe: entry.safe,
        meta: MetaForm::No,
        source: RequestWords::Resp(args),
    }
}

fn route<'a>(entry: &CommandEntry, args: CommandArgs<'a>) -> Route<'a> {
    let found = || keys::find(entry.place, args, args.len());
    let keys = || {
        found().map_or(RequestKeys::default(), |found| {
            RequestKeys::of_args(args, found)
        })
    };
    let route = match entry.route {
        CommandRoute::Subcommand(list) => subcommand(list, args),
        route => route,
    };
    match route {
        CommandRoute::Forward => by_keys(args, found()),
        CommandRoute::MayBlock if blocks(args) => {
            Route::Dedicated(DedicatedReason::Blocking, keys())
        }
        CommandRoute::MayBlock => by_keys(args, found()),
        CommandRoute::Split(join) => match found() {
            None => Route::Any,
            Some(found) if found.single().is_some() => by_keys(args, Some(found)),
            Some(found) => Route::Split(join, RequestKeys::of_args(args, found)),
        },
        CommandRoute::Any | CommandRoute::Subcommand(_) => Route::Any,
        CommandRoute::Only => Route::Only,
        CommandRoute::Every(join) => Route::Every(join),
        CommandRoute::Scan => Route::Scan,
        CommandRoute::State(command) => Route::Local(LocalCommand::Resp(command, args)),
        CommandRoute::Dedicated(why) => Route::Dedicated(why, keys()),
        CommandRoute::Refused => Route::Refused,
    }
}

/// The route of a command by the words behind its name.
fn subcommand(list: &[(&str, CommandRoute)], args: CommandArgs<'_>) -> CommandRoute {
    let begins_with = |name: &str| {
        let mut words = name.split_ascii_whitespace().zip(1..);
        words
            .all(|(word, at)| at < args.len() && args.get(at).eq_ignore_ascii_case(word.as_bytes()))
    };
    let found = list.iter().find(|(name, _)| begins_with(name));
    found.map_or(CommandRoute::Any, |(_, route)| *route)
}

fn by_keys(args: CommandArgs<'_>, found: Option<KeyPositions>) -> Route<'_> {
    match found.map(|found| (found.single(), found)) {
        None => Route::Any,
        Some((Some(only), _)) => Route::Key(args.get(only)),
        Some((None, found)) => Route::Together(RequestKeys::of_args(args, found)),
    }
}

/// Whether the options, which end at `STREAMS`, have a `BLOCK`.
fn blocks(args: CommandArgs<'_>) -> bool {
    let end = keys::word(args, 1, b"streams").unwrap_or(args.len());
    keys::word(args, 1, b"block").is_some_and(|at| at < end)
}

/// The route of a request of which only the first words have arrived.
fn large<'a>(args: CommandArgs<'a>, input: &[u8]) -> LargeRequest<'a> {
    let entry = match args.len() {
        0 => &UNKNOWN,
        _ => table::find(&args[0]).unwrap_or(&UNKNOWN),
    };
    let route = match entry.route {
        CommandRoute::Forward | CommandRoute::Split(_) => {
            keys::find(entry.place, args, count(input))
                .and_then(KeyPositions::single)
                .filter(|only| *only < args.len())
                .map_or(Route::Only, |only| Route::Key(args.get(only)))
        }
        CommandRoute::State(_)
        | CommandRoute::Dedicated(_)
        | CommandRoute::MayBlock
        | CommandRoute::Refused => Route::Refused,
        _ => Route::Only,
    };
    LargeRequest {
        route,
        shape: ReplyShape::Resp,
        meta: MetaForm::No,
        head: &[],
        rest: Remainder::Resp(ReplyFramer::new(ReplyShape::Resp)),
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
