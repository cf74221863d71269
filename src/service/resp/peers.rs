//! Commands whose keys a [peer](crate::peers) owns.
//!
//! | command | with a peer's key |
//! |---|---|
//! | GET, MGET, HGET, HMGET | read through the owner |
//! | SET, SETNX, SETEX without KEEPTTL, GET and milliseconds; DEL, UNLINK | are executed by the owner |
//! | any other command with a key, and all in a transaction | an error that names the owner |
//!
//! Only database 0 is shared, as with an origin.

use super::command_keys::{has_keys, key_positions};
use super::context::{Context, ORIGIN_DATABASE};
use super::errors;
use super::keys;
use super::set_options::{self, ExpiryOption, KeyCondition, NewExpiry, OptionSyntax};
use super::table::{CommandSpec, WRITE};
use crate::origin::{Answer, PeerRequest, PeerStatus};
use crate::peers::Peers;

/// The commands that read through.
const READS: [&str; 4] = ["get", "mget", "hget", "hmget"];

/// Runs a command here, has a peer execute it, or refuses it.
#[inline]
pub(super) fn run(command: &CommandSpec, ctx: &mut Context<'_>) {
    match ctx.service.peers.get() {
        None => (command.run)(ctx),
        Some(peers) => run_with(&**peers, command, ctx),
    }
}

#[cold]
fn run_with(peers: &dyn Peers, command: &CommandSpec, ctx: &mut Context<'_>) {
    if ctx.db() != ORIGIN_DATABASE || !has_keys(command) {
        return (command.run)(ctx);
    }
    let args = ctx.args;
    let keys = || key_positions(command, args).map(|position| args.get(position));
    let elsewhere = keys().find_map(|key| {
        let owner = peers.owner(key);
        owner.or_else(|| has_asked(ctx, key).then(String::new))
    });
    match elsewhere {
        Some(_) if READS.contains(&ctx.name) => (command.run)(ctx),
        Some(owner) => match ctx.name {
            "del" | "unlink" => delete(peers, ctx),
            "set" | "setnx" | "setex" => store(peers, &owner, command, ctx),
            _ => refuse(peers, &owner, ctx),
        },
        None => {
            (command.run)(ctx);
            if command.is(WRITE) && !ctx.has_to_run_again() {
                keys().for_each(|key| peers.tell_changed(key, None));
            }
        }
    }
}

/// Whether the command has asked a peer about a key already.
fn has_asked(ctx: &Context<'_>, key: &[u8]) -> bool {
    let fetches = ctx.fetches.as_ref();
    fetches.is_some_and(|fetches| fetches.has_asked(key))
}

fn refuse(peers: &dyn Peers, owner: &str, ctx: &mut Context<'_>) {
    peers.note_refusal();
    let name = ctx.name;
    let error = format!(
        "ERR the key of this '{name}' command belongs to the peer {owner}, which has to be asked itself"
    );
    ctx.reply.error(error);
}

/// Answers the error of a peer.
pub(super) fn fail(ctx: &mut Context<'_>, why: &str) {
    let why = why.strip_prefix("SERVER_ERROR ").unwrap_or(why);
    ctx.reply.error(format!("ERR {why}"));
}

/// The answer of a peer to a request about a key; `None` if the command waits for it, or is refused.
fn answer(
    peers: &dyn Peers,
    ctx: &mut Context<'_>,
    key: &[u8],
    request: impl FnOnce() -> PeerRequest,
) -> Option<Answer> {
    let answer = ctx
        .fetches
        .as_mut()?
        .answer(key, || peers.forward(request()));
    match &answer {
        None => ctx.is_fetching = true,
        Some(Answer::Reply(_)) => _ = keys::remove(ctx, key),
        Some(Answer::Mine | Answer::Failed(_)) => {}
    }
    answer
}

/// DEL: each peer deletes its keys, then this node its own.
fn delete(peers: &dyn Peers, ctx: &mut Context<'_>) {
    let keys = ctx.args.from(1);
    let (mut deleted, mut failure, mut own) = (0, None, Vec::new());
    for key in keys.iter() {
        let owner = peers.owner(key);
        if owner.is_none() && !has_asked(ctx, key) {
            own.push(key);
            continue;
        }
        if ctx.fetches.is_none() {
            return refuse(peers, &owner.unwrap_or_default(), ctx);
        }
        match answer(peers, ctx, key, || {
            PeerRequest::new("md", &[key], Vec::new())
        }) {
            None => {}
            Some(Answer::Mine) => own.push(key),
            Some(Answer::Failed(why)) => failure = Some(why),
            Some(Answer::Reply(reply)) => {
                deleted += i64::from(reply.status == PeerStatus::Done);
            }
        }
    }
    if ctx.is_fetching {
        return;
    }
    for key in own {
        deleted += i64::from(keys::remove(ctx, key));
        peers.tell_changed(key, None);
    }
    match failure {
        Some(why) => fail(ctx, &why),
        None => ctx.reply.integer(deleted),
    }
}

/// SET, SETNX and SETEX.
fn store(peers: &dyn Peers, owner: &str, command: &CommandSpec, ctx: &mut Context<'_>) {
    let options = match StoreOptions::read(ctx) {
        Ok(options) if ctx.fetches.is_some() => options,
        Err(NotSent::Answered) => return,
        _ => return refuse(peers, owner, ctx),
    };
    let (key, value) = (ctx.args.get(1), ctx.args.get(options.value));
    let request = || PeerRequest {
        value: Some(value.to_vec()),
        ..PeerRequest::new("ms", &[key], options.flags.clone())
    };
    match answer(peers, ctx, key, request) {
        None => {}
        Some(Answer::Mine) => {
            (command.run)(ctx);
            peers.tell_changed(key, None);
        }
        Some(Answer::Failed(why)) => fail(ctx, &why),
        Some(Answer::Reply(reply)) => match (reply.status, ctx.name) {
            (PeerStatus::Done, "setnx") => ctx.reply.integer(1),
            (PeerStatus::Done, _) => ctx.reply.ok(),
            (_, "setnx") => ctx.reply.integer(0),
            _ => ctx.reply.null(),
        },
    }
}

/// A storage command as an `ms`.
struct StoreOptions {
    /// The number of the argument that is the value.
    value: usize,
    flags: Vec<String>,
}

/// Why a storage command is not sent.
enum NotSent {
    /// Its options are wrong, and that was answered.
    Answered,
    /// memcached has no such options.
    Unsupported,
}

impl StoreOptions {
    fn read(ctx: &mut Context<'_>) -> Result<StoreOptions, NotSent> {
        let now_ms = ctx.store.now_ms();
        let (value, condition, expiry) = match ctx.name {
            "setnx" => (
                2,
                KeyCondition::Absent,
                ExpiryOption::Default(NewExpiry::Never),
            ),
            "setex" => (3, KeyCondition::Always, ExpiryOption::Seconds(2)),
            _ => {
                let Some(options) = set_options::parse(ctx.args, 3, OptionSyntax::Set) else {
                    ctx.reply.error(errors::SYNTAX);
                    return Err(NotSent::Answered);
                };
                if options.get {
                    return Err(NotSent::Unsupported);
                }
                (2, options.condition, options.expiry)
            }
        };
        let mut flags = Vec::new();
        match expiry.resolve(ctx, now_ms).ok_or(NotSent::Answered)? {
            NewExpiry::Never => {}
            NewExpiry::Keep => return Err(NotSent::Unsupported),
            NewExpiry::At(time) => {
                let exptime = exptime(time, now_ms).ok_or(NotSent::Unsupported)?;
                flags.push(format!("T{exptime}"));
            }
        }
        match condition {
            KeyCondition::Always => {}
            KeyCondition::Absent => flags.push("ME".into()),
            KeyCondition::Present => flags.push("MR".into()),
        }
        Ok(StoreOptions { value, flags })
    }
}

/// The longest time in seconds that memcached counts from now.
const LONGEST_RELATIVE: u64 = 30 * 24 * 60 * 60;

/// The exptime of an item that expires then; `None` if it isn't in whole seconds.
fn exptime(at_ms: u64, now_ms: u64) -> Option<i32> {
    let left = at_ms.saturating_sub(now_ms);
    if left == 0 {
        return Some(-1);
    }
    let seconds = match left.is_multiple_of(1000) {
        true if left / 1000 <= LONGEST_RELATIVE => left / 1000,
        true => at_ms.div_ceil(1000),
        false if at_ms.is_multiple_of(1000) => at_ms / 1000,
        false => return None,
    };
    i32::try_from(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::exptime;

    #[test]
    fn times_in_whole_seconds_become_exptimes() {
        let now = 1_700_000_000_500;
        for (at_ms, expected) in [
            (now, Some(-1)),
            (now - 5, Some(-1)),
            (now + 60_000, Some(60)),
            (now + 1_500, Some(1_700_000_002)),
            (now + 1_250, None),
            (now + 31 * 86_400_000, Some(1_702_678_401)),
            (u64::MAX / 1000 * 1000, None),
        ] {
            assert_eq!(exptime(at_ms, now), expected, "{at_ms}");
        }
    }
}
