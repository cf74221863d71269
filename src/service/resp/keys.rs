//! Commands on keys of any type: existence, type, deletion.
//!
//! A key is a top-level node with everything below it. EXISTS, TYPE and OBJECT don't count as a use of the key; TOUCH
//! does.

use super::arguments::is_hash;
use super::command_docs::help;
use super::context::Context;
use super::table::{CommandSpec, FAST, READONLY, WRITE};
use crate::protocol::resp::parse_integer;
use crate::store::{Node, Tree};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("del", -2, WRITE, del)
        .keys(1, -1, 1)
        .access(&["RM delete"])
        .docs(
            "generic",
            "1.0.0",
            "key [key ...]",
            "Deletes keys and returns the number of those that existed.",
        ),
    CommandSpec::new("unlink", -2, WRITE | FAST, del)
        .keys(1, -1, 1)
        .access(&["RM delete"])
        .docs(
            "generic",
            "4.0.0",
            "key [key ...]",
            "Deletes keys, as DEL does.",
        ),
    CommandSpec::new("exists", -2, READONLY | FAST, exists)
        .keys(1, -1, 1)
        .access(&["RO"])
        .docs(
            "generic",
            "1.0.0",
            "key [key ...]",
            "Returns the number of keys that exist; a key that is named twice counts twice.",
        ),
    CommandSpec::new("touch", -2, READONLY | FAST, touch)
        .keys(1, -1, 1)
        .access(&["RO"])
        .docs(
            "generic",
            "3.2.1",
            "key [key ...]",
            "Marks keys as used and returns the number of those that exist.",
        ),
    CommandSpec::new("type", 2, READONLY | FAST, key_type)
        .keys(1, 1, 1)
        .access(&["RO"])
        .docs(
            "generic",
            "1.0.0",
            "key",
            "Returns the type of a key: string, hash or none.",
        ),
    CommandSpec::new("randomkey", 1, READONLY, randomkey).docs(
        "generic",
        "1.0.0",
        "",
        "Returns a random key.",
    ),
    CommandSpec::new("object", -2, 0, help)
        .subcommands(OBJECT)
        .docs(
            "generic",
            "2.2.3",
            "",
            "A container for commands about the storage of keys.",
        ),
];

const OBJECT: &[CommandSpec] = &[
    CommandSpec::new("encoding", 3, READONLY, encoding)
        .keys(2, 2, 1)
        .access(&["RO"])
        .docs(
            "generic",
            "2.2.3",
            "key",
            "Returns the encoding that Redis would choose for a key.",
        ),
    CommandSpec::new("freq", 3, READONLY, freq)
        .keys(2, 2, 1)
        .access(&["RO"])
        .docs(
            "generic",
            "4.0.0",
            "key",
            "Answers an error: access frequencies are not tracked.",
        ),
    CommandSpec::new("help", 2, 0, help).docs("generic", "6.2.0", "", "Lists the subcommands."),
    CommandSpec::new("idletime", 3, READONLY, idletime)
        .keys(2, 2, 1)
        .access(&["RO"])
        .docs(
            "generic",
            "2.2.3",
            "key",
            "Returns the seconds since a key was used.",
        ),
    CommandSpec::new("refcount", 3, READONLY, refcount)
        .keys(2, 2, 1)
        .access(&["RO"])
        .docs(
            "generic",
            "2.2.3",
            "key",
            "Returns the number of references to a value, which is one.",
        ),
];

fn del(ctx: &mut Context<'_>) {
    let mut count = 0;
    for key in ctx.args.from(1).iter() {
        count += i64::from(remove(ctx, key));
    }
    ctx.reply.integer(count);
}

/// Removes a key of the selected database; whether it existed.
pub(super) fn remove(ctx: &Context<'_>, key: &[u8]) -> bool {
    let mut tree = ctx.lock(key);
    let node = tree.peek(&[key]);
    match node {
        Some(node) => tree.remove(node),
        None => tree.note_removal(&[key]),
    }
    node.is_some()
}

fn exists(ctx: &mut Context<'_>) {
    let keys = ctx.args.from(1);
    let count = keys
        .iter()
        .filter(|key| ctx.lock(key).find_unmarked(&[key]).is_some())
        .count();
    ctx.reply.integer(count as i64);
}

fn touch(ctx: &mut Context<'_>) {
    let keys = ctx.args.from(1);
    let count = keys
        .iter()
        .filter(|key| ctx.lock(key).find(&[key]).is_some())
        .count();
    ctx.reply.integer(count as i64);
}

fn key_type(ctx: &mut Context<'_>) {
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    ctx.reply.simple(match tree.find_unmarked(&[key]) {
        None => "none",
        Some(node) if is_hash(&mut tree, node) => "hash",
        Some(_) => "string",
    });
}

fn randomkey(ctx: &mut Context<'_>) {
    match ctx.store.random_key(ctx.client.db()) {
        Some(key) => ctx.reply.bulk(&key),
        None => ctx.reply.null(),
    }
}

/// Runs `answer` on the key of an OBJECT subcommand; a missing one is answered with null.
fn object(ctx: &mut Context<'_>, answer: impl FnOnce(&mut Context<'_>, &mut Tree<'_>, Node)) {
    let key = ctx.args.get(2);
    let mut tree = ctx.lock(key);
    match tree.find_unmarked(&[key]) {
        Some(node) => answer(ctx, &mut tree, node),
        None => ctx.reply.null(),
    }
}

/// The encoding that Redis 7.0 chooses for such a value when it is new; larder has only one of its own.
fn encoding(ctx: &mut Context<'_>) {
    /// hash-max-listpack-entries
    const MOST_ENTRIES: usize = 128;
    /// hash-max-listpack-value
    const LONGEST_ENTRY: usize = 64;
    /// The longest value that fits into one allocation of 64 bytes together with its head.
    const LONGEST_EMBEDDED: usize = 44;

    object(ctx, |ctx, tree, node| {
        let encoding = if is_hash(tree, node) {
            let small = tree.listed_children(node) <= MOST_ENTRIES
                && tree.children(node).into_iter().all(|child| {
                    let item = tree.item(child);
                    item.key().len() <= LONGEST_ENTRY
                        && item.value().unwrap_or_default().len() <= LONGEST_ENTRY
                });
            if small { "listpack" } else { "hashtable" }
        } else {
            match tree.item(node).value().unwrap_or_default() {
                value if parse_integer(value).is_some() => "int",
                value if value.len() <= LONGEST_EMBEDDED => "embstr",
                _ => "raw",
            }
        };
        ctx.reply.bulk(encoding.as_bytes());
    });
}

fn idletime(ctx: &mut Context<'_>) {
    object(ctx, |ctx, tree, node| {
        let idle_ms = tree
            .now_ms()
            .saturating_sub(tree.item(node).last_access_ms());
        ctx.reply.integer((idle_ms / 1000) as i64);
    });
}

fn refcount(ctx: &mut Context<'_>) {
    object(ctx, |ctx, _, _| ctx.reply.integer(1));
}

/// Redis's answer when it doesn't evict by frequency; larder never does.
const NO_FREQUENCY: &str = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that \
    when switching between policies at runtime LRU and LFU data will take some time to adjust.";

fn freq(ctx: &mut Context<'_>) {
    object(ctx, |ctx, _, _| ctx.reply.error(NO_FREQUENCY));
}
