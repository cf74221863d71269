//! Counters: INCR, DECR and their like, on strings that spell a number.
//!
//! An integer is 64 bits signed, and one step too far is an error that changes nothing. INCRBYFLOAT adds as Redis does,
//! in 80 bits: see [`extended`]. A missing key counts as 0. Flags, expiry and the nodes below the key
//! stay.

use rustc_apfloat::Float;

use super::arguments::reply_refused;
use super::context::Context;
use super::errors;
use super::extended::{self, X87DoubleExtended};
use super::table::{CommandSpec, DENYOOM, FAST, WRITE};
use crate::protocol::resp::parse_integer;
use crate::store::{Entry, Node, Refused, Tree};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("incr", 2, WRITE | DENYOOM | FAST, incr)
        .keys(1, 1, 1)
        .access(&["RW access update"])
        .docs(
            "string",
            "1.0.0",
            "key",
            "Adds one to the integer under a key.",
        ),
    CommandSpec::new("decr", 2, WRITE | DENYOOM | FAST, decr)
        .keys(1, 1, 1)
        .access(&["RW access update"])
        .docs(
            "string",
            "1.0.0",
            "key",
            "Takes one from the integer under a key.",
        ),
    CommandSpec::new("incrby", 3, WRITE | DENYOOM | FAST, incrby)
        .keys(1, 1, 1)
        .access(&["RW access update"])
        .docs(
            "string",
            "1.0.0",
            "key increment",
            "Adds to the integer under a key.",
        ),
    CommandSpec::new("decrby", 3, WRITE | DENYOOM | FAST, decrby)
        .keys(1, 1, 1)
        .access(&["RW access update"])
        .docs(
            "string",
            "1.0.0",
            "key decrement",
            "Takes from the integer under a key.",
        ),
    CommandSpec::new("incrbyfloat", 3, WRITE | DENYOOM | FAST, incrbyfloat)
        .keys(1, 1, 1)
        .access(&["RW access update"])
        .docs(
            "string",
            "2.6.0",
            "key increment",
            "Adds to the number under a key, which may have decimals.",
        ),
];

fn incr(ctx: &mut Context<'_>) {
    add(ctx, 1);
}

fn decr(ctx: &mut Context<'_>) {
    add(ctx, -1);
}

fn incrby(ctx: &mut Context<'_>) {
    if let Some(step) = ctx.integer(2) {
        add(ctx, step);
    }
}

fn decrby(ctx: &mut Context<'_>) {
    let Some(step) = ctx.integer(2) else { return };
    match step.checked_neg() {
        Some(step) => add(ctx, step),
        None => ctx.reply.error("ERR decrement would overflow"),
    }
}

fn add(ctx: &mut Context<'_>, step: i64) {
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    let node = tree.peek(&[key]);
    let old = match node.map(|node| tree.item(node).value()) {
        None => 0,
        Some(None) => return ctx.reply.error(errors::WRONGTYPE),
        Some(Some(value)) => match parse_integer(value) {
            Some(value) => value,
            None => return ctx.reply.error(errors::NOT_INTEGER),
        },
    };
    let Some(new) = old.checked_add(step) else {
        return ctx.reply.error(errors::OVERFLOW);
    };
    let mut text = itoa::Buffer::new();
    match write(&mut tree, key, node, text.format(new).as_bytes()) {
        Ok(()) => ctx.reply.integer(new),
        Err(why) => reply_refused(&mut ctx.reply, why),
    }
}

fn incrbyfloat(ctx: &mut Context<'_>) {
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    let node = tree.peek(&[key]);
    let old = match node.map(|node| tree.item(node).value()) {
        None => Some(X87DoubleExtended::ZERO),
        Some(None) => return ctx.reply.error(errors::WRONGTYPE),
        Some(Some(value)) => extended::parse(value),
    };
    let (Some(old), Some(step)) = (old, extended::parse(ctx.args.get(2))) else {
        return ctx.reply.error(errors::NOT_FLOAT);
    };
    let Some(new) = extended::add(old, step) else {
        return ctx.reply.error(errors::NOT_FINITE);
    };
    let text = extended::print(new);
    match write(&mut tree, key, node, text.as_bytes()) {
        Ok(()) => ctx.reply.bulk(text.as_bytes()),
        Err(why) => reply_refused(&mut ctx.reply, why),
    }
}

/// Stores the new value in the node that held the old one, or in a new node.
#[inline]
fn write(tree: &mut Tree<'_>, key: &[u8], node: Option<Node>, text: &[u8]) -> Result<(), Refused> {
    let value: &[&[u8]] = &[text];
    match node {
        Some(node) => tree.set_value(node, value),
        None => {
            let entry = Entry {
                value: Some(value),
                ..Entry::default()
            };
            tree.put(&[key], entry).map(|_| ())
        }
    }
}
