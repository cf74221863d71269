//! Commands that move keys to another name or database: RENAME, RENAMENX, COPY, MOVE.
//!
//! The whole tree below a key goes with it, with every expiry. To rename a large tree, only its name is changed; a small one is copied
//! from shard to shard. That takes several locks, so RENAME, RENAMENX and MOVE run alone.
//!
//! COPY of a large tree is done in pieces: it ends its turn after each and goes on in the next, as a
//! [large read](super::fields_in_pieces) does. Until the last piece there is no copy. In a transaction it is done at once.
//!
//! Cost: RENAME, RENAMENX and MOVE that of a write, or of a copy of at most some hundred fields. COPY needs about a microsecond
//! for each field.

use std::time::Instant;

use super::arguments::{is, reply_refused};
use super::context::Context;
use super::errors;
use super::large_reply::{Copying, LargeReply};
use super::table::{CommandSpec, DENYOOM, EXCLUSIVE, FAST, WRITE};
use crate::store::{CopyOrder, CopyState, Store};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("rename", 3, WRITE | EXCLUSIVE, rename)
        .keys(1, 2, 1)
        .access(&["RW access delete", "OW update"])
        .docs(
            "generic",
            "1.0.0",
            "key newkey",
            "Renames a key, and replaces one that had the new name.",
        ),
    CommandSpec::new("renamenx", 3, WRITE | FAST | EXCLUSIVE, renamenx)
        .keys(1, 2, 1)
        .access(&["RW access delete", "OW insert"])
        .docs(
            "generic",
            "1.0.0",
            "key newkey",
            "Renames a key if no key has the new name.",
        ),
    CommandSpec::new("copy", -3, WRITE | DENYOOM, copy)
        .keys(1, 2, 1)
        .access(&["RO access", "OW update"])
        .docs(
            "generic",
            "6.2.0",
            "source destination [DB number] [REPLACE]",
            "Copies a key.",
        ),
    CommandSpec::new("move", 3, WRITE | FAST | EXCLUSIVE, move_)
        .keys(1, 1, 1)
        .access(&["RW access update"])
        .docs(
            "generic",
            "1.0.0",
            "key db",
            "Moves a key to another database.",
        ),
];

fn key_exists(store: &Store, db: u8, key: &[u8]) -> bool {
    store.lock(db, key).peek(&[key]).is_some()
}

fn rename(ctx: &mut Context<'_>) {
    let (db, from, to) = (ctx.client.db(), ctx.args.get(1), ctx.args.get(2));
    match ctx.store.rename((db, from), (db, to)) {
        None => ctx.reply.error(errors::NO_SUCH_KEY),
        Some(Ok(())) => ctx.reply.ok(),
        Some(Err(why)) => reply_refused(&mut ctx.reply, why),
    }
}

fn renamenx(ctx: &mut Context<'_>) {
    let (db, from, to) = (ctx.client.db(), ctx.args.get(1), ctx.args.get(2));
    if !key_exists(ctx.store, db, from) {
        return ctx.reply.error(errors::NO_SUCH_KEY);
    }
    if key_exists(ctx.store, db, to) {
        return ctx.reply.integer(0);
    }
    reply_moved(ctx, (db, from), (db, to));
}

fn move_(ctx: &mut Context<'_>) {
    let Some(to_db) = ctx.database(2) else { return };
    let (db, key) = (ctx.client.db(), ctx.args.get(1));
    if db == to_db {
        return ctx.reply.error(errors::SAME_OBJECT);
    }
    if key_exists(ctx.store, to_db, key) {
        return ctx.reply.integer(0);
    }
    reply_moved(ctx, (db, key), (to_db, key));
}

/// Moves a key and answers 1, or 0 if there is no such key.
fn reply_moved(ctx: &mut Context<'_>, from: (u8, &[u8]), to: (u8, &[u8])) {
    match ctx.store.rename(from, to) {
        None => ctx.reply.integer(0),
        Some(Ok(())) => ctx.reply.integer(1),
        Some(Err(why)) => reply_refused(&mut ctx.reply, why),
    }
}

fn copy(ctx: &mut Context<'_>) {
    let (db, from, to) = (ctx.client.db(), ctx.args.get(1), ctx.args.get(2));
    let (mut to_db, mut replace) = (db, false);
    let mut index = 3;
    while index < ctx.args.len() {
        let option = ctx.args.get(index);
        if is(option, "replace") {
            replace = true;
        } else if is(option, "db") && index + 1 < ctx.args.len() {
            let Some(number) = ctx.database(index + 1) else {
                return;
            };
            to_db = number;
            index += 1;
        } else {
            return ctx.reply.error(errors::SYNTAX);
        }
        index += 1;
    }
    if (db, from) == (to_db, to) {
        return ctx.reply.error(errors::SAME_OBJECT);
    }
    let order = CopyOrder {
        from: (db, from),
        to: (to_db, to),
        replaces: replace,
    };
    do_copy(ctx, &order);
}

/// Does the next piece of a copy, or all of it.
fn do_copy(ctx: &mut Context<'_>, order: &CopyOrder<'_>) {
    let began = Instant::now();
    let begun = ctx.large.as_mut().and_then(|large| large.take());
    let mut copying = match begun.map(|large| *large) {
        Some(LargeReply::Copying(copying)) => copying,
        _ => Copying::new(&ctx.service.store),
    };
    match copying.copy.go_on(order, ctx.large.is_none()) {
        CopyState::Partial => {
            copying.time += began.elapsed();
            return ctx.keep(LargeReply::Copying(copying));
        }
        CopyState::Done(Ok(copied)) => ctx.reply.integer(i64::from(copied)),
        CopyState::Done(Err(why)) => reply_refused(&mut ctx.reply, why),
    }
    ctx.earlier = copying.time;
}
