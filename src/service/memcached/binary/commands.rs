//! The commands whose request has no value.

use crate::protocol::memcached::binary::reply::ItemHead;
use crate::protocol::memcached::binary::{Count, ReplyTo, Request, Status, reply, sasl};
use crate::protocol::memcached::text;

use super::super::context::TurnContext;
use super::super::operations::{Arithmetic, ArithmeticOutcome, DeleteOutcome, GetOutcome, Initial};
use super::super::step::ReadProgress;
use super::super::watch::DeleteVerb;

/// An error as a reply.
#[derive(Clone, Copy)]
pub(super) struct Refusal {
    pub(super) to: ReplyTo,
    pub(super) status: Status,
}

/// The text of an error for an item that a storage command can't make.
const NO_MEMORY_FOR_ITEM: &str = "Out of memory allocating item";
/// The texts of errors of `incr` and `decr`: for a longer number, and for a new one.
const NO_MEMORY_FOR_NUMBER: [&str; 2] = [
    "Out of memory incrementing value",
    "Out of memory allocating new item",
];

/// An error. Quiet commands have it, too.
pub(super) fn refuse(context: &mut TurnContext<'_>, refusal: Refusal) {
    let Refusal { to, status } = refusal;
    let text = match status {
        Status::OutOfMemory if !sasl::is_free(to.opcode) => NO_MEMORY_FOR_ITEM,
        _ => status.text(),
    };
    reply::error_text(context.output.bytes, to, status, text);
}

/// A status of a request.
fn status(context: &mut TurnContext<'_>, request: &Request<'_>, status: Status) {
    let to = request.to;
    refuse(context, Refusal { to, status });
}

/// Success, unless the command is quiet.
pub(super) fn done(context: &mut TurnContext<'_>, request: &Request<'_>, cas: u64) {
    if !request.quiet {
        reply::done(context.output.bytes, request.to, cas);
    }
}

/// `get`, `getk`, `gat` and `gatk`.
pub(super) fn retrieve(
    context: &mut TurnContext<'_>,
    request: &Request<'_>,
    key: &[u8],
    exptime: Option<u32>,
    with_key: bool,
) -> ReadProgress {
    let shown = if with_key { key } else { b"" };
    let output = &mut context.output;
    let exptime = exptime.map(i64::from);
    let outcome = context.operations.get(&[key], exptime, |found| {
        let item = found.item();
        let value = item.value().unwrap_or_default();
        let length = value.len();
        if !output.has_memory(length) {
            return None;
        }
        let head = ItemHead {
            key: shown,
            flags: item.flags(),
            cas: item.cas(),
        };
        reply::value_head(output.bytes, request.to, &head, length);
        if !output.copy_small(value) {
            output.value(found);
        }
        Some(())
    });
    if matches!(outcome, GetOutcome::Miss) && !request.quiet {
        reply::missing(context.output.bytes, request.to, shown);
    }
    ReadProgress::from(&outcome)
}

/// `touch`: the answer has the flags of the item, as memcached's has.
pub(super) fn touch(
    context: &mut TurnContext<'_>,
    request: &Request<'_>,
    key: &[u8],
    exptime: u32,
) {
    match context.operations.touch(&[key], exptime.into()) {
        None => status(context, request, Status::KeyNotFound),
        Some(item) => {
            let head = ItemHead {
                key: b"",
                flags: item.flags,
                cas: item.cas,
            };
            reply::value(context.output.bytes, request.to, &head, b"");
        }
    }
}

pub(super) fn delete(context: &mut TurnContext<'_>, request: &Request<'_>, key: &[u8]) {
    match context
        .operations
        .delete(&[key], expected(request), DeleteVerb::Delete)
    {
        DeleteOutcome::Deleted => done(context, request, 0),
        DeleteOutcome::NotFound => status(context, request, Status::KeyNotFound),
        DeleteOutcome::Exists => status(context, request, Status::KeyExists),
        DeleteOutcome::NoMemory => status(context, request, Status::OutOfMemory),
    }
}

/// `incr` and `decr`.
pub(super) fn count(context: &mut TurnContext<'_>, request: &Request<'_>, count: &Count<'_>) {
    let initial = count.initial.map(|(number, exptime)| Initial {
        number,
        exptime: exptime.into(),
    });
    let arithmetic = Arithmetic {
        expected: expected(request),
        initial,
        ..Arithmetic::new(count.delta, count.down)
    };
    match context.operations.arithmetic(&[count.key], &arithmetic) {
        ArithmeticOutcome::Now { .. } if request.quiet => {}
        ArithmeticOutcome::Now { number, cas, .. } => {
            reply::number(context.output.bytes, request.to, number, cas);
        }
        ArithmeticOutcome::NotFound => status(context, request, Status::KeyNotFound),
        ArithmeticOutcome::Exists => status(context, request, Status::KeyExists),
        ArithmeticOutcome::NonNumeric => status(context, request, Status::NonNumeric),
        ArithmeticOutcome::NoMemory { created } => {
            let text = NO_MEMORY_FOR_NUMBER[usize::from(created)];
            reply::error_text(context.output.bytes, request.to, Status::OutOfMemory, text);
        }
    }
}

pub(super) fn version(context: &mut TurnContext<'_>, request: &Request<'_>) {
    reply::text(
        context.output.bytes,
        request.to,
        text::reply::VERSION_NUMBER,
    );
}

/// `stat`. As in memcached, some names may have anything behind them.
pub(super) fn stat(context: &mut TurnContext<'_>, request: &Request<'_>, name: &[u8]) {
    let name = match name {
        [b'r', b'e', b's', b'e', b't', ..] => {
            context.reset_stats();
            return done(context, request, 0);
        }
        [b'd', b'e', b't', b'a', b'i', b'l', order @ ..] => return detail(context, request, order),
        name if name.starts_with(b"settings") => b"settings",
        name => name,
    };
    context.stat_frames = Some(request.to);
    if context.stat_group(name) {
        done(context, request, 0);
    } else {
        status(context, request, Status::KeyNotFound);
    }
    context.stat_frames = None;
}

/// `stat detail`: the counts are one statistic, whose value is the lines of the text protocol.
fn detail(context: &mut TurnContext<'_>, request: &Request<'_>, order: &[u8]) {
    let prefixes = &context.shared.prefixes;
    if order.starts_with(b" dump") {
        let mut lines = Vec::new();
        prefixes.write(&mut lines);
        lines.extend_from_slice(text::reply::END);
        reply::stat_bytes(context.output.bytes, request.to, "detailed", &lines);
    } else if order.starts_with(b" on") {
        prefixes.switch(true);
    } else if order.starts_with(b" off") {
        prefixes.switch(false);
    } else {
        return status(context, request, Status::KeyNotFound);
    }
    done(context, request, 0);
}

/// The cas unique that the item must have.
fn expected(request: &Request<'_>) -> Option<u64> {
    (request.cas != 0).then_some(request.cas)
}
