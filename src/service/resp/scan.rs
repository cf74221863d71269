//! Walks: SCAN over keys, HSCAN over the fields of a hash, KEYS over all keys at once.
//!
//! A client gives a cursor, gets some elements and the next cursor, and begins and ends with 0. An element that exists from
//! the first to the last step is returned at least once. SCAN's cursor is the store's: a shard and a slot. HSCAN's is a
//! position: it walks from the last field to the first, and a removed field is replaced by the last one, which has been
//! returned already. As in Redis, a hash of up to 128 fields is answered whole, with any COUNT.
//!
//! Cost: a step looks at about COUNT slots, HSCAN's at [`MOST_FIELDS`] at most; many keys are looked at [in pieces](super::keys_in_pieces).
//! Elements are collected before the reply is written, because it begins with their number; collecting stops at the bound on
//! replies.

use super::arguments::is;
use super::context::Context;
use super::errors;
use super::glob::{self, GlobPattern};
use super::hashes::find_hash;
use super::table::{CommandSpec, DANGEROUS, READONLY};
use crate::protocol::resp::{Reply, parse_integer};
use crate::store::Item;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("keys", 2, READONLY | DANGEROUS, keys).docs(
        "generic",
        "1.0.0",
        "pattern",
        "Returns every key that matches a pattern.",
    ),
    CommandSpec::new("scan", -2, READONLY, scan).docs(
        "generic",
        "2.8.0",
        "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        "Walks over the keys, some at a time.",
    ),
    CommandSpec::new("hscan", -3, READONLY, hscan)
        .keys(1, 1, 1)
        .docs(
            "hash",
            "2.8.0",
            "key cursor [MATCH pattern] [COUNT count]",
            "Walks over the fields of a hash, some at a time.",
        ),
];

/// Fields that a step of HSCAN looks at, whatever COUNT says: its shard is locked meanwhile.
const MOST_FIELDS: usize = 1024;

/// Hashes up to this size are answered in one step.
const SMALL_HASH: usize = 128;

/// Byte strings, end to end, up to a bound in bytes.
struct ElementBuffer {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    bound: usize,
}

impl ElementBuffer {
    fn new(ctx: &Context<'_>) -> ElementBuffer {
        ElementBuffer {
            bytes: Vec::new(),
            ends: Vec::new(),
            bound: ctx.service.max_reply(),
        }
    }

    /// Whether the elements so far already make the reply overflow.
    fn is_full(&self) -> bool {
        self.bytes.len() + 6 * self.ends.len() > self.bound
    }

    fn push(&mut self, bytes: &[u8]) {
        if !self.is_full() {
            self.bytes.extend_from_slice(bytes);
            self.ends.push(self.bytes.len());
        }
    }

    fn answer(&self, ctx: &mut Context<'_>) {
        ctx.reply.array(self.ends.len());
        let mut start = 0;
        for &end in &self.ends {
            ctx.reply.bulk(&self.bytes[start..end]);
            start = end;
        }
    }
}

/// The options of SCAN and HSCAN.
struct ScanOptions<'a> {
    /// `None` for everything.
    pattern: Option<GlobPattern>,
    count: usize,
    /// TYPE
    kind: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    /// Reads the options from number `first` on; if they make no sense, the error is answered.
    fn parse(ctx: &mut Context<'a>, first: usize, with_type: bool) -> Option<ScanOptions<'a>> {
        let mut options = ScanOptions {
            pattern: None,
            count: 10,
            kind: None,
        };
        let mut rest = ctx.args.from(first).iter();
        while let Some(option) = rest.next() {
            let Some(value) = rest.next() else {
                ctx.reply.error(errors::SYNTAX);
                return None;
            };
            if is(option, "match") {
                options.pattern =
                    (!glob::matches_everything(value)).then(|| GlobPattern::new(value));
            } else if is(option, "count") {
                match parse_integer(value) {
                    Some(count @ 1..) => {
                        options.count = usize::try_from(count).unwrap_or(usize::MAX);
                    }
                    Some(_) => {
                        ctx.reply.error(errors::SYNTAX);
                        return None;
                    }
                    None => {
                        ctx.reply.error(errors::NOT_INTEGER);
                        return None;
                    }
                }
            } else if with_type && is(option, "type") {
                options.kind = Some(value);
            } else {
                ctx.reply.error(errors::SYNTAX);
                return None;
            }
        }
        Some(options)
    }

    fn accepts(&self, name: &[u8]) -> bool {
        self.pattern
            .as_ref()
            .is_none_or(|pattern| pattern.matches(name))
    }
}

/// The cursor at `index`: a text that C's `strtoul` takes whole, so the empty text is 0 and `-1` wraps round. If it
/// is none, the error is answered.
fn cursor(ctx: &mut Context<'_>, index: usize) -> Option<u64> {
    let cursor = parse_cursor(ctx.args.get(index));
    if cursor.is_none() {
        ctx.reply.error("ERR invalid cursor");
    }
    cursor
}

fn parse_cursor(text: &[u8]) -> Option<u64> {
    let (negative, digits) = match text {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
    }
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

fn keys(ctx: &mut Context<'_>) {
    let args = ctx.args;
    let all = glob::matches_everything(args.get(1));
    let pattern = GlobPattern::new(args.get(1));
    let accepts = |item: &Item<'_>| all || pattern.matches(item.key());
    ctx.answer_keys(0, usize::MAX, |_, _| {}, accepts);
}

fn scan(ctx: &mut Context<'_>) {
    let Some(cursor) = cursor(ctx, 1) else { return };
    let Some(options) = ScanOptions::parse(ctx, 2, true) else {
        return;
    };
    let head = |reply: &mut Reply<'_>, next: u64| {
        reply.array(2);
        reply.bulk(next.to_string().as_bytes());
    };
    ctx.answer_keys(cursor, options.count, head, |item| {
        let kind = if item.value().is_none() || item.has_children() {
            "hash"
        } else {
            "string"
        };
        options.kind.is_none_or(|wanted| is(wanted, kind)) && options.accepts(item.key())
    });
}

fn hscan(ctx: &mut Context<'_>) {
    let Some(cursor) = cursor(ctx, 2) else { return };
    let Ok((tree, hash)) = find_hash(ctx) else {
        return;
    };
    let Some(hash) = hash else {
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        return ctx.reply.array(0);
    };
    let Some(options) = ScanOptions::parse(ctx, 3, false) else {
        return;
    };
    // Those that have expired and aren't removed yet count here, and are left out below.
    let length = tree.listed_children(hash);
    let (start, end) = if length <= SMALL_HASH {
        (0, length)
    } else {
        let end = match usize::try_from(cursor) {
            Ok(cursor @ 1..) => cursor.min(length),
            _ => length,
        };
        (end.saturating_sub(options.count.min(MOST_FIELDS)), end)
    };
    let mut found = ElementBuffer::new(ctx);
    for position in start..end {
        let Some(node) = tree.child_at(hash, position) else {
            break;
        };
        let item = tree.item(node);
        if found.is_full() {
            break;
        }
        if options.accepts(item.key()) && !tree.is_expired(node) {
            found.push(item.key());
            found.push(item.value().unwrap_or_default());
        }
    }
    ctx.reply.array(2);
    ctx.reply.bulk(start.to_string().as_bytes());
    found.answer(ctx);
}

#[cfg(test)]
mod tests {
    use super::parse_cursor;

    #[test]
    fn cursors_are_texts_that_strtoul_takes() {
        for (text, expected) in [
            ("", Some(0)),
            ("0", Some(0)),
            ("007", Some(7)),
            ("+7", Some(7)),
            ("-1", Some(u64::MAX)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            (" 1", None),
            ("1 ", None),
            ("-", None),
            ("x", None),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()), expected, "{text:?}");
        }
    }
}
