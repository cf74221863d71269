//! Requests in memcached's text protocol: the grammar of the protocol reads a line, and the bytes of a data block
//! are counted, never read.
//!
//! A line that memcached would refuse is refused here, with memcached's error, so that an upstream gets no line that it
//! may answer more than once or not at all. The value behind a refused line is discarded by the grammar's
//! [`AfterBadLine`], the same for the proxy as for larder's own service. A line that versions of memcached, or larder with its
//! nested keys, read in different ways is refused too: one would execute bytes that the other takes for a value.

use memchr::memchr;

use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::memcached::text::{
    self, AdminCommand, AfterBadLine, Block, Command, KeyCommand, Nesting, Parsed, Retrieve,
    StorageCommand, reply,
};

use crate::protocol::framing::request::frame::{
    LargeRequest, LocalCommand, MergeRule, MetaForm, REQUEST_LIMIT, Remainder, Request,
    RequestBuffers, RequestFrame, RequestWords, Route,
};
use crate::protocol::framing::request::keys::RequestKeys;
use crate::protocol::framing::request::lines::LineFramer;
use crate::protocol::framing::request::meta;

pub(super) fn frame<'a>(
    lines: &mut LineFramer,
    input: &'a [u8],
    scratch: &'a mut RequestBuffers,
) -> RequestFrame<'a> {
    if let Some(discarded) = lines.discard(input) {
        return RequestFrame::Nothing(discarded);
    }
    if let Some(frame) = meta::frame(lines, input, &mut scratch.decoded) {
        return frame;
    }
    let searched = std::mem::take(&mut lines.scanned);
    let (command, consumed) = match text::parse(input, searched, Nesting::Unknown) {
        Parsed::More => {
            lines.scanned = input.len();
            return RequestFrame::Incomplete;
        }
        Parsed::Bad {
            reply,
            consumed,
            then,
        } => return lines.refuse(reply, consumed, then),
        Parsed::Done { command, consumed } => (command, consumed),
    };
    // 1.6.18 reads a line only up to a NUL, 1.6.45 to its end.
    if memchr(0, &input[..consumed]).is_some() {
        let discard = match command {
            Command::Store(store) => store.length + 2,
            _ => 0,
        };
        let then = AfterBadLine::Continue { discard };
        return lines.refuse(reply::BAD_FORMAT, consumed, then);
    }
    match command {
        Command::Store(store) => self::store(store, input, consumed),
        _ => RequestFrame::Request(request(command, &input[..consumed]), consumed),
    }
}

/// A storage command, whose line took `line` bytes.
fn store<'a>(store: StorageCommand<'a>, input: &'a [u8], line: usize) -> RequestFrame<'a> {
    let total = line + store.length + 2;
    if total > REQUEST_LIMIT {
        return RequestFrame::Large(LargeRequest {
            route: Route::Key(store.path.as_bytes()),
            shape: one_line(store.noreply),
            meta: MetaForm::No,
            head: &[],
            rest: Remainder::Bytes(total as u64),
        });
    }
    match text::data_block(&input[line..], store.length) {
        Block::More { .. } => RequestFrame::Incomplete,
        Block::Bad { .. } => RequestFrame::Bad {
            reply: if store.noreply {
                &b""[..]
            } else {
                reply::BAD_DATA_CHUNK
            }
            .into(),
            consumed: total,
            close: false,
        },
        Block::Done { .. } => {
            RequestFrame::Request(request(Command::Store(store), &input[..total]), total)
        }
    }
}

fn request<'a>(command: Command<'a>, bytes: &'a [u8]) -> Request<'a> {
    let mut repeat_safe = false;
    let (route, shape) = match command {
        Command::Retrieve(Retrieve { keys, exptime, .. }) => {
            repeat_safe = exptime.is_none();
            let route = match keys.single() {
                Some(key) => Route::Key(key),
                None if keys.is_empty() => Route::Any,
                None => Route::Split(MergeRule::Values, RequestKeys::of_words(keys)),
            };
            (route, ReplyShape::Values)
        }
        Command::Store(StorageCommand { path, noreply, .. })
        | Command::Key(KeyCommand { path, noreply, .. }) => {
            (Route::Key(path.as_bytes()), one_line(noreply))
        }
        Command::Admin(
            AdminCommand::FlushAll { noreply, .. } | AdminCommand::Verbosity { noreply, .. },
        ) => (Route::Every(MergeRule::Same), one_line(noreply)),
        // `meta::frame` has taken these.
        Command::Meta(command) => (Route::Key(command.sent_key), ReplyShape::Meta),
        Command::ReadPath(_) | Command::Admin(_) => (
            Route::Local(LocalCommand::Memcached(command)),
            ReplyShape::Nothing,
        ),
    };
    Request {
        bytes,
        route,
        shape,
        repeat_safe,
        meta: MetaForm::No,
        source: RequestWords::Memcached(command),
    }
}

fn one_line(noreply: bool) -> ReplyShape {
    match noreply {
        true => ReplyShape::Nothing,
        false => ReplyShape::Line,
    }
}
