//! Hashes: fields and their values under one key.
//!
//! A hash is a node with children: a field is a child's name, its value the child's value. So a value that memcached stores
//! under the path `user name` is `HGET user name`, and `getn` reads a field. A hash that a command here
//! creates has no value of its own and is removed with its last field; a node that memcached gave a value is a string
//! again when its last field is removed. Fields come in the order in which they were added, until one is deleted and the last one
//! moves to its position.
//!
//! Cost: one lock for the key, one look-up for it and one for each field. A command that answers many fields copies
//! them into the reply and nowhere else, except that a large hash is read in pieces: `fields_in_pieces`.

use super::arguments::{is_hash, reply_refused};
use super::context::Context;
use super::errors;
use super::large_reply::FieldsReply;
use super::table::{CommandSpec, DENYOOM, FAST, READONLY, WRITE};
use crate::protocol::resp::Reply;
use crate::service::large_read::PastReads;
use crate::store::{Entry, Item, Node, Refused, Tree};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("hset", -4, WRITE | DENYOOM | FAST, hset)
        .keys(1, 1, 1)
        .docs(
            "hash",
            "2.0.0",
            "key field value [field value ...]",
            "Stores fields of a hash and returns the number of new ones.",
        ),
    CommandSpec::new("hmset", -4, WRITE | DENYOOM | FAST, hmset)
        .keys(1, 1, 1)
        .docs(
            "hash",
            "2.0.0",
            "key field value [field value ...]",
            "Stores fields of a hash; HSET's old name.",
        ),
    CommandSpec::new("hsetnx", 4, WRITE | DENYOOM | FAST, hsetnx)
        .keys(1, 1, 1)
        .access(&["RW insert"])
        .docs(
            "hash",
            "2.0.0",
            "key field value",
            "Stores a field of a hash if it doesn't exist.",
        ),
    CommandSpec::new("hget", 3, READONLY | FAST, hget)
        .keys(1, 1, 1)
        .docs(
            "hash",
            "2.0.0",
            "key field",
            "Returns the value of a field.",
        ),
    CommandSpec::new("hmget", -3, READONLY | FAST, hmget)
        .keys(1, 1, 1)
        .docs(
            "hash",
            "2.0.0",
            "key field [field ...]",
            "Returns the values of some fields.",
        ),
    CommandSpec::new("hgetall", 2, READONLY, hgetall)
        .keys(1, 1, 1)
        .docs(
            "hash",
            "2.0.0",
            "key",
            "Returns every field with its value.",
        ),
    CommandSpec::new("hkeys", 2, READONLY, hkeys)
        .keys(1, 1, 1)
        .docs("hash", "2.0.0", "key", "Returns every field."),
    CommandSpec::new("hvals", 2, READONLY, hvals)
        .keys(1, 1, 1)
        .docs("hash", "2.0.0", "key", "Returns every field's value."),
    CommandSpec::new("hdel", -3, WRITE | FAST, hdel)
        .keys(1, 1, 1)
        .access(&["RW delete"])
        .docs(
            "hash",
            "2.0.0",
            "key field [field ...]",
            "Deletes fields and returns the number of those that existed.",
        ),
    CommandSpec::new("hlen", 2, READONLY | FAST, hlen)
        .keys(1, 1, 1)
        .access(&["RO"])
        .docs("hash", "2.0.0", "key", "Returns the number of fields."),
    CommandSpec::new("hexists", 3, READONLY | FAST, hexists)
        .keys(1, 1, 1)
        .access(&["RO"])
        .docs(
            "hash",
            "2.0.0",
            "key field",
            "Returns whether a field exists.",
        ),
    CommandSpec::new("hstrlen", 3, READONLY | FAST, hstrlen)
        .keys(1, 1, 1)
        .access(&["RO"])
        .docs(
            "hash",
            "3.2.0",
            "key field",
            "Returns the length of a field's value.",
        ),
];

/// Finds the hash under the key for a reader, with its shard locked. `Err` if the key holds a string: the error
/// is answered already.
pub(super) fn find_hash<'a>(ctx: &mut Context<'a>) -> Result<(Tree<'a>, Option<Node>), ()> {
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    let node = tree.find(&[key]);
    checked(ctx, tree, node)
}

/// The same for a writer, which counts neither as hit nor as miss.
pub(super) fn peek_hash<'a>(ctx: &mut Context<'a>) -> Result<(Tree<'a>, Option<Node>), ()> {
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    let node = tree.peek(&[key]);
    checked(ctx, tree, node)
}

#[inline]
fn checked<'a>(
    ctx: &mut Context<'a>,
    mut tree: Tree<'a>,
    node: Option<Node>,
) -> Result<(Tree<'a>, Option<Node>), ()> {
    if node.is_some_and(|node| !is_hash(&mut tree, node)) {
        ctx.reply.error(errors::WRONGTYPE);
        return Err(());
    }
    Ok((tree, node))
}

/// Stores one field. The hash, and whether the field is new.
#[inline]
pub(super) fn store(
    tree: &mut Tree<'_>,
    key: &[u8],
    hash: Option<Node>,
    field: &[u8],
    value: &[u8],
) -> Result<(Node, bool), Refused> {
    let value: &[&[u8]] = &[value];
    let entry = Entry {
        value: Some(value),
        ..Entry::default()
    };
    let Some(hash) = hash else {
        let hash = tree.put(&[key], Entry::default())?;
        return match tree.put_child(hash, field, entry) {
            Ok(_) => Ok((hash, true)),
            Err(why) => {
                tree.remove(hash);
                Err(why)
            }
        };
    };
    match tree.child(hash, field) {
        Some(node) => {
            tree.set_value(node, value)?;
            // Fields have no expiry in Redis; memcached may have given this one.
            if tree.item(node).expires_ms().is_some() {
                tree.set_expiry(node, None);
            }
            Ok((hash, false))
        }
        None => tree.put_child(hash, field, entry).map(|_| (hash, true)),
    }
}

/// Stores every pair of the arguments and counts the new fields; `None` when an error was answered.
fn store_all(ctx: &mut Context<'_>) -> Option<i64> {
    if ctx.args.len() % 2 == 1 {
        let error = format!("ERR wrong number of arguments for '{}' command", ctx.name);
        ctx.reply.error(error);
        return None;
    }
    let (mut tree, mut hash) = peek_hash(ctx).ok()?;
    let most = ctx.store.max_item_size();
    let key = ctx.args.get(1);
    let pairs = || {
        let fields = ctx.args.from(2);
        fields
            .iter()
            .step_by(2)
            .zip(ctx.args.from(3).iter().step_by(2))
    };
    // All of them or none: a pair that is too large is found before the first is stored.
    if pairs().any(|(field, value)| field.len() + value.len() > most) {
        reply_refused(&mut ctx.reply, Refused::TooLarge);
        return None;
    }
    let mut count = 0;
    for (field, value) in pairs() {
        match store(&mut tree, key, hash, field, value) {
            Ok((node, new)) => {
                hash = Some(node);
                count += i64::from(new);
            }
            Err(why) => {
                reply_refused(&mut ctx.reply, why);
                return None;
            }
        }
    }
    Some(count)
}

fn hset(ctx: &mut Context<'_>) {
    if let Some(count) = store_all(ctx) {
        ctx.reply.integer(count);
    }
}

fn hmset(ctx: &mut Context<'_>) {
    if store_all(ctx).is_some() {
        ctx.reply.ok();
    }
}

fn hsetnx(ctx: &mut Context<'_>) {
    let Ok((mut tree, hash)) = peek_hash(ctx) else {
        return;
    };
    let field = ctx.args.get(2);
    if hash.is_some_and(|hash| tree.child(hash, field).is_some()) {
        return ctx.reply.integer(0);
    }
    let key = ctx.args.get(1);
    match store(&mut tree, key, hash, field, ctx.args.get(3)) {
        Ok(_) => ctx.reply.integer(1),
        Err(why) => reply_refused(&mut ctx.reply, why),
    }
}

/// Finds a field for a reader. The origin is asked for one that is missing, under the path of key and field.
#[inline]
fn field(
    ctx: &mut Context<'_>,
    tree: &mut Tree<'_>,
    hash: Option<Node>,
    name: &[u8],
) -> Option<Node> {
    let node = hash.and_then(|hash| tree.child(hash, name));
    let key = ctx.args.get(1);
    ctx.must_wait_for(tree, &[key, name], node);
    node
}

fn hget(ctx: &mut Context<'_>) {
    let Ok((mut tree, hash)) = find_hash(ctx) else {
        return;
    };
    match field(ctx, &mut tree, hash, ctx.args.get(2)) {
        Some(node) => ctx.reply.bulk(tree.item(node).value().unwrap_or_default()),
        None => ctx.reply.null(),
    }
}

fn hmget(ctx: &mut Context<'_>) {
    let Ok((mut tree, hash)) = find_hash(ctx) else {
        return;
    };
    let fields = ctx.args.from(2);
    ctx.reply.array(fields.len());
    for field in fields.iter() {
        if ctx.reply.overflowed() {
            return;
        }
        match self::field(ctx, &mut tree, hash, field) {
            Some(node) => ctx.reply.bulk(tree.item(node).value().unwrap_or_default()),
            None => ctx.reply.null(),
        }
    }
}

/// Appends the name of a field.
pub(super) fn append_name(reply: &mut Reply<'_>, field: &Item<'_>) {
    reply.bulk(field.key());
}

/// Appends the value of a field.
pub(super) fn append_value(reply: &mut Reply<'_>, field: &Item<'_>) {
    reply.bulk(field.value().unwrap_or_default());
}

fn hgetall(ctx: &mut Context<'_>) {
    ctx.answer_fields(FieldsReply {
        head: |reply, count| reply.map(count),
        field: |reply, field| {
            append_name(reply, field);
            append_value(reply, field);
        },
    });
}

fn hkeys(ctx: &mut Context<'_>) {
    ctx.answer_fields(FieldsReply {
        head: |reply, count| reply.array(count),
        field: append_name,
    });
}

fn hvals(ctx: &mut Context<'_>) {
    ctx.answer_fields(FieldsReply {
        head: |reply, count| reply.array(count),
        field: append_value,
    });
}

fn hdel(ctx: &mut Context<'_>) {
    let Ok((mut tree, mut hash)) = peek_hash(ctx) else {
        return;
    };
    let key = ctx.args.get(1);
    let mut count = 0;
    for field in ctx.args.from(2).iter() {
        let Some(node) = hash.and_then(|hash| tree.child(hash, field)) else {
            tree.note_removal(&[key, field]);
            continue;
        };
        tree.remove(node);
        count += 1;
        // A hash without a value is removed with its last field.
        hash = tree.peek(&[key]);
    }
    ctx.reply.integer(count);
}

fn hlen(ctx: &mut Context<'_>) {
    const COUNT: FieldsReply = FieldsReply {
        head: |reply, count| reply.integer(count as i64),
        field: |_, _| {},
    };
    if ctx.is_reading() {
        return ctx.answer_fields(COUNT);
    }
    let Ok((tree, hash)) = find_hash(ctx) else {
        return;
    };
    match hash {
        Some(node) if tree.has_to_count(node) => {
            ctx.answer_hash(tree, hash, COUNT, PastReads::default());
        }
        _ => {
            let count = hash.map_or(0, |hash| tree.listed_children(hash));
            ctx.reply.integer(count as i64);
        }
    }
}

fn hexists(ctx: &mut Context<'_>) {
    let Ok((mut tree, hash)) = find_hash(ctx) else {
        return;
    };
    let node = hash.and_then(|hash| tree.child(hash, ctx.args.get(2)));
    ctx.reply.integer(i64::from(node.is_some()));
}

fn hstrlen(ctx: &mut Context<'_>) {
    let Ok((mut tree, hash)) = find_hash(ctx) else {
        return;
    };
    let node = hash.and_then(|hash| tree.child(hash, ctx.args.get(2)));
    let value = node.and_then(|node| tree.item(node).value());
    ctx.reply.integer(value.map_or(0, <[u8]>::len) as i64);
}
