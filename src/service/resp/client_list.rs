//! CLIENT INFO and CLIENT LIST: connections, a line each.

use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

use super::arguments::is;
use super::client_state::ClientInfo;
use super::context::Context;
use super::errors;
use super::table::table;
use crate::protocol::resp::parse_integer;

pub(super) fn info(ctx: &mut Context<'_>) {
    let mut text = String::new();
    describe(&ctx.client.info, &mut text);
    ctx.reply.verbatim("txt", &text);
}

pub(super) fn list(ctx: &mut Context<'_>) {
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

/// Whether the type is `normal`, which every client of larder has; answers the error and returns
/// `None` for an unknown type.
pub(super) fn client_type(ctx: &mut Context<'_>, kind: &[u8]) -> Option<bool> {
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

/// One line of CLIENT LIST. Features that larder doesn't have (subscriptions, tracking) appear as in
/// Redis when they are unused.
pub(super) fn describe(info: &ClientInfo, text: &mut String) {
    let connection = &info.connection;
    let queued = info.queued.load(Relaxed);
    let mut flags = String::new();
    for (flag, set) in [
        ('O', info.monitors.load(Relaxed)),
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
         multi={queued} cmd={command} user={} redir=-1 resp={}",
        info.id,
        connection.peer_addr(),
        connection.local_addr(),
        String::from_utf8_lossy(&info.name()),
        connection.age().as_secs(),
        connection.idle().as_secs(),
        info.db.load(Relaxed),
        String::from_utf8_lossy(&info.user()),
        if info.resp3.load(Relaxed) { 3 } else { 2 },
    );
}
