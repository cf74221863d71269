//! Counters in hashes: HINCRBY and HINCRBYFLOAT.
//!
//! As [`counters`](super::counters), on a field; a missing field counts as 0, and so does a missing hash. A field's
//! expiry, which only memcached can have set, stays.

use rustc_apfloat::Float;

use super::arguments::reply_refused;
use super::context::Context;
use super::errors;
use super::extended::{self, X87DoubleExtended};
use super::hashes::{self, peek_hash};
use super::table::{CommandSpec, DENYOOM, FAST, WRITE};
use crate::protocol::resp::parse_integer;
use crate::store::{Node, Refused, Tree};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("hincrby", 4, WRITE | DENYOOM | FAST, hincrby)
        .keys(1, 1, 1)
        .access(&["RW access update"])
        .docs(
            "hash",
            "2.0.0",
            "key field increment",
            "Adds to the integer in a field.",
        ),
    CommandSpec::new("hincrbyfloat", 4, WRITE | DENYOOM | FAST, hincrbyfloat)
        .keys(1, 1, 1)
        .access(&["RW access update"])
        .docs(
            "hash",
            "2.6.0",
            "key field increment",
            "Adds to the number in a field, which may have decimals.",
        ),
];

fn hincrby(ctx: &mut Context<'_>) {
    let Some(step) = ctx.integer(3) else { return };
    let Ok((mut tree, hash)) = peek_hash(ctx) else {
        return;
    };
    let field = hash.and_then(|hash| tree.child(hash, ctx.args.get(2)));
    let old = field.map_or(Some(0), |node| {
        parse_integer(tree.item(node).value().unwrap_or_default())
    });
    let Some(old) = old else {
        return ctx.reply.error("ERR hash value is not an integer");
    };
    let Some(new) = old.checked_add(step) else {
        return ctx.reply.error(errors::OVERFLOW);
    };
    let mut text = itoa::Buffer::new();
    match write(ctx, &mut tree, hash, field, text.format(new).as_bytes()) {
        Ok(()) => ctx.reply.integer(new),
        Err(why) => reply_refused(&mut ctx.reply, why),
    }
}

fn hincrbyfloat(ctx: &mut Context<'_>) {
    let Some(step) = extended::parse(ctx.args.get(3)) else {
        return ctx.reply.error(errors::NOT_FLOAT);
    };
    if step.is_infinite() {
        return ctx.reply.error("ERR value is NaN or Infinity");
    }
    let Ok((mut tree, hash)) = peek_hash(ctx) else {
        return;
    };
    let field = hash.and_then(|hash| tree.child(hash, ctx.args.get(2)));
    let old = field.map_or(Some(X87DoubleExtended::ZERO), |node| {
        extended::parse(tree.item(node).value().unwrap_or_default())
    });
    let Some(old) = old else {
        return ctx.reply.error("ERR hash value is not a float");
    };
    let Some(new) = extended::add(old, step) else {
        return ctx.reply.error(errors::NOT_FINITE);
    };
    let text = extended::print(new);
    match write(ctx, &mut tree, hash, field, text.as_bytes()) {
        Ok(()) => ctx.reply.bulk(text.as_bytes()),
        Err(why) => reply_refused(&mut ctx.reply, why),
    }
}

/// Stores the new value in the field that held the old one, or in a new field.
fn write(
    ctx: &Context<'_>,
    tree: &mut Tree<'_>,
    hash: Option<Node>,
    field: Option<Node>,
    text: &[u8],
) -> Result<(), Refused> {
    match field {
        Some(field) => tree.set_value(field, &[text]),
        None => {
            let key = ctx.args.get(1);
            hashes::store(tree, key, hash, ctx.args.get(2), text).map(|_| ())
        }
    }
}
