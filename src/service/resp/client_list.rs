//! CLIENT INFO and CLIENT LIST: a line about each connection.

use std::sync::atomic::Ordering::Relaxed;

use super::arguments::is;
use super::client_info::ClientInfo;
use super::client_line::describe;
use super::context::Context;
use super::errors;
use crate::protocol::resp::parse_integer;

pub(super) fn info(ctx: &mut Context<'_>) {
    let mut text = String::new();
    describe_to(ctx, &ctx.client.info, &mut text);
    ctx.reply.verbatim("txt", &text);
}

/// Appends the line of a client to the reply of the client that asks, which may be the same. A client that CLIENT KILL has selected has
/// no line.
fn describe_to(ctx: &Context<'_>, info: &ClientInfo, text: &mut String) {
    if info.killed.load(Relaxed) {
        return;
    }
    if info.id != ctx.client.info.id {
        return describe(info, 0, text);
    }
    // The client may have been blocked until this turn.
    info.blocked.store(false, Relaxed);
    let start = info.turn_start.load(Relaxed) as usize;
    describe(info, ctx.reply.position().saturating_sub(start), text);
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
        // In the order of the request.
        Some(ids) => {
            for id in ids {
                if let Some(info) = ctx.service.clients.get(id as u64) {
                    describe_to(ctx, &info, &mut text);
                }
            }
        }
        None if ordinary => {
            for info in ctx.service.clients.all() {
                describe_to(ctx, &info, &mut text);
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
