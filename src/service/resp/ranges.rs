//! Parts of strings: APPEND, STRLEN, GETRANGE, SETRANGE.
//!
//! Offsets count bytes from 0; in GETRANGE negative ones count from the end. A write keeps flags, expiry and the nodes
//! below the key. A value that would be longer than the store takes is refused before memory is allocated for it.

use super::arguments::reply_refused;
use super::context::Context;
use super::errors;
use super::table::{CommandSpec, DENYOOM, FAST, READONLY, WRITE};
use crate::store::Entry;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("append", 3, WRITE | DENYOOM | FAST, append)
        .keys(1, 1, 1)
        .access(&["RW insert"])
        .docs(
            "string",
            "2.0.0",
            "key value",
            "Appends to the value of a key.",
        ),
    CommandSpec::new("strlen", 2, READONLY | FAST, strlen)
        .keys(1, 1, 1)
        .access(&["RO"])
        .docs("string", "2.2.0", "key", "Returns the length of a value."),
    CommandSpec::new("getrange", 4, READONLY, getrange)
        .keys(1, 1, 1)
        .docs(
            "string",
            "2.4.0",
            "key start end",
            "Returns a part of a value.",
        ),
    CommandSpec::new("substr", 4, READONLY, getrange)
        .keys(1, 1, 1)
        .docs(
            "string",
            "1.0.0",
            "key start end",
            "Returns a part of a value; GETRANGE's old name.",
        ),
    CommandSpec::new("setrange", 4, WRITE | DENYOOM, setrange)
        .keys(1, 1, 1)
        .docs(
            "string",
            "2.2.0",
            "key offset value",
            "Overwrites a part of a value, from an offset on.",
        ),
];

fn append(ctx: &mut Context<'_>) {
    let (key, more) = (ctx.args.get(1), ctx.args.get(2));
    let mut tree = ctx.lock(key);
    let (length, result) = match tree.peek(&[key]) {
        None => {
            let value: &[&[u8]] = &[more];
            let entry = Entry {
                value: Some(value),
                ..Entry::default()
            };
            (more.len(), tree.put(&[key], entry).map(|_| ()))
        }
        Some(node) => {
            let Some(value) = tree.item(node).value() else {
                return ctx.reply.error(errors::WRONGTYPE);
            };
            let length = value.len() + more.len();
            if length > ctx.service.max_bulk() {
                return ctx.reply.error(errors::TOO_LARGE);
            }
            (length, tree.extend_value(node, b"", more))
        }
    };
    match result {
        Ok(()) => ctx.reply.integer(length as i64),
        Err(why) => reply_refused(&mut ctx.reply, why),
    }
}

fn strlen(ctx: &mut Context<'_>) {
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    let Some(node) = tree.find(&[key]) else {
        return ctx.reply.integer(0);
    };
    match tree.item(node).value() {
        Some(value) => ctx.reply.integer(value.len() as i64),
        None => ctx.reply.error(errors::WRONGTYPE),
    }
}

fn getrange(ctx: &mut Context<'_>) {
    let Some(start) = ctx.integer(2) else { return };
    let Some(end) = ctx.integer(3) else { return };
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    let Some(node) = tree.find(&[key]) else {
        return ctx.reply.bulk(b"");
    };
    match tree.item(node).value() {
        Some(value) => ctx.reply.bulk(range(value, start, end)),
        None => ctx.reply.error(errors::WRONGTYPE),
    }
}

/// The bytes from `start` to `end`, both included; negative places count from the end.
fn range(value: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return b"";
    }
    let length = value.len() as i64;
    let place = |index: i64| {
        if index < 0 {
            length.saturating_add(index).max(0)
        } else {
            index
        }
    };
    let (start, end) = (place(start), place(end).min(length - 1));
    if start > end {
        return b"";
    }
    &value[start as usize..=end as usize]
}

fn setrange(ctx: &mut Context<'_>) {
    let Some(offset) = ctx.integer(2) else { return };
    let Ok(offset) = usize::try_from(offset) else {
        return ctx.reply.error("ERR offset is out of range");
    };
    let (key, patch) = (ctx.args.get(1), ctx.args.get(3));
    let mut tree = ctx.lock(key);
    let node = tree.peek(&[key]);
    let old = match node.map(|node| tree.item(node).value()) {
        Some(None) => return ctx.reply.error(errors::WRONGTYPE),
        Some(Some(value)) => value,
        None => b"",
    };
    if patch.is_empty() {
        return ctx.reply.integer(old.len() as i64);
    }
    let end = offset.saturating_add(patch.len());
    if end > ctx.service.max_bulk() {
        return ctx.reply.error(errors::TOO_LARGE);
    }
    let mut value = old.to_vec();
    value.resize(value.len().max(end), 0);
    value[offset..end].copy_from_slice(patch);
    let parts: &[&[u8]] = &[&value];
    let result = match node {
        Some(node) => tree.set_value(node, parts),
        None => {
            let entry = Entry {
                value: Some(parts),
                ..Entry::default()
            };
            tree.put(&[key], entry).map(|_| ())
        }
    };
    match result {
        Ok(()) => ctx.reply.integer(value.len() as i64),
        Err(why) => reply_refused(&mut ctx.reply, why),
    }
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn a_range_is_cut_to_the_value() {
        for (start, end, expected) in [
            (0, -1, "hello"),
            (1, 3, "ell"),
            (-3, -2, "ll"),
            (-2, -3, ""),
            (3, 1, ""),
            (-100, 1, "he"),
            (0, 100, "hello"),
            (5, 10, ""),
            (-100, -50, "h"), // as Redis: both become 0
            (i64::MIN, i64::MAX, "hello"),
            (i64::MAX, i64::MIN, ""),
        ] {
            assert_eq!(
                range(b"hello", start, end),
                expected.as_bytes(),
                "{start} {end}"
            );
        }
        assert_eq!(range(b"", 0, -1), b"");
        assert_eq!(range(b"", i64::MIN, i64::MIN), b"");
    }
}
