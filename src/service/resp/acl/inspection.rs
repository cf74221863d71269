//! The subcommands of ACL that look at categories, the log and permissions, and ACL GENPASS.

use super::check::{Denied, check};
use super::rules::{CATEGORIES, is_in};
use crate::protocol::resp::parse_integer;
use crate::service::resp::arguments::is;
use crate::service::resp::context::Context;
use crate::service::resp::errors;
use crate::service::resp::table::{CommandEntry, CommandLookup, table};

pub(super) fn cat(ctx: &mut Context<'_>) {
    let names: Vec<&str> = match ctx.args.len() {
        2 => CATEGORIES.to_vec(),
        3 => {
            let category = String::from_utf8_lossy(ctx.args.get(2)).to_ascii_lowercase();
            if !CATEGORIES.contains(&&category[..]) {
                let shown = ctx.args.get(2);
                let shown = &shown[..shown.len().min(128)];
                let text: [&[u8]; 3] = [b"ERR Unknown category '", shown, b"'"];
                return ctx.reply.error(text.concat());
            }
            let of = |entry: &&CommandEntry| is_in(entry.command, &category);
            table()
                .all()
                .filter(of)
                .map(|entry| &entry.name[..])
                .collect()
        }
        _ => return wrong_number(ctx),
    };
    ctx.reply.array(names.len());
    for name in names {
        ctx.reply.bulk(name.as_bytes());
    }
}

/// The error for a subcommand with too many arguments.
fn wrong_number(ctx: &mut Context<'_>) {
    let text: [&[u8]; 3] = [
        b"ERR unknown subcommand or wrong number of arguments for '",
        ctx.args.get(1),
        b"'. Try ACL HELP.",
    ];
    ctx.reply.error(text.concat());
}

/// Bits of the longest password that ACL GENPASS makes, as in Redis.
const MOST_BITS: i64 = 4096;

pub(super) fn genpass(ctx: &mut Context<'_>) {
    let bits = match ctx.args.len() {
        2 => 256,
        3 => match ctx.integer(2) {
            Some(bits) => bits,
            None => return,
        },
        _ => return wrong_number(ctx),
    };
    if !(1..=MOST_BITS).contains(&bits) {
        return ctx.reply.error(format!(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to {MOST_BITS}"
        ));
    }
    let digits = (bits as usize).div_ceil(4);
    let mut random = [0; MOST_BITS as usize / 8];
    if let Err(error) = getrandom::fill(&mut random) {
        log::error!("the system has no random bytes: {error}");
        return ctx.reply.error("ERR no random bytes");
    }
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    ctx.reply.bulk(&hex.as_bytes()[..digits]);
}

pub(super) fn log(ctx: &mut Context<'_>) {
    let log = &ctx.service.users.log;
    let count = match ctx.args.len() {
        2 => 10,
        3 if is(ctx.args.get(2), "reset") => {
            log.clear();
            return ctx.reply.ok();
        }
        3 => match parse_integer(ctx.args.get(2)) {
            Some(count) => usize::try_from(count).unwrap_or(0),
            None => return ctx.reply.error(errors::NOT_INTEGER),
        },
        _ => return wrong_number(ctx),
    };
    let now = ctx.store.now_ms();
    let entries = log.latest(count);
    let reply = &mut ctx.reply;
    reply.array(entries.len());
    for entry in entries {
        reply.map(7);
        reply.bulk(b"count");
        reply.integer(entry.count as i64);
        for (name, text) in [
            ("reason", entry.kind.name().as_bytes()),
            (
                "context",
                if entry.in_transaction {
                    b"multi"
                } else {
                    &b"toplevel"[..]
                },
            ),
            ("object", &entry.object),
            ("username", &entry.user),
        ] {
            reply.bulk(name.as_bytes());
            reply.bulk(text);
        }
        reply.bulk(b"age-seconds");
        reply.double(now.saturating_sub(entry.at_ms) as f64 / 1000.0);
        reply.bulk(b"client-info");
        reply.bulk(entry.client.as_bytes());
    }
}

pub(super) fn dryrun(ctx: &mut Context<'_>) {
    let (name, args) = (ctx.args.get(2), ctx.args.from(3));
    let Some(user) = ctx.service.users.get(name) else {
        return ctx
            .reply
            .error([b"ERR User '", name, b"' not found"].concat());
    };
    let CommandLookup::Command(entry) = table().find(args) else {
        return ctx
            .reply
            .error([b"ERR Command '", args.get(0), b"' not found"].concat());
    };
    if !entry.command.takes(args.len()) {
        let text = format!("ERR wrong number of arguments for '{}' command", entry.name);
        return ctx.reply.error(text);
    }
    let denied: [&[u8]; 3] = match check(&user, entry, args) {
        Ok(()) => return ctx.reply.ok(),
        Err(Denied::Command) => [b"run the '", entry.name.as_bytes(), b"' command"],
        Err(Denied::Key(position)) => [b"access the '", args.get(position), b"' key"],
    };
    let text = [&b"This user has no permissions to "[..], &denied.concat()].concat();
    ctx.reply.bulk(&text);
}
