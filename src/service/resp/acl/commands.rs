//! ACL: shows and changes users. AUTH is in [`connection`](super::super::connection).

use super::describe::{channels, commands, describe, flags, keys};
use super::file;
use super::inspection::{cat, dryrun, genpass, log};
use super::permissions::Permissions;
use super::rules::{apply, has_spaces, join};
use super::user::DEFAULT;
use crate::service::resp::client_kill::kill_users;
use crate::service::resp::command_docs::help;
use crate::service::resp::context::Context;
use crate::service::resp::table::{ADMIN, CommandSpec, DANGEROUS};

const GROUP: &str = "server";
const SECRET: u32 = ADMIN | DANGEROUS;

/// A subcommand that only administrators use, or that everybody may.
const fn sub(
    name: &'static str,
    arity: i32,
    flags: u32,
    run: fn(&mut Context<'_>),
    syntax: &'static str,
    summary: &'static str,
) -> CommandSpec {
    CommandSpec::new(name, arity, flags, run).docs(GROUP, "6.0.0", syntax, summary)
}

pub(in crate::service::resp) const COMMANDS: &[CommandSpec] =
    &[CommandSpec::new("acl", -2, 0, help)
        .docs(GROUP, "6.0.0", "", "A container for commands about users.")
        .subcommands(&[
            sub(
                "cat",
                -2,
                0,
                cat,
                "[category]",
                "Lists the categories, or the commands of one.",
            ),
            sub(
                "deluser",
                -3,
                SECRET,
                deluser,
                "username [username ...]",
                "Deletes users and disconnects their clients.",
            ),
            CommandSpec::new("dryrun", -4, SECRET, dryrun).docs(
                GROUP,
                "7.0.0",
                "username command [arg [arg ...]]",
                "Tells whether a user may run a command, without running it.",
            ),
            sub(
                "genpass",
                -2,
                0,
                genpass,
                "[bits]",
                "Returns a random password.",
            ),
            sub(
                "getuser",
                3,
                SECRET,
                getuser,
                "username",
                "Returns the rules of a user.",
            ),
            sub("help", 2, 0, help, "", "Shows this list."),
            sub(
                "list",
                2,
                SECRET,
                list,
                "",
                "Lists the users as lines of the file.",
            ),
            sub(
                "load",
                2,
                SECRET,
                load,
                "",
                "Reads the users from the file again.",
            ),
            sub(
                "log",
                -2,
                SECRET,
                log,
                "[count|RESET]",
                "Lists refused commands and wrong passwords.",
            ),
            sub(
                "save",
                2,
                SECRET,
                save,
                "",
                "Writes the users into the file.",
            ),
            sub(
                "setuser",
                -3,
                SECRET,
                setuser,
                "username [rule [rule ...]]",
                "Creates or changes a user.",
            ),
            sub(
                "users",
                2,
                SECRET,
                users,
                "",
                "Lists the names of the users.",
            ),
            sub(
                "whoami",
                2,
                0,
                whoami,
                "",
                "Returns the name of this connection's user.",
            ),
        ])];

fn setuser(ctx: &mut Context<'_>) {
    let name = ctx.args.get(2);
    if has_spaces(name) {
        return ctx
            .reply
            .error("ERR Usernames can't contain spaces or null characters");
    }
    let rules = match join(ctx.args.from(3).iter()) {
        Ok(rules) => rules,
        Err(word) => {
            let text: [&[u8]; 3] = [
                b"ERR Unmatched parenthesis in acl selector starting at '",
                word,
                b"'.",
            ];
            return ctx.reply.error(text.concat());
        }
    };
    let changed = ctx.service.users.change(name, |user| {
        rules
            .iter()
            .try_for_each(|rule| apply(user, rule).map_err(|error| (rule, error)))
    });
    match changed {
        Ok(()) => ctx.reply.ok(),
        Err((rule, error)) => {
            let text: [&[u8]; 4] = [
                b"ERR Error in ACL SETUSER modifier '",
                rule,
                b"': ",
                error.text().as_bytes(),
            ];
            ctx.reply.error(text.concat());
        }
    }
    ctx.client.refresh_user(&ctx.service.users);
}

fn deluser(ctx: &mut Context<'_>) {
    let names = ctx.args.from(2);
    if names.iter().any(|name| name == DEFAULT) {
        return ctx.reply.error("ERR The 'default' user cannot be removed");
    }
    let removed = names.iter().filter(|name| ctx.service.users.remove(name));
    let removed: Vec<&[u8]> = removed.collect();
    kill_users(ctx, |name| removed.contains(&name));
    ctx.reply.integer(removed.len() as i64);
}

fn getuser(ctx: &mut Context<'_>) {
    let Some(user) = ctx.service.users.get(ctx.args.get(2)) else {
        return ctx.reply.null();
    };
    let reply = &mut ctx.reply;
    reply.map(6);
    reply.bulk(b"flags");
    let flags = flags(&user);
    reply.set(flags.len());
    for flag in flags {
        reply.bulk(flag.as_bytes());
    }
    reply.bulk(b"passwords");
    reply.array(user.passwords.hashes().len());
    for hash in user.passwords.hashes() {
        reply.bulk(hash.hex().as_bytes());
    }
    reply_permissions(ctx, &user.permissions[0]);
    ctx.reply.bulk(b"selectors");
    ctx.reply.array(user.permissions.len() - 1);
    for permissions in &user.permissions[1..] {
        ctx.reply.map(3);
        reply_permissions(ctx, permissions);
    }
}

fn reply_permissions(ctx: &mut Context<'_>, permissions: &Permissions) {
    for (name, text) in [
        ("commands", commands(permissions)),
        ("keys", keys(permissions)),
        ("channels", channels(permissions)),
    ] {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.bulk(&text);
    }
}

fn list(ctx: &mut Context<'_>) {
    let users = ctx.service.users.all();
    ctx.reply.array(users.len());
    for user in users {
        let line = [b"user ", &user.name[..], b" ", &describe(&user)].concat();
        ctx.reply.bulk(&line);
    }
}

fn users(ctx: &mut Context<'_>) {
    let users = ctx.service.users.all();
    ctx.reply.array(users.len());
    for user in users {
        ctx.reply.bulk(&user.name);
    }
}

fn whoami(ctx: &mut Context<'_>) {
    ctx.reply.bulk(&ctx.client.user().name);
}

const NO_FILE: &str = "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the \
    ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to \
    store users in the Redis configuration.";

fn load(ctx: &mut Context<'_>) {
    let Some(path) = ctx.service.users.file.get() else {
        return ctx.reply.error(NO_FILE);
    };
    match file::load(path, &ctx.service.users) {
        // As in Redis 7.0, clients of all users but the default one are disconnected.
        Ok(()) => {
            kill_users(ctx, |name| name != DEFAULT);
            ctx.client.refresh_user(&ctx.service.users);
            ctx.reply.ok();
        }
        Err(errors) => ctx.reply.error(format!("ERR {errors}")),
    }
}

fn save(ctx: &mut Context<'_>) {
    let Some(path) = ctx.service.users.file.get() else {
        return ctx.reply.error(NO_FILE);
    };
    match file::save(path, &ctx.service.users) {
        Ok(()) => ctx.reply.ok(),
        Err(error) => {
            log::error!("the users can't be written to {}: {error}", path.display());
            ctx.reply.error(
                "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
            );
        }
    }
}
