//! The answer of COMMAND and COMMAND INFO about one command: arity, flags, categories, positions of its
//! keys.

use super::context::Context;
use super::table::{
    ADMIN, CONNECTION, CommandEntry, CommandSpec, DANGEROUS, DENYOOM, FAST, NO_AUTH, READONLY,
    WRITE, table,
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

/// The categories of Redis's access control, which clients use to tell reads from writes. They
/// begin with an `@`.
pub(super) fn categories(command: &CommandSpec) -> Vec<&'static str> {
    let mut categories = Vec::new();
    // A container belongs to no group itself.
    let group = match command.subcommands {
        [] => command.group,
        _ => "",
    };
    if group == "generic"
        || group == "server" && command.is(WRITE | READONLY) && command.keys.0 == 0
    {
        categories.push("@keyspace");
    }
    categories.extend(named(command, &[(READONLY, "@read"), (WRITE, "@write")]));
    match group {
        "string" => categories.push("@string"),
        "hash" => categories.push("@hash"),
        _ => {}
    }
    categories.extend(named(command, &[(ADMIN, "@admin")]));
    categories.push(if command.is(FAST) { "@fast" } else { "@slow" });
    categories.extend(named(command, &[(DANGEROUS, "@dangerous")]));
    match group {
        _ if command.is(CONNECTION) => categories.push("@connection"),
        "connection" => categories.push("@connection"),
        "transactions" => categories.push("@transaction"),
        _ => {}
    }
    categories
}

/// The names of those flags that a command has.
fn named(command: &CommandSpec, names: &[(u32, &'static str)]) -> Vec<&'static str> {
    let has = |(flag, name): &(u32, &'static str)| command.is(*flag).then_some(*name);
    names.iter().filter_map(has).collect()
}
