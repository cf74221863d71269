//! Commands about the connection itself: PING, ECHO, QUIT, …

use super::client::CLOSE;
use super::session::Ctx;
use super::table::{CONNECTION, Command, FAST, IMMEDIATE, NO_AUTH};

pub(super) const COMMANDS: &[Command] = &[
    Command::new("ping", -1, FAST | CONNECTION, ping).docs(
        "connection",
        "1.0.0",
        "[message]",
        "Answers PONG, or the message.",
    ),
    Command::new("echo", 2, FAST | CONNECTION, echo).docs(
        "connection",
        "1.0.0",
        "message",
        "Answers the message.",
    ),
    Command::new("quit", -1, FAST | CONNECTION | NO_AUTH | IMMEDIATE, quit).docs(
        "connection",
        "1.0.0",
        "",
        "Closes the connection.",
    ),
];

fn ping(ctx: &mut Ctx<'_>) {
    match ctx.args.len() {
        1 => ctx.reply.simple("PONG"),
        2 => ctx.reply.bulk(ctx.args.get(1)),
        _ => ctx
            .reply
            .error("ERR wrong number of arguments for 'ping' command"),
    }
}

fn echo(ctx: &mut Ctx<'_>) {
    ctx.reply.bulk(ctx.args.get(1));
}

fn quit(ctx: &mut Ctx<'_>) {
    ctx.reply.ok();
    ctx.client.set(CLOSE, true);
}
