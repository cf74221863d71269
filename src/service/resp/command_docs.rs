//! COMMAND: describes the table of commands to clients; and the HELP of every container, made from the
//! same table.

use super::categories::categories;
use super::command_description::{describe, reply_access};
use super::command_keys::{has_keys, key_access, key_positions};
use super::context::Context;
use super::errors;
use super::glob;
use super::table::{CONNECTION, CommandEntry, CommandLookup, CommandSpec, table};
use crate::protocol::resp::CommandArgs;

const GROUP: &str = "server";

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec::new("command", -1, CONNECTION, all)
    .docs(GROUP, "2.8.13", "", "Describes all commands.")
    .subcommands(&[
        CommandSpec::new("count", 2, CONNECTION, count).docs(
            GROUP,
            "2.8.13",
            "",
            "Counts the commands.",
        ),
        CommandSpec::new("docs", -2, CONNECTION, docs).docs(
            GROUP,
            "7.0.0",
            "[command-name [command-name ...]]",
            "Returns the documentation of commands.",
        ),
        CommandSpec::new("getkeys", -4, CONNECTION, getkeys).docs(
            GROUP,
            "2.8.13",
            "command [arg [arg ...]]",
            "Returns which arguments of a command are keys.",
        ),
        CommandSpec::new("getkeysandflags", -4, CONNECTION, getkeysandflags).docs(
            GROUP,
            "7.0.0",
            "command [arg [arg ...]]",
            "Returns the arguments of a command that are keys, and the access to them.",
        ),
        CommandSpec::new("help", 2, CONNECTION, help).docs(GROUP, "5.0.0", "", "Shows this list."),
        CommandSpec::new("info", -2, CONNECTION, info).docs(
            GROUP,
            "2.8.13",
            "[command-name [command-name ...]]",
            "Describes commands.",
        ),
        CommandSpec::new("list", -2, CONNECTION, list).docs(
            GROUP,
            "7.0.0",
            "[FILTERBY MODULE name|ACLCAT category|PATTERN pattern]",
            "Lists names of commands.",
        ),
    ])];

/// The HELP of a container: its subcommands, their arguments, their summaries.
pub(super) fn help(ctx: &mut Context<'_>) {
    let Some(container) = table().command(ctx.args.get(0)) else {
        return ctx.reply.error(errors::SYNTAX);
    };
    let subcommands = table().subcommands(container);
    ctx.reply.array(1 + 2 * subcommands.len());
    let name = container.name.to_ascii_uppercase();
    ctx.reply.simple(&format!(
        "{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    ));
    for subcommand in subcommands {
        let name = subcommand.command.name.to_ascii_uppercase();
        let usage = format!("{name} {}", subcommand.command.syntax);
        ctx.reply.simple(usage.trim_end());
        ctx.reply
            .simple(&format!("    {}", subcommand.command.summary));
    }
}

fn all(ctx: &mut Context<'_>) {
    ctx.reply.array(table().commands().count());
    for entry in table().commands() {
        describe(ctx, entry);
    }
}

fn count(ctx: &mut Context<'_>) {
    ctx.reply.integer(table().commands().count() as i64);
}

fn info(ctx: &mut Context<'_>) {
    let names = ctx.args.from(2);
    if names.is_empty() {
        return all(ctx);
    }
    ctx.reply.array(names.len());
    for name in names.iter() {
        // The rest would not be sent.
        if ctx.reply.overflowed() {
            return;
        }
        match table().by_full_name(name) {
            Some(entry) => describe(ctx, entry),
            None => ctx.reply.null(),
        }
    }
}

fn docs(ctx: &mut Context<'_>) {
    let names = ctx.args.from(2);
    let wanted: Vec<_> = if names.is_empty() {
        table().commands().collect()
    } else {
        names
            .iter()
            .filter_map(|name| table().by_full_name(name))
            .collect()
    };
    ctx.reply.map(wanted.len());
    for entry in wanted {
        if ctx.reply.overflowed() {
            return;
        }
        document(ctx, entry);
    }
}

fn list(ctx: &mut Context<'_>) {
    let args = ctx.args;
    let is = |index: usize, word: &[u8]| args.get(index).eq_ignore_ascii_case(word);
    let names: Vec<_> = match args.len() {
        2 => table().all().map(|entry| &entry.name).collect(),
        5 if is(2, b"filterby") && is(3, b"module") => Vec::new(),
        5 if is(2, b"filterby") && is(3, b"aclcat") => {
            let category = args.get(4).to_ascii_lowercase();
            let of = |entry: &&CommandEntry| {
                categories(entry.command)
                    .iter()
                    .any(|one| one.as_bytes()[1..] == category)
            };
            table().all().filter(of).map(|entry| &entry.name).collect()
        }
        5 if is(2, b"filterby") && is(3, b"pattern") => {
            let pattern = args.get(4).to_ascii_lowercase();
            let fits = |entry: &&CommandEntry| glob::matches(&pattern, entry.name.as_bytes());
            table()
                .all()
                .filter(fits)
                .map(|entry| &entry.name)
                .collect()
        }
        _ => return ctx.reply.error(errors::SYNTAX),
    };
    ctx.reply.array(names.len());
    for name in names {
        ctx.reply.bulk(name.as_bytes());
    }
}

fn getkeys(ctx: &mut Context<'_>) {
    let args = ctx.args.from(2);
    if let Some((_, keys)) = keys(ctx, args) {
        ctx.reply.array(keys.len());
        for key in keys {
            ctx.reply.bulk(args.get(key));
        }
    }
}

fn getkeysandflags(ctx: &mut Context<'_>) {
    let args = ctx.args.from(2);
    if let Some((command, keys)) = keys(ctx, args) {
        ctx.reply.array(keys.len());
        for key in keys {
            ctx.reply.array(2);
            ctx.reply.bulk(args.get(key));
            reply_access(&mut ctx.reply, key_access(command, args, key));
        }
    }
}

/// Which of a command's arguments are keys; answers the error and returns none if there is no such
/// command or no key.
fn keys(
    ctx: &mut Context<'_>,
    args: CommandArgs<'_>,
) -> Option<(&'static CommandSpec, Vec<usize>)> {
    let CommandLookup::Command(entry) = table().find(args) else {
        ctx.reply.error("ERR Invalid command specified");
        return None;
    };
    if !has_keys(entry.command) {
        ctx.reply.error("ERR The command has no key arguments");
        return None;
    }
    if !entry.command.takes(args.len()) {
        ctx.reply
            .error("ERR Invalid number of arguments specified for command");
        return None;
    }
    let keys = key_positions(entry.command, args);
    Some((entry.command, keys.collect()))
}

/// One pair of COMMAND DOCS' answer.
fn document(ctx: &mut Context<'_>, entry: &CommandEntry) {
    let command = entry.command;
    let arguments = arguments(command.syntax);
    let subcommands = table().subcommands(entry);
    let reply = &mut ctx.reply;
    reply.bulk(entry.name.as_bytes());
    reply.map(3 + usize::from(!subcommands.is_empty()) + usize::from(!arguments.is_empty()));
    for (name, text) in [
        ("summary", command.summary),
        ("since", command.since),
        ("group", command.group),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    if !arguments.is_empty() {
        // redis-cli shows them while a user types.
        reply.bulk(b"arguments");
        reply.array(arguments.len());
        for argument in arguments {
            let inner = argument
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'));
            let name = inner.unwrap_or(argument);
            reply.map(3 + usize::from(inner.is_some()));
            for (name, text) in [("name", name), ("type", "string"), ("display", name)] {
                reply.bulk(name.as_bytes());
                reply.bulk(text.as_bytes());
            }
            if inner.is_some() {
                reply.bulk(b"flags");
                reply.set(1);
                reply.simple("optional");
            }
        }
    }
    if !subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(subcommands.len());
        for subcommand in subcommands {
            document(ctx, subcommand);
        }
    }
}

/// The arguments of a syntax; a text in brackets is one argument.
fn arguments(syntax: &str) -> Vec<&str> {
    let mut depth = 0;
    let outside = |character: char| {
        match character {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        depth == 0 && character == ' '
    };
    let parts = syntax.split(outside);
    parts.filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_brackets_is_one_argument() {
        assert_eq!(arguments(""), Vec::<&str>::new());
        assert_eq!(
            arguments("key value [NX|XX] [EX seconds [a b]]"),
            ["key", "value", "[NX|XX]", "[EX seconds [a b]]"]
        );
    }
}
