//! Commands that move keys to another name or database: RENAME, RENAMENX, COPY, MOVE.
//!
//! The whole tree below a key goes with it, with every expiry. A large tree stays where it is and gets another name; small
//! ones, and those that COPY copies, are copied from shard to shard. These commands run alone: a copy takes several locks.
//!
//! Cost: RENAME, RENAMENX and MOVE that of a write, or of a copy of at most some hundred fields. COPY needs about two
//! microseconds for each field, and everything waits for it.

use super::arguments::{is, reply_refused};
use super::context::Context;
use super::errors;
use super::table::{CommandSpec, DENYOOM, EXCLUSIVE, FAST, WRITE};
use crate::store::{Refused, Store};

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
    CommandSpec::new("copy", -3, WRITE | DENYOOM | EXCLUSIVE, copy)
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
    store.lock(key).peek(db, &[key]).is_some()
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
    let mut tree = ctx.store.lock(from);
    let Some(node) = tree.find(db, &[from]) else {
        return ctx.reply.integer(0);
    };
    let subtree = tree.copy(node);
    drop(tree);
    if !replace && key_exists(ctx.store, to_db, to) {
        return ctx.reply.integer(0);
    }
    if !ctx.store.has_room_for(subtree.len(), subtree.bytes()) {
        return reply_refused(&mut ctx.reply, Refused::OutOfMemory);
    }
    match ctx.store.lock(to).graft(to_db, to, &subtree) {
        Ok(()) => ctx.reply.integer(1),
        Err(why) => reply_refused(&mut ctx.reply, why),
    }
}
