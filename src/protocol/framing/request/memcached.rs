//! Requests in memcached's text protocol: the grammar of the protocol reads a line, and a data block is counted off,
//! never looked into.
//!
//! A line that memcached would refuse is refused here, with memcached's words, so that an upstream gets nothing that it
//! may answer more than once or not at all.

use crate::protocol::framing::reply::Shape;
use crate::protocol::memcached::text::{self, Block, Command, Nesting, Parsed, Store, reply};

use crate::protocol::framing::request::{
    Cut, Join, Keys, Large, Local, Meta, Request, Rest, Route, Scratch, Source, meta,
};

pub(super) fn cut<'a>(scanned: &mut usize, input: &'a [u8], scratch: &'a mut Scratch) -> Cut<'a> {
    if let Some(cut) = meta::cut(scanned, input, &mut scratch.decoded) {
        return cut;
    }
    let searched = std::mem::take(scanned);
    match text::parse(input, searched, Nesting::Off) {
        Parsed::More => {
            *scanned = input.len();
            Cut::Incomplete
        }
        Parsed::Bad {
            reply,
            consumed,
            close,
        } => Cut::Bad {
            reply: reply.into(),
            consumed,
            close,
        },
        Parsed::Done {
            command: Command::Store(store),
            consumed,
        } => self::store(store, input, consumed),
        Parsed::Done { command, consumed } => {
            Cut::Request(request(command, &input[..consumed]), consumed)
        }
    }
}

/// A storage command, whose line took `line` bytes.
fn store<'a>(store: Store<'a>, input: &'a [u8], line: usize) -> Cut<'a> {
    let total = line + store.length + 2;
    if total > crate::protocol::framing::request::REQUEST_LIMIT {
        return Cut::Large(Large {
            route: Route::Key(store.path.as_bytes()),
            shape: one_line(store.noreply),
            meta: Meta::No,
            rest: Rest::Bytes(total as u64),
        });
    }
    match text::data_block(&input[line..], store.length) {
        Block::More { .. } => Cut::Incomplete,
        Block::Bad { .. } => Cut::Bad {
            reply: if store.noreply {
                &b""[..]
            } else {
                reply::BAD_DATA_CHUNK
            }
            .into(),
            consumed: total,
            close: false,
        },
        Block::Done { .. } => Cut::Request(request(Command::Store(store), &input[..total]), total),
    }
}

fn request<'a>(command: Command<'a>, bytes: &'a [u8]) -> Request<'a> {
    let mut repeat_safe = false;
    let (route, shape) = match command {
        Command::Retrieve { keys, exptime, .. } => {
            repeat_safe = exptime.is_none();
            let route = match keys.single() {
                Some(key) => Route::Key(key),
                None if keys.is_empty() => Route::Any,
                None => Route::Split(Join::Values, Keys::of_words(keys)),
            };
            (route, Shape::Values)
        }
        Command::Store(Store { path, noreply, .. })
        | Command::Count { path, noreply, .. }
        | Command::Touch { path, noreply, .. }
        | Command::Delete { path, noreply } => (Route::Key(path.as_bytes()), one_line(noreply)),
        Command::FlushAll { noreply, .. } | Command::Verbosity { noreply, .. } => {
            (Route::Every(Join::Same), one_line(noreply))
        }
        Command::RetrievePath { .. }
        | Command::Children { .. }
        | Command::Stats { .. }
        | Command::Version
        | Command::Quit
        | Command::MetaNoop
        | Command::Shutdown => (Route::Local(Local::Memcached(command)), Shape::Nothing),
    };
    Request {
        bytes,
        route,
        shape,
        repeat_safe,
        meta: Meta::No,
        source: Source::Memcached(command),
    }
}

fn one_line(noreply: bool) -> Shape {
    match noreply {
        true => Shape::Nothing,
        false => Shape::Line,
    }
}
