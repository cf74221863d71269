//! Commands about the connection itself: password, database, version of RESP.

use super::acl::note_wrong_password;
use super::acl::user::DEFAULT;
use super::client_state::{
    CLOSE, MULTI, REPLY_OFF, REPLY_SKIP_NEXT, UNAUTHENTICATED, WRONG_PASSWORD,
};
use super::context::Context;
use super::errors;
use super::monitor;
use super::service_state::REDIS_VERSION;
use super::table::{CommandSpec, FAST, IMMEDIATE, NO_AUTH};
use crate::protocol::resp::parse_integer;

const GROUP: &str = "connection";

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("ping", -1, FAST, ping).docs(
        GROUP,
        "1.0.0",
        "[message]",
        "Answers PONG, or the message.",
    ),
    CommandSpec::new("echo", 2, FAST, echo).docs(GROUP, "1.0.0", "message", "Answers the message."),
    CommandSpec::new("auth", -2, FAST | NO_AUTH, auth).docs(
        GROUP,
        "1.0.0",
        "[username] password",
        "Gives the password.",
    ),
    CommandSpec::new("hello", -1, FAST | NO_AUTH, hello).docs(
        GROUP,
        "6.0.0",
        "[protover [AUTH username password] [SETNAME clientname]]",
        "Chooses the version of RESP and returns facts about the server.",
    ),
    CommandSpec::new("quit", -1, FAST | NO_AUTH | IMMEDIATE, quit).docs(
        GROUP,
        "1.0.0",
        "",
        "Closes the connection.",
    ),
    CommandSpec::new("reset", 1, FAST | NO_AUTH | IMMEDIATE, reset).docs(
        GROUP,
        "6.2.0",
        "",
        "Resets the state of the connection.",
    ),
    CommandSpec::new("select", 2, FAST, select).docs(
        GROUP,
        "1.0.0",
        "index",
        "Chooses the database.",
    ),
];

fn ping(ctx: &mut Context<'_>) {
    match ctx.args.len() {
        1 => ctx.reply.simple("PONG"),
        2 => ctx.reply.bulk(ctx.args.get(1)),
        _ => ctx
            .reply
            .error("ERR wrong number of arguments for 'ping' command"),
    }
}

fn echo(ctx: &mut Context<'_>) {
    ctx.reply.bulk(ctx.args.get(1));
}

fn auth(ctx: &mut Context<'_>) {
    let (user, password) = match ctx.args.len() {
        2 if ctx.service.users.default_user().passwords.are_any() => {
            return ctx.reply.error(
                "ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?",
            );
        }
        2 => (DEFAULT, ctx.args.get(1)),
        3 => (ctx.args.get(1), ctx.args.get(2)),
        _ => return ctx.reply.error(errors::SYNTAX),
    };
    if authenticate(ctx, user, password) {
        ctx.reply.ok();
    } else {
        ctx.reply.error(errors::WRONGPASS);
    }
}

/// Authenticates the client if the user may connect and the password is right.
fn authenticate(ctx: &mut Context<'_>, user: &[u8], password: &[u8]) -> bool {
    let users = &ctx.service.users;
    match users.authenticate(user, password) {
        Some(user) => {
            ctx.client.become_user(user, users);
            true
        }
        None => {
            note_wrong_password(ctx.service, ctx.client, ctx.args.get(0), user);
            ctx.client.set(WRONG_PASSWORD, true);
            false
        }
    }
}

fn hello(ctx: &mut Context<'_>) {
    let args = ctx.args;
    let mut version = None;
    if args.len() > 1 {
        version = match parse_integer(args.get(1)) {
            Some(2) => Some(false),
            Some(3) => Some(true),
            Some(_) => return ctx.reply.error("NOPROTO unsupported protocol version"),
            None => {
                return ctx
                    .reply
                    .error("ERR Protocol version is not an integer or out of range");
            }
        };
    }
    // Redis applies each option before it reads the next one: the options before a wrong one stay applied.
    let mut at = 2;
    while at < args.len() {
        let option = args.get(at);
        if option.eq_ignore_ascii_case(b"AUTH") && at + 2 < args.len() {
            if !authenticate(ctx, args.get(at + 1), args.get(at + 2)) {
                return ctx.reply.error(errors::WRONGPASS);
            }
            at += 3;
        } else if option.eq_ignore_ascii_case(b"SETNAME") && at + 1 < args.len() {
            if !is_name(args.get(at + 1)) {
                return ctx.reply.error(errors::CLIENT_NAME);
            }
            ctx.client.info.set_name(args.get(at + 1));
            at += 2;
        } else {
            let text = [b"ERR Syntax error in HELLO option '", option, b"'"].concat();
            return ctx.reply.error(text);
        }
    }
    if ctx.client.is(UNAUTHENTICATED) {
        return ctx.reply.error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO AUTH <user> <pass> option can be used to authenticate the client and select \
             the RESP protocol version at the same time",
        );
    }
    if let Some(resp3) = version {
        ctx.client.set_resp3(resp3);
        ctx.reply.set_resp3(resp3);
    }
    describe(ctx);
}

/// HELLO's answer.
fn describe(ctx: &mut Context<'_>) {
    let reply = &mut ctx.reply;
    reply.map(7);
    for (name, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(if reply.resp3() { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(ctx.client.info.id as i64);
    for (name, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
}

/// Whether a client may have this name: printable ASCII without spaces.
pub(super) fn is_name(name: &[u8]) -> bool {
    name.iter().all(|byte| matches!(byte, b'!'..=b'~'))
}

fn quit(ctx: &mut Context<'_>) {
    ctx.reply.ok();
    ctx.client.set(CLOSE, true);
}

fn reset(ctx: &mut Context<'_>) {
    ctx.client.end_transaction(ctx.store);
    monitor::end(ctx);
    ctx.client.set(MULTI | REPLY_OFF | REPLY_SKIP_NEXT, false);
    ctx.client.forget_user(&ctx.service.users);
    ctx.client.select(0);
    ctx.client.set_resp3(false);
    ctx.client.info.set_name(b"");
    ctx.reply.set_resp3(false);
    ctx.reply.simple("RESET");
}

fn select(ctx: &mut Context<'_>) {
    if let Some(db) = ctx.database(1) {
        ctx.client.select(db);
        ctx.reply.ok();
    }
}
