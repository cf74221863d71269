//! CLIENT: who is connected, under what name, and who has to go.

use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

use super::client_state::{CLOSE, ClientInfo, REPLY_OFF, REPLY_SKIP, REPLY_SKIP_NEXT};
use super::command_docs::help;
use super::connection::is_name;
use super::context::Context;
use super::errors;
use super::table::{ADMIN, CommandSpec, DANGEROUS, FAST, table};
use crate::protocol::resp::{CommandArgs, parse_integer};

const GROUP: &str = "connection";

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec::new("client", -2, 0, help)
    .docs(
        GROUP,
        "2.4.0",
        "",
        "A container for commands about clients.",
    )
    .subcommands(&[
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
            "Returns where invalidations are redirected to: nowhere.",
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
            "Marks this connection as one to keep. None is ever closed to save memory.",
        ),
        CommandSpec::new("reply", 3, 0, reply).docs(
            GROUP,
            "3.2.0",
            "ON|OFF|SKIP",
            "Chooses whether commands are answered.",
        ),
        CommandSpec::new("setname", 3, 0, setname).docs(
            GROUP,
            "2.6.9",
            "connection-name",
            "Gives this connection a name.",
        ),
        CommandSpec::new("trackinginfo", 2, 0, trackinginfo).docs(
            GROUP,
            "6.2.0",
            "",
            "Tells that client side caching is off.",
        ),
        CommandSpec::new("unblock", -3, ADMIN | DANGEROUS | FAST, unblock).docs(
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

/// Client side caching isn't there, so nothing is redirected.
fn getredir(ctx: &mut Context<'_>) {
    ctx.reply.integer(-1);
}

fn trackinginfo(ctx: &mut Context<'_>) {
    ctx.reply.map(3);
    ctx.reply.bulk(b"flags");
    ctx.reply.set(1);
    ctx.reply.bulk(b"off");
    ctx.reply.bulk(b"redirect");
    ctx.reply.integer(-1);
    ctx.reply.bulk(b"prefixes");
    ctx.reply.array(0);
}

/// No command blocks, so no client can be unblocked.
fn unblock(ctx: &mut Context<'_>) {
    let how_fits = match ctx.args.len() {
        3 => true,
        4 => is(ctx.args.get(3), "timeout") || is(ctx.args.get(3), "error"),
        _ => {
            let name = ctx.args.get(1);
            let text = [
                b"ERR unknown subcommand or wrong number of arguments for '",
                name,
                b"'. Try CLIENT HELP.",
            ];
            return ctx.reply.error(text.concat());
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

fn info(ctx: &mut Context<'_>) {
    let mut text = String::new();
    describe(&ctx.client.info, &mut text);
    ctx.reply.verbatim("txt", &text);
}

fn list(ctx: &mut Context<'_>) {
    let args = ctx.args;
    let mut ids = None;
    let mut ordinary = true;
    match args.len() {
        2 => {}
        4 if is(args.get(2), "type") => match client_type(ctx, args.get(3)) {
            Some(kind) => ordinary = kind,
            None => return,
        },
        4.. if is(args.get(2), "id") => {
            let wanted: Option<Vec<_>> = args.from(3).iter().map(parse_integer).collect();
            match wanted {
                Some(wanted) => ids = Some(wanted),
                None => return ctx.reply.error("ERR Invalid client ID"),
            }
        }
        _ => return ctx.reply.error(errors::SYNTAX),
    }
    let mut text = String::new();
    match ids {
        // In the order asked for.
        Some(ids) => {
            for id in ids {
                if let Some(info) = ctx.service.clients.get(id as u64) {
                    describe(&info, &mut text);
                }
            }
        }
        None if ordinary => {
            for info in ctx.service.clients.all() {
                describe(&info, &mut text);
            }
        }
        None => {}
    }
    ctx.reply.verbatim("txt", &text);
}

/// Whether the type is the one that every client of larder has; answers the error and returns none
/// if it is no type.
fn client_type(ctx: &mut Context<'_>, kind: &[u8]) -> Option<bool> {
    if is(kind, "normal") {
        return Some(true);
    }
    if ["master", "replica", "slave", "pubsub"]
        .iter()
        .any(|other| is(kind, other))
    {
        return Some(false);
    }
    ctx.reply
        .error([b"ERR Unknown client type '", kind, b"'"].concat());
    None
}

/// One line of CLIENT LIST. What larder doesn't have (subscriptions, tracking) is told as Redis
/// tells its absence.
fn describe(info: &ClientInfo, text: &mut String) {
    let connection = &info.connection;
    let queued = info.queued.load(Relaxed);
    let mut flags = String::new();
    for (flag, set) in [
        ('x', queued >= 0),
        ('c', info.killed.load(Relaxed)),
        ('e', info.no_evict.load(Relaxed)),
    ] {
        if set {
            flags.push(flag);
        }
    }
    if flags.is_empty() {
        flags.push('N');
    }
    let command = table()
        .entry(info.command.load(Relaxed))
        .map_or("NULL", |entry| entry.name.as_str());
    // Writing to a string can't fail.
    let _ = writeln!(
        text,
        "id={} addr={} laddr={} name={} age={} idle={} flags={flags} db={} sub=0 psub=0 ssub=0 \
         multi={queued} cmd={command} user=default redir=-1 resp={}",
        info.id,
        connection.peer_addr(),
        connection.local_addr(),
        String::from_utf8_lossy(&info.name()),
        connection.age().as_secs(),
        connection.idle().as_secs(),
        info.db.load(Relaxed),
        if info.resp3.load(Relaxed) { 3 } else { 2 },
    );
}

/// Which clients CLIENT KILL means.
#[derive(Default)]
struct KillFilter<'a> {
    id: Option<u64>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    /// A type that no client has was asked for.
    matches_none: bool,
    skip_self: bool,
}

impl KillFilter<'_> {
    fn matches(&self, info: &ClientInfo, own: u64) -> bool {
        let connection = &info.connection;
        let is = |wanted: Option<&[u8]>, address: &dyn Fn() -> String| {
            wanted.is_none_or(|wanted| address().as_bytes() == wanted)
        };
        let spared = self.skip_self && info.id == own;
        if self.matches_none || spared || info.killed.load(Relaxed) {
            return false;
        }
        self.id.is_none_or(|id| id == info.id)
            && is(self.address, &|| connection.peer_addr())
            && is(self.local_address, &|| connection.local_addr())
    }
}

fn kill(ctx: &mut Context<'_>) {
    let old_form = ctx.args.len() == 3;
    let filter = if old_form {
        Some(KillFilter {
            address: Some(ctx.args.get(2)),
            ..KillFilter::default()
        })
    } else {
        filter(ctx, ctx.args.from(2))
    };
    let Some(filter) = filter else { return };
    let own = ctx.client.info.id;
    let mut killed = 0;
    for info in ctx.service.clients.all() {
        if !filter.matches(&info, own) {
            continue;
        }
        killed += 1;
        if info.id == own {
            // After the answer.
            ctx.client.set(CLOSE, true);
        } else {
            // The flag is for a turn that is about to begin, the socket for one that waits for
            // bytes.
            info.killed.store(true, Relaxed);
            info.connection.kill();
        }
    }
    match (old_form, killed) {
        (false, killed) => ctx.reply.integer(killed),
        (true, 0) => ctx.reply.error("ERR No such client"),
        (true, _) => ctx.reply.ok(),
    }
}

/// Reads the options of CLIENT KILL; answers the error and returns none if they are wrong.
fn filter<'a>(ctx: &mut Context<'_>, options: CommandArgs<'a>) -> Option<KillFilter<'a>> {
    let mut filter = KillFilter {
        skip_self: true,
        ..KillFilter::default()
    };
    for at in (0..options.len()).step_by(2) {
        let option = options.get(at);
        if at + 1 == options.len() {
            ctx.reply.error(errors::SYNTAX);
            return None;
        }
        let value = options.get(at + 1);
        if is(option, "id") {
            match parse_integer(value) {
                Some(id @ 1..) => filter.id = Some(id as u64),
                _ => {
                    ctx.reply.error("ERR client-id should be greater than 0");
                    return None;
                }
            }
        } else if is(option, "type") {
            filter.matches_none |= !client_type(ctx, value)?;
        } else if is(option, "addr") {
            filter.address = Some(value);
        } else if is(option, "laddr") {
            filter.local_address = Some(value);
        } else if is(option, "user") {
            if value != b"default" {
                ctx.reply
                    .error([b"ERR No such user '", value, b"'"].concat());
                return None;
            }
        } else if is(option, "skipme") && (is(value, "yes") || is(value, "no")) {
            filter.skip_self = is(value, "yes");
        } else {
            ctx.reply.error(errors::SYNTAX);
            return None;
        }
    }
    Some(filter)
}

fn on_or_off(word: &[u8]) -> Option<bool> {
    if is(word, "on") {
        return Some(true);
    }
    is(word, "off").then_some(false)
}

fn is(word: &[u8], option: &str) -> bool {
    word.eq_ignore_ascii_case(option.as_bytes())
}
