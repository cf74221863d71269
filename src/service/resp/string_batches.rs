//! Several strings at once: MGET, MSET, MSETNX.
//!
//! MSET and MSETNX run alone, because their keys must appear together; MGET runs beside others and can't meet a half-done
//! MSET for the same reason. An MGET that needs the origin asks for all its keys, and waits once for all of them.

use super::arguments::reply_refused;
use super::context::Context;
use super::table::{CommandSpec, DENYOOM, EXCLUSIVE, FAST, READONLY, WRITE};
use crate::store::{BATCH, Entry, Refused};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("mget", -2, READONLY | FAST, mget)
        .keys(1, -1, 1)
        .docs(
            "string",
            "1.0.0",
            "key [key ...]",
            "Returns the values of some keys.",
        ),
    CommandSpec::new("mset", -3, WRITE | DENYOOM | EXCLUSIVE, mset)
        .keys(1, -1, 2)
        .access(&["OW update"])
        .docs(
            "string",
            "1.0.1",
            "key value [key value ...]",
            "Stores some values in one step.",
        ),
    CommandSpec::new("msetnx", -3, WRITE | DENYOOM | EXCLUSIVE, msetnx)
        .keys(1, -1, 2)
        .access(&["OW insert"])
        .docs(
            "string",
            "1.0.1",
            "key value [key value ...]",
            "Stores some values in one step if none of the keys exists.",
        ),
];

fn mget(ctx: &mut Context<'_>) {
    let db = ctx.client.db();
    let keys = ctx.args.from(1);
    ctx.reply.array(keys.len());
    let mut keys = keys.iter();
    loop {
        let mut batch = [&b""[..]; BATCH];
        let mut count = 0;
        for (place, key) in batch.iter_mut().zip(&mut keys) {
            *place = key;
            count += 1;
        }
        if count == 0 {
            return;
        }
        let ahead = ctx.store.look_ahead(db, &batch[..count]);
        for (number, key) in batch[..count].iter().enumerate() {
            if ctx.reply.overflowed() {
                return;
            }
            let mut tree = ahead.lock(number);
            let node = tree.find(&[key]);
            if ctx.must_wait_for(&mut tree, &[key], node) {
                tree.forget_miss();
            }
            if !node.is_some_and(|node| ctx.bulk_of(&mut tree, node)) {
                ctx.reply.null();
            }
        }
    }
}

fn mset(ctx: &mut Context<'_>) {
    if ctx.args.len().is_multiple_of(2) {
        return ctx
            .reply
            .error("ERR wrong number of arguments for 'mset' command");
    }
    match store_all(ctx) {
        Ok(()) => ctx.reply.ok(),
        Err(why) => reply_refused(&mut ctx.reply, why),
    }
}

fn msetnx(ctx: &mut Context<'_>) {
    if ctx.args.len().is_multiple_of(2) {
        return ctx
            .reply
            .error("ERR wrong number of arguments for 'msetnx' command");
    }
    for key in ctx.args.from(1).iter().step_by(2) {
        if ctx.lock(key).peek(&[key]).is_some() {
            return ctx.reply.integer(0);
        }
    }
    match store_all(ctx) {
        Ok(()) => ctx.reply.integer(1),
        Err(why) => reply_refused(&mut ctx.reply, why),
    }
}

/// Stores every pair, or nothing if one of them is larger than the store takes.
fn store_all(ctx: &mut Context<'_>) -> Result<(), Refused> {
    let most = ctx.store.max_item_size();
    let pairs = || {
        let keys = ctx.args.from(1);
        keys.iter()
            .step_by(2)
            .zip(ctx.args.from(2).iter().step_by(2))
    };
    if pairs().any(|(key, value)| key.len() + value.len() > most) {
        return Err(Refused::TooLarge);
    }
    for (key, value) in pairs() {
        let value: &[&[u8]] = &[value];
        let entry = Entry {
            value: Some(value),
            ..Entry::default()
        };
        ctx.lock(key).put(&[key], entry)?;
    }
    Ok(())
}
