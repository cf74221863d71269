//! memcached's meta commands: `mg`, `ms`, `md`, `ma` and `me`. (`mn` is about the connection, and the proxy's.)
//!
//! ```text
//!   mg KEY FLAGS…          ms KEY LENGTH FLAGS…   then a block of LENGTH bytes
//! ```
//!
//! A line is forwarded unchanged and gets one reply. The framer reads three parts of it:
//!
//! - The key. With the flag `b` it is sent in base64, and memcached stores the decoded key: `mg Zm9v b`, `mg foo` and
//!   `get foo` name one item. So the decoded key decides which upstream it belongs to.
//! - The flag `q`: there may be no reply. The omitted replies differ between commands (and versions), so the upstream
//!   decides: a `mn` is sent behind the request, and its answer marks the end.
//! - The length of the block. A line of `ms` that memcached would refuse is refused here, with memcached's error. Its
//!   block is discarded if its length can be read; otherwise the next line is read as a command.

use memchr::memchr;

use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::memcached::text::meta::{base64, flags as flag};
use crate::protocol::memcached::text::{
    self, AfterBadLine, Block, KEY_LIMIT, LINE_LIMIT, Words, reply,
};

use crate::protocol::framing::request::frame::{
    LargeRequest, MetaForm, REQUEST_LIMIT, Remainder, Request, RequestFrame, RequestWords, Route,
};
use crate::protocol::framing::request::lines::LineFramer;

/// Most flags of a `ms`: memcached 1.6.18 reads the block behind more of them as commands. 1.6.45 takes one more.
const FLAGS_LIMIT: usize = 16;

/// The input after a bad line that has no block.
const NEXT_LINE: AfterBadLine = AfterBadLine::Continue { discard: 0 };

/// The request at the start of the input if it is a meta command; otherwise `None`.
pub(super) fn frame<'a>(
    lines: &mut LineFramer,
    input: &'a [u8],
    decoded: &'a mut Vec<u8>,
) -> Option<RequestFrame<'a>> {
    let start = input.iter().position(|byte| *byte != b' ')?;
    let verb = match input[start..] {
        [b'm', verb @ (b'g' | b's' | b'd' | b'a' | b'e'), b' ', ..] => verb,
        _ => return None,
    };
    let line = line_length(lines, input);
    // memcached reads lines of any length if they come at once. They may come to the upstream in pieces.
    if line.unwrap_or(input.len()) > LINE_LIMIT {
        return Some(lines.refuse(b"", input.len(), AfterBadLine::Close));
    }
    let Some(line) = line else {
        return Some(RequestFrame::Incomplete);
    };
    let (mut words, _) = text::rest_of_line(input)?;
    words.next();
    let key = words.next().unwrap_or_default();
    let has_nul = memchr(0, &input[..line]).is_some();
    let then = |discard| AfterBadLine::Continue { discard };
    // 1.6.45 takes spaces before a verb for a part of it, and executes the block.
    let length = match (block_length(verb, key, &mut words, has_nul), start) {
        (Ok(length), 0) => length,
        (Err((reply, discard)), 0) => return Some(lines.refuse(reply, line, then(discard))),
        (Err((_, discard)), _) => return Some(lines.refuse(reply::ERROR, line, then(discard))),
        (Ok(length), _) => {
            let discard = length.map_or(0, |length| length + 2);
            return Some(lines.refuse(reply::ERROR, line, then(discard)));
        }
    };
    let total = line + length.map_or(0, |length| length + 2);
    let request = request(verb, key, words, (&input[..line], length), decoded);
    if total > REQUEST_LIMIT {
        return Some(RequestFrame::Large(LargeRequest {
            route: request.route,
            shape: request.shape,
            meta: request.meta,
            head: &[],
            rest: Remainder::Bytes(total as u64),
        }));
    }
    Some(
        match length.map(|length| text::data_block(&input[line..], length)) {
            Some(Block::More { .. }) => RequestFrame::Incomplete,
            Some(Block::Bad { .. }) => lines.refuse(reply::BAD_DATA_CHUNK, total, NEXT_LINE),
            None | Some(Block::Done { .. }) => RequestFrame::Request(
                Request {
                    bytes: &input[..total],
                    ..request
                },
                total,
            ),
        },
    )
}

/// The request of a line that is not refused, without its block: its route, and the framing of its reply.
fn request<'a>(
    verb: u8,
    key: &'a [u8],
    flags: Words<'a>,
    (line, length): (&'a [u8], Option<usize>),
    decoded: &'a mut Vec<u8>,
) -> Request<'a> {
    decoded.clear();
    let has = |is: fn(&[u8]) -> bool| flags.into_iter().any(is);
    let (meta, shape) = forms(length.is_some(), verb != b'e' && has(flag::is_quiet));
    Request {
        bytes: line,
        route: match key {
            b"" => Route::Any,
            _ if has(flag::is_base64) && base64::decode(key, decoded) => Route::Key(decoded),
            _ => Route::Key(key),
        },
        shape,
        meta,
        repeat_safe: verb == b'e' || verb == b'g' && !has(flag::changes_item),
        source: RequestWords::Meta(flags),
    }
}

/// The length of the line at the start of the input; `None` if its end has not arrived.
fn line_length(lines: &mut LineFramer, input: &[u8]) -> Option<usize> {
    let searched = std::mem::take(&mut lines.scanned).min(input.len());
    let end = memchr(b'\n', &input[searched..]);
    if end.is_none() {
        lines.scanned = input.len();
    }
    end.map(|end| searched + end + 1)
}

/// The length of the block behind a line, if one belongs to it, taken from the words behind the key; or the reply with
/// which memcached refuses the line, and the number of bytes to discard behind it.
fn block_length(
    verb: u8,
    key: &[u8],
    words: &mut Words<'_>,
    has_nul: bool,
) -> Result<Option<usize>, (&'static [u8], usize)> {
    if verb != b's' || key.is_empty() {
        // The upstream answers it with an error, in one line.
        return match has_nul {
            true => Err((reply::BAD_FORMAT, 0)),
            false => Ok(None),
        };
    }
    let Some(length) = words.next().and_then(text::parse_length) else {
        return Err((reply::BAD_FORMAT, 0));
    };
    if words.count_up_to(FLAGS_LIMIT + 1) > FLAGS_LIMIT {
        return Err((reply::TOO_MANY_FLAGS, length + 2));
    }
    // 1.6.45 does not read the block behind a word that is no flag.
    let mut flags = *words;
    if has_nul || !flags.all(flag::is_flag) || key.len() > KEY_LIMIT {
        return Err((reply::BAD_FORMAT, length + 2));
    }
    Ok(Some(length))
}

fn forms(has_block: bool, quiet: bool) -> (MetaForm, ReplyShape) {
    let meta = match has_block {
        false => MetaForm::Line { quiet },
        true => MetaForm::Block { quiet },
    };
    match quiet {
        true => (meta, ReplyShape::Fenced),
        false => (meta, ReplyShape::Meta),
    }
}

impl Request<'_> {
    /// The reply to a miss of this meta command, if it is fixed.
    pub(crate) fn meta_miss(&self) -> Option<&'static [u8]> {
        match self.source {
            RequestWords::Meta(flags) => miss(flags, self.shape),
            _ => None,
        }
    }
}

/// The reply to a miss of a `mg` with these flags; `None` if the reply has to repeat the key or the opaque.
pub(super) fn miss(mut flags: Words<'_>, shape: ReplyShape) -> Option<&'static [u8]> {
    let plain = !flags.any(flag::is_repeated);
    match shape {
        ReplyShape::Fenced => Some(b""),
        _ => plain.then_some(b"EN\r\n"),
    }
}
