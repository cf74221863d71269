//! CLIENT KILL: closes the connections that its filters select.

use std::sync::atomic::Ordering::Relaxed;

use super::arguments::is;
use super::client_info::ClientInfo;
use super::client_line::written;
use super::client_list::client_type;
use super::client_state::CLOSE;
use super::context::Context;
use super::errors;
use crate::protocol::resp::{CommandArgs, parse_integer};

/// The clients that CLIENT KILL selects.
#[derive(Default)]
struct KillFilter<'a> {
    id: Option<u64>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    user: Option<&'a [u8]>,
    /// The filter names a type that no client of larder has.
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
            && self.user.is_none_or(|user| *info.user() == *user)
            && is(self.address, &|| written(connection.peer()))
            && is(self.local_address, &|| written(&connection.local()))
    }
}

pub(super) fn kill(ctx: &mut Context<'_>) {
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
    let killed = kill_if(ctx, |info| filter.matches(info, own));
    match (old_form, killed) {
        (false, killed) => ctx.reply.integer(killed),
        (true, 0) => ctx.reply.error("ERR No such client"),
        (true, _) => ctx.reply.ok(),
    }
}

/// Closes the connections of the clients whose user has a name that `is_named` accepts.
pub(super) fn kill_users(ctx: &mut Context<'_>, is_named: impl Fn(&[u8]) -> bool) {
    kill_if(ctx, |info| is_named(&info.user()));
}

/// Closes the connections that `matches` selects, and returns their number.
fn kill_if(ctx: &mut Context<'_>, matches: impl Fn(&ClientInfo) -> bool) -> i64 {
    let own = ctx.client.info.id;
    let mut killed = 0;
    for info in ctx.service.clients.all() {
        if !matches(&info) {
            continue;
        }
        killed += 1;
        if info.id == own {
            // Its connection closes after the answer.
            ctx.client.set(CLOSE, true);
        } else {
            // The flag ends a client whose turn is about to begin. Closing the socket ends one that waits for bytes.
            info.killed.store(true, Relaxed);
            info.connection.kill();
        }
    }
    killed
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
            filter.matches_none = !client_type(ctx, value)?;
        } else if is(option, "addr") {
            filter.address = Some(value);
        } else if is(option, "laddr") {
            filter.local_address = Some(value);
        } else if is(option, "user") {
            if ctx.service.users.get(value).is_none() {
                ctx.reply
                    .error([b"ERR No such user '", value, b"'"].concat());
                return None;
            }
            filter.user = Some(value);
        } else if is(option, "skipme") && (is(value, "yes") || is(value, "no")) {
            filter.skip_self = is(value, "yes");
        } else {
            ctx.reply.error(errors::SYNTAX);
            return None;
        }
    }
    Some(filter)
}
