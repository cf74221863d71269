//! Strings: a key's whole value. GET, SET and their like.
//!
//! A string is a node's own value. SET replaces the node whole, with any children that memcached has stored; GETEX and
//! the commands of [`ranges`](super::ranges) and [`counters`](super::counters) leave that alone.
//!
//! Cost: a hit is one lock and one copy from the store into the reply, none if the value is large.

use super::arguments::reply_refused;
use super::context::Context;
use super::errors;
use super::set_options::{self, ExpiryOption, KeyCondition, NewExpiry, OptionSyntax};
use super::table::{CommandSpec, DENYOOM, FAST, READONLY, WRITE};
use crate::store::{Entry, Refused, Tree};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("get", 2, READONLY | FAST, get)
        .keys(1, 1, 1)
        .docs("string", "1.0.0", "key", "Returns the value of a key."),
    CommandSpec::new("set", -3, WRITE | DENYOOM, set)
        .keys(1, 1, 1)
        .receives(2)
        .access(&["RW access update variable_flags"])
        .docs(
            "string",
            "1.0.0",
            "key value [NX|XX] [GET] [EX seconds|PX milliseconds|EXAT time|PXAT time|KEEPTTL]",
            "Stores a value under a key, and replaces any old one.",
        ),
    CommandSpec::new("setnx", 3, WRITE | DENYOOM | FAST, setnx)
        .keys(1, 1, 1)
        .receives(2)
        .access(&["OW insert"])
        .docs(
            "string",
            "1.0.0",
            "key value",
            "Stores a value if the key doesn't exist.",
        ),
    CommandSpec::new("setex", 4, WRITE | DENYOOM, setex)
        .keys(1, 1, 1)
        .receives(3)
        .access(&["OW update"])
        .docs(
            "string",
            "2.0.0",
            "key seconds value",
            "Stores a value with an expiry in seconds.",
        ),
    CommandSpec::new("psetex", 4, WRITE | DENYOOM, psetex)
        .keys(1, 1, 1)
        .receives(3)
        .access(&["OW update"])
        .docs(
            "string",
            "2.6.0",
            "key milliseconds value",
            "Stores a value with an expiry in milliseconds.",
        ),
    CommandSpec::new("getset", 3, WRITE | DENYOOM | FAST, getset)
        .keys(1, 1, 1)
        .receives(2)
        .access(&["RW access update"])
        .docs(
            "string",
            "1.0.0",
            "key value",
            "Stores a value and returns the old one.",
        ),
    CommandSpec::new("getdel", 2, WRITE | FAST, getdel)
        .keys(1, 1, 1)
        .access(&["RW access delete"])
        .docs(
            "string",
            "6.2.0",
            "key",
            "Returns the value of a key and deletes the key.",
        ),
    CommandSpec::new("getex", -2, WRITE | FAST, getex)
        .keys(1, 1, 1)
        .access(&["RW access update"])
        .docs(
            "string",
            "6.2.0",
            "key [EX seconds|PX milliseconds|EXAT time|PXAT time|PERSIST]",
            "Returns the value of a key and sets its expiry.",
        ),
];

fn get(ctx: &mut Context<'_>) {
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    let found = tree.find(&[key]);
    if ctx.must_wait_for(&mut tree, &[key], found) {
        return tree.forget_miss();
    }
    let Some(node) = found else {
        return ctx.reply.null();
    };
    if !ctx.bulk_of(&mut tree, node) {
        ctx.reply.error(errors::WRONGTYPE);
    }
}

fn set(ctx: &mut Context<'_>) {
    if ctx.args.len() == 3 {
        return match store(ctx, 2, None) {
            Ok(()) => ctx.reply.ok(),
            Err(why) => reply_refused(&mut ctx.reply, why),
        };
    }
    let Some(options) = set_options::parse(ctx.args, 3, OptionSyntax::Set) else {
        return ctx.reply.error(errors::SYNTAX);
    };
    let now_ms = ctx.store.now_ms();
    let Some(expiry) = options.expiry.resolve(ctx, now_ms) else {
        return;
    };
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    let node = if options.get {
        tree.find(&[key])
    } else {
        tree.peek(&[key])
    };
    let mut old = None;
    if let Some(node) = node.filter(|_| options.get) {
        match tree.item(node).value() {
            Some(value) => old = Some(value.to_vec()),
            None => return ctx.reply.error(errors::WRONGTYPE),
        }
    }
    let allowed = match options.condition {
        KeyCondition::Always => true,
        KeyCondition::Absent => node.is_none(),
        KeyCondition::Present => node.is_some(),
    };
    if allowed {
        let expires_ms = match expiry {
            NewExpiry::Never => None,
            NewExpiry::Keep => node.and_then(|node| tree.item(node).expires_ms()),
            NewExpiry::At(time) => Some(time),
        };
        if let Err(why) = put(ctx, &mut tree, 2, expires_ms) {
            return reply_refused(&mut ctx.reply, why);
        }
        if expires_ms.is_some_and(|time| time <= now_ms)
            && let Some(node) = tree.peek(&[key])
        {
            tree.remove(node);
        }
    }
    match old {
        Some(old) => ctx.reply.bulk(&old),
        None if allowed && !options.get => ctx.reply.ok(),
        None => ctx.reply.null(),
    }
}

/// Stores the argument at `index` under the key, and replaces a stored item.
#[inline]
fn store(ctx: &mut Context<'_>, index: usize, expires_ms: Option<u64>) -> Result<(), Refused> {
    let mut tree = ctx.lock(ctx.args.get(1));
    put(ctx, &mut tree, index, expires_ms)
}

/// Stores the argument at `index`, or the value that was received in its place, under the key, whose lock is held.
#[inline]
fn put(
    ctx: &mut Context<'_>,
    tree: &mut Tree<'_>,
    index: usize,
    expires_ms: Option<u64>,
) -> Result<(), Refused> {
    let key = ctx.args.get(1);
    let entry = Entry {
        value: None,
        flags: 0,
        expires_ms,
    };
    let stored = match ctx.received.take() {
        Some(received) => tree.put_received(key, entry, received),
        None => {
            let value: Option<&[&[u8]]> = Some(&[ctx.args.get(index)]);
            tree.put(&[key], Entry { value, ..entry })
        }
    };
    stored.map(|_| ())
}

fn setnx(ctx: &mut Context<'_>) {
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    if tree.peek(&[key]).is_some() {
        return ctx.reply.integer(0);
    }
    match put(ctx, &mut tree, 2, None) {
        Ok(()) => ctx.reply.integer(1),
        Err(why) => reply_refused(&mut ctx.reply, why),
    }
}

fn setex(ctx: &mut Context<'_>) {
    set_for(ctx, ExpiryOption::Seconds(2));
}

fn psetex(ctx: &mut Context<'_>) {
    set_for(ctx, ExpiryOption::Milliseconds(2));
}

fn set_for(ctx: &mut Context<'_>, expiry: ExpiryOption) {
    let now_ms = ctx.store.now_ms();
    let Some(NewExpiry::At(time)) = expiry.resolve(ctx, now_ms) else {
        return;
    };
    match store(ctx, 3, Some(time)) {
        Ok(()) => ctx.reply.ok(),
        Err(why) => reply_refused(&mut ctx.reply, why),
    }
}

fn getset(ctx: &mut Context<'_>) {
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    let old = match tree.find(&[key]) {
        None => None,
        Some(node) => match tree.item(node).value() {
            Some(value) => Some(value.to_vec()),
            None => return ctx.reply.error(errors::WRONGTYPE),
        },
    };
    if let Err(why) = put(ctx, &mut tree, 2, None) {
        return reply_refused(&mut ctx.reply, why);
    }
    match old {
        Some(old) => ctx.reply.bulk(&old),
        None => ctx.reply.null(),
    }
}

fn getdel(ctx: &mut Context<'_>) {
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    let Some(node) = tree.find(&[key]) else {
        tree.note_removal(&[key]);
        return ctx.reply.null();
    };
    match tree.item(node).value() {
        Some(value) => ctx.reply.bulk(value),
        None => return ctx.reply.error(errors::WRONGTYPE),
    }
    tree.remove(node);
}

fn getex(ctx: &mut Context<'_>) {
    let Some(options) = set_options::parse(ctx.args, 2, OptionSyntax::Getex) else {
        return ctx.reply.error(errors::SYNTAX);
    };
    let now_ms = ctx.store.now_ms();
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    let Some(node) = tree.find(&[key]) else {
        return ctx.reply.null();
    };
    if tree.item(node).value().is_none() {
        return ctx.reply.error(errors::WRONGTYPE);
    }
    // The time is read only if there is an expiry, as in Redis.
    let Some(expiry) = options.expiry.resolve(ctx, now_ms) else {
        return;
    };
    ctx.reply.bulk(tree.item(node).value().unwrap_or_default());
    match expiry {
        NewExpiry::Keep => {}
        NewExpiry::At(time) if time <= now_ms => tree.remove(node),
        NewExpiry::At(time) => {
            tree.set_expiry(node, Some(time));
            tree.bump(node);
        }
        NewExpiry::Never => {
            if tree.item(node).expires_ms().is_some() {
                tree.set_expiry(node, None);
                tree.bump(node);
            }
        }
    }
}
