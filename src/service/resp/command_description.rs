//! The answer of COMMAND and COMMAND INFO about one command: arity, flags, categories, positions of its
//! keys.

use super::categories::{categories, named};
use super::context::Context;
use super::table::{
    ADMIN, CommandEntry, CommandSpec, DENYOOM, FAST, NO_AUTH, READONLY, WRITE, table,
};
use crate::protocol::resp::Reply;

/// One element of COMMAND's answer.
pub(super) fn describe(ctx: &mut Context<'_>, entry: &CommandEntry) {
    let command = entry.command;
    let reply = &mut ctx.reply;
    reply.array(10);
    reply.bulk(entry.name.as_bytes());
    reply.integer(command.arity.into());
    let flags = flags(command);
    reply.set(flags.len());
    for flag in flags {
        reply.simple(flag);
    }
    let (first, last, step) = command.keys;
    for position in [first, last, step] {
        reply.integer(position.into());
    }
    let categories = categories(command);
    reply.set(categories.len());
    for category in categories {
        reply.simple(category);
    }
    // No tips for clients that spread commands over a cluster.
    reply.set(0);
    key_specifications(ctx, command);
    let subcommands = table().subcommands(entry);
    ctx.reply.set(subcommands.len());
    for subcommand in subcommands {
        describe(ctx, subcommand);
    }
}

/// The positions of the keys, in the words of Redis 7: the first argument, a step, and the last one. Keys with
/// different kinds of access have a specification each.
fn key_specifications(ctx: &mut Context<'_>, command: &CommandSpec) {
    let (first, last, step) = command.keys;
    if first == 0 {
        return ctx.reply.set(0);
    }
    ctx.reply.set(command.access.len());
    if let [access] = command.access {
        // Counted from the first key, unless it counts from the end.
        let last = if last < 0 { last } else { last - first };
        return key_specification(ctx, access, (first, last, step));
    }
    for (key, access) in (first..).zip(command.access) {
        key_specification(ctx, access, (key, 0, step));
    }
}

fn key_specification(ctx: &mut Context<'_>, access: &str, (first, last, step): (i32, i32, i32)) {
    let reply = &mut ctx.reply;
    reply.map(3);
    reply.bulk(b"flags");
    reply_access(reply, access);
    reply.bulk(b"begin_search");
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(b"index");
    reply.bulk(b"spec");
    reply.map(1);
    reply.bulk(b"index");
    reply.integer(first.into());
    reply.bulk(b"find_keys");
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(b"range");
    reply.bulk(b"spec");
    reply.map(3);
    reply.bulk(b"lastkey");
    reply.integer(last.into());
    reply.bulk(b"keystep");
    reply.integer(step.into());
    reply.bulk(b"limit");
    reply.integer(0);
}

/// The words of an access as a set.
pub(super) fn reply_access(reply: &mut Reply<'_>, access: &str) {
    reply.set(access.split(' ').count());
    for flag in access.split(' ') {
        reply.simple(flag);
    }
}

fn flags(command: &CommandSpec) -> Vec<&'static str> {
    named(
        command,
        &[
            (WRITE, "write"),
            (READONLY, "readonly"),
            (DENYOOM, "denyoom"),
            (ADMIN, "admin"),
            (FAST, "fast"),
            (NO_AUTH, "no_auth"),
        ],
    )
}
