//! Keys whatever they hold: are they there, what are they, away with them.
//!
//! A key is a top-level node, with all that hangs below it. EXISTS, TYPE and OBJECT leave no trace; TOUCH is there to
//! leave one.

use super::arguments::is_hash;
use super::command::help;
use super::session::Ctx;
use super::table::{Command, FAST, READONLY, WRITE};
use crate::protocol::resp::parse_integer;
use crate::store::{Node, Tree};

pub(super) const COMMANDS: &[Command] = &[
    Command::new("del", -2, WRITE, del).keys(1, -1, 1).docs(
        "generic",
        "1.0.0",
        "key [key ...]",
        "Deletes keys and returns how many there were.",
    ),
    Command::new("unlink", -2, WRITE | FAST, del)
        .keys(1, -1, 1)
        .docs(
            "generic",
            "4.0.0",
            "key [key ...]",
            "Deletes keys, as DEL does.",
        ),
    Command::new("exists", -2, READONLY | FAST, exists)
        .keys(1, -1, 1)
        .docs(
            "generic",
            "1.0.0",
            "key [key ...]",
            "Returns how many of the keys are there; one that is named twice counts twice.",
        ),
    Command::new("touch", -2, READONLY | FAST, touch)
        .keys(1, -1, 1)
        .docs(
            "generic",
            "3.2.1",
            "key [key ...]",
            "Marks keys as used and returns how many there are.",
        ),
    Command::new("type", 2, READONLY | FAST, kind)
        .keys(1, 1, 1)
        .docs(
            "generic",
            "1.0.0",
            "key",
            "Returns what a key holds: string, hash or none.",
        ),
    Command::new("randomkey", 1, READONLY, randomkey).docs(
        "generic",
        "1.0.0",
        "",
        "Returns a key by chance.",
    ),
    Command::new("object", -2, 0, help)
        .subcommands(OBJECT)
        .docs("generic", "2.2.3", "", "Tells how a key is kept."),
];

const OBJECT: &[Command] = &[
    Command::new("encoding", 3, READONLY, encoding)
        .keys(2, 2, 1)
        .docs(
            "generic",
            "2.2.3",
            "key",
            "Returns the encoding that Redis would choose for a key.",
        ),
    Command::new("freq", 3, READONLY, freq).keys(2, 2, 1).docs(
        "generic",
        "4.0.0",
        "key",
        "Answers that access frequencies are not tracked.",
    ),
    Command::new("help", 2, 0, help).docs("generic", "6.2.0", "", "Lists the subcommands."),
    Command::new("idletime", 3, READONLY, idletime)
        .keys(2, 2, 1)
        .docs(
            "generic",
            "2.2.3",
            "key",
            "Returns the seconds since a key was used.",
        ),
    Command::new("refcount", 3, READONLY, refcount)
        .keys(2, 2, 1)
        .docs(
            "generic",
            "2.2.3",
            "key",
            "Returns the number of references to a value, which is one.",
        ),
];

fn del(ctx: &mut Ctx<'_>) {
    let db = ctx.client.db();
    let mut count = 0;
    for key in ctx.args.from(1).iter() {
        let mut tree = ctx.store.lock(key);
        if let Some(node) = tree.peek(db, &[key]) {
            tree.remove(node);
            count += 1;
        }
    }
    ctx.reply.integer(count);
}

fn exists(ctx: &mut Ctx<'_>) {
    let db = ctx.client.db();
    let keys = ctx.args.from(1);
    let count = keys
        .iter()
        .filter(|key| ctx.store.lock(key).peek(db, &[key]).is_some())
        .count();
    ctx.reply.integer(count as i64);
}

fn touch(ctx: &mut Ctx<'_>) {
    let db = ctx.client.db();
    let keys = ctx.args.from(1);
    let count = keys
        .iter()
        .filter(|key| ctx.store.lock(key).find(db, &[key]).is_some())
        .count();
    ctx.reply.integer(count as i64);
}

fn kind(ctx: &mut Ctx<'_>) {
    let key = ctx.args.get(1);
    let mut tree = ctx.store.lock(key);
    ctx.reply.simple(match tree.peek(ctx.client.db(), &[key]) {
        None => "none",
        Some(node) if is_hash(&mut tree, node) => "hash",
        Some(_) => "string",
    });
}

fn randomkey(ctx: &mut Ctx<'_>) {
    match ctx.store.random_key(ctx.client.db()) {
        Some(key) => ctx.reply.bulk(&key),
        None => ctx.reply.null(),
    }
}

/// Runs `answer` on the key of an OBJECT subcommand; a missing one is answered with null.
fn object(ctx: &mut Ctx<'_>, answer: impl FnOnce(&mut Ctx<'_>, &mut Tree<'_>, Node)) {
    let key = ctx.args.get(2);
    let mut tree = ctx.store.lock(key);
    match tree.peek(ctx.client.db(), &[key]) {
        Some(node) => answer(ctx, &mut tree, node),
        None => ctx.reply.null(),
    }
}

/// The encoding that Redis 7.0 chooses for such a value when it is new; larder has only one of its own.
fn encoding(ctx: &mut Ctx<'_>) {
    /// hash-max-listpack-entries
    const MOST_ENTRIES: usize = 128;
    /// hash-max-listpack-value
    const LONGEST_ENTRY: usize = 64;
    /// What fits into one allocation of 64 bytes together with its head.
    const LONGEST_EMBEDDED: usize = 44;

    object(ctx, |ctx, tree, node| {
        let encoding = if is_hash(tree, node) {
            let small = tree.child_count(node) <= MOST_ENTRIES
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

fn idletime(ctx: &mut Ctx<'_>) {
    object(ctx, |ctx, tree, node| {
        let idle_ms = tree
            .now_ms()
            .saturating_sub(tree.item(node).last_access_ms());
        ctx.reply.integer((idle_ms / 1000) as i64);
    });
}

fn refcount(ctx: &mut Ctx<'_>) {
    object(ctx, |ctx, _, _| ctx.reply.integer(1));
}

/// What Redis answers when it doesn't evict by frequency, which larder never does.
const NO_FREQUENCY: &str = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that \
    when switching between policies at runtime LRU and LFU data will take some time to adjust.";

fn freq(ctx: &mut Ctx<'_>) {
    object(ctx, |ctx, _, _| ctx.reply.error(NO_FREQUENCY));
}
