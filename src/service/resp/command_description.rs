//! What COMMAND and COMMAND INFO tell about a command: arity, flags, categories, where its keys are.

use super::context::Context;
use super::table::{
    ADMIN, CommandEntry, CommandSpec, DANGEROUS, DENYOOM, FAST, NO_AUTH, READONLY, WRITE, table,
};

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
    reply.set(usize::from(first > 0));
    if first > 0 {
        key_specification(ctx, command);
    }
    let subcommands = table().subcommands(entry);
    ctx.reply.set(subcommands.len());
    for subcommand in subcommands {
        describe(ctx, subcommand);
    }
}

/// Where the keys are, in the words of Redis 7: begin at an argument, take every so many up to the
/// last.
fn key_specification(ctx: &mut Context<'_>, command: &CommandSpec) {
    let (first, last, step) = command.keys;
    let reply = &mut ctx.reply;
    reply.map(3);
    reply.bulk(b"flags");
    let access = access(command);
    reply.set(access.len());
    for flag in access {
        reply.simple(flag);
    }
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
    // Told from the first key when it is counted from the front.
    reply.integer(if last < 0 { last } else { last - first }.into());
    reply.bulk(b"keystep");
    reply.integer(step.into());
    reply.bulk(b"limit");
    reply.integer(0);
}

/// What a command does to its keys, in the words of Redis's key specifications.
pub(super) fn access(command: &CommandSpec) -> &'static [&'static str] {
    if command.is(READONLY) {
        &["RO", "access"]
    } else {
        &["RW", "update"]
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
    match command.group {
        "generic" => categories.push("@keyspace"),
        "server" if command.is(WRITE | READONLY) => categories.push("@keyspace"),
        _ => {}
    }
    categories.extend(named(command, &[(READONLY, "@read"), (WRITE, "@write")]));
    match command.group {
        "string" => categories.push("@string"),
        "hash" => categories.push("@hash"),
        _ => {}
    }
    categories.extend(named(command, &[(ADMIN, "@admin")]));
    categories.push(if command.is(FAST) { "@fast" } else { "@slow" });
    categories.extend(named(command, &[(DANGEROUS, "@dangerous")]));
    match command.group {
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
