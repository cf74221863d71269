//! CLIENT: the table of its subcommands, and those for a connection's name, number and modes. The others are in `client_list`,
//! `client_kill`, `client_tracking` and `pause`.

use std::sync::atomic::Ordering::Relaxed;

use super::arguments::is;
use super::client_kill::kill;
use super::client_list::{info, list};
use super::client_state::{REPLY_OFF, REPLY_SKIP, REPLY_SKIP_NEXT};
use super::client_tracking::{caching, getredir, tracking, trackinginfo};
use super::command_docs::help;
use super::connection::is_name;
use super::context::Context;
use super::errors;
use super::pause::{pause, unpause};
use super::table::{ADMIN, CommandSpec, DANGEROUS};
use crate::protocol::resp::parse_integer;

const GROUP: &str = "connection";

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec::new("client", -2, 0, help)
    .docs(
        GROUP,
        "2.4.0",
        "",
        "A container for commands about clients.",
    )
    .subcommands(&[
        CommandSpec::new("caching", 3, 0, caching).docs(
            GROUP,
            "6.0.0",
            "YES|NO",
            "Answers an error: client side caching is off.",
        ),
        CommandSpec::new("getname", 2, 0, getname).docs(
            GROUP,
            "2.6.9",
            "",
            "Returns the name of this connection.",
        ),
        CommandSpec::new("getredir", 2, 0, getredir).docs(
            GROUP,
            "6.0.0",
            "",
            "Returns the client that invalidations are redirected to: none.",
        ),
        CommandSpec::new("help", 2, 0, help).docs(GROUP, "5.0.0", "", "Shows this list."),
        CommandSpec::new("id", 2, 0, id).docs(
            GROUP,
            "5.0.0",
            "",
            "Returns the number of this connection.",
        ),
        CommandSpec::new("info", 2, 0, info).docs(GROUP, "6.2.0", "", "Describes this connection."),
        CommandSpec::new("kill", -3, ADMIN | DANGEROUS, kill).docs(
            GROUP,
            "2.4.0",
            "ip:port | [ID client-id] [TYPE NORMAL|MASTER|REPLICA|PUBSUB] [USER username] \
             [ADDR ip:port] [LADDR ip:port] [SKIPME YES|NO]",
            "Closes connections.",
        ),
        CommandSpec::new("list", -2, ADMIN | DANGEROUS, list).docs(
            GROUP,
            "2.4.0",
            "[TYPE NORMAL|MASTER|REPLICA|PUBSUB] [ID client-id [client-id ...]]",
            "Describes connections, a line each.",
        ),
        CommandSpec::new("no-evict", 3, ADMIN | DANGEROUS, no_evict).docs(
            GROUP,
            "7.0.0",
            "ON|OFF",
            "Sets the flag e of CLIENT LIST. A client that leaves too many replies unread is closed all the same.",
        ),
        CommandSpec::new("pause", -3, ADMIN | DANGEROUS, pause).docs(
            GROUP,
            "3.0.0",
            "timeout [WRITE|ALL]",
            "Makes the commands of all clients wait for some milliseconds.",
        ),
        CommandSpec::new("reply", 3, 0, reply).docs(
            GROUP,
            "3.2.0",
            "ON|OFF|SKIP",
            "Switches replies on or off.",
        ),
        CommandSpec::new("setname", 3, 0, setname).docs(
            GROUP,
            "2.6.9",
            "connection-name",
            "Gives this connection a name.",
        ),
        CommandSpec::new("tracking", -3, 0, tracking).docs(
            GROUP,
            "6.0.0",
            "ON|OFF [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
            "Switches client side caching off; larder doesn't have it.",
        ),
        CommandSpec::new("trackinginfo", 2, 0, trackinginfo).docs(
            GROUP,
            "6.2.0",
            "",
            "Returns that client side caching is off.",
        ),
        CommandSpec::new("unpause", 2, ADMIN | DANGEROUS, unpause).docs(
            GROUP,
            "6.2.0",
            "",
            "Ends the pause of clients.",
        ),
        CommandSpec::new("unblock", -3, ADMIN | DANGEROUS, unblock).docs(
            GROUP,
            "5.0.0",
            "client-id [TIMEOUT|ERROR]",
            "Unblocks a client, if one was blocked.",
        ),
    ])];

fn id(ctx: &mut Context<'_>) {
    ctx.reply.integer(ctx.client.info.id as i64);
}

fn getname(ctx: &mut Context<'_>) {
    match ctx.client.info.name() {
        name if name.is_empty() => ctx.reply.null(),
        name => ctx.reply.bulk(&name),
    }
}

fn setname(ctx: &mut Context<'_>) {
    let name = ctx.args.get(2);
    if !is_name(name) {
        return ctx.reply.error(errors::CLIENT_NAME);
    }
    ctx.client.info.set_name(name);
    ctx.reply.ok();
}

/// Always 0, because no command of larder blocks.
fn unblock(ctx: &mut Context<'_>) {
    let how_fits = match ctx.args.len() {
        3 => true,
        4 => is(ctx.args.get(3), "timeout") || is(ctx.args.get(3), "error"),
        _ => {
            let text = errors::wrong_subcommand(ctx.args);
            return ctx.reply.error(text);
        }
    };
    if !how_fits {
        return ctx
            .reply
            .error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
    match parse_integer(ctx.args.get(2)) {
        Some(_) => ctx.reply.integer(0),
        None => ctx.reply.error(errors::NOT_INTEGER),
    }
}

fn no_evict(ctx: &mut Context<'_>) {
    let Some(on) = on_or_off(ctx.args.get(2)) else {
        return ctx.reply.error(errors::SYNTAX);
    };
    ctx.client.info.no_evict.store(on, Relaxed);
    ctx.reply.ok();
}

fn reply(ctx: &mut Context<'_>) {
    let how = ctx.args.get(2);
    if is(how, "skip") {
        let off = ctx.client.is(REPLY_OFF);
        ctx.client.set(REPLY_SKIP_NEXT, !off);
        return;
    }
    match on_or_off(how) {
        Some(true) => {
            ctx.client.set(REPLY_OFF | REPLY_SKIP, false);
            ctx.reply.ok();
        }
        Some(false) => ctx.client.set(REPLY_OFF, true),
        None => ctx.reply.error(errors::SYNTAX),
    }
}

fn on_or_off(word: &[u8]) -> Option<bool> {
    if is(word, "on") {
        return Some(true);
    }
    is(word, "off").then_some(false)
}
