//! Expiry of keys: EXPIRE and its like set it, TTL and its like return it, PERSIST removes it.
//!
//! The store keeps Unix time in milliseconds; the commands differ in their unit and in whether they count from now.
//! A time in the past deletes the key at once.

use super::arguments::is;
use super::context::Context;
use super::set_options::invalid_expiry;
use super::table::{CommandSpec, FAST, READONLY, WRITE};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("expire", -3, WRITE | FAST, |ctx| expire(ctx, 1000, true)).keys(1, 1, 1).docs(
        "generic",
        "1.0.0",
        "key seconds [NX|XX|GT|LT]",
        "Sets the expiry of a key in seconds.",
    ),
    CommandSpec::new("pexpire", -3, WRITE | FAST, |ctx| expire(ctx, 1, true)).keys(1, 1, 1).docs(
        "generic",
        "2.6.0",
        "key milliseconds [NX|XX|GT|LT]",
        "Sets the expiry of a key in milliseconds.",
    ),
    CommandSpec::new("expireat", -3, WRITE | FAST, |ctx| expire(ctx, 1000, false)).keys(1, 1, 1).docs(
        "generic",
        "1.2.0",
        "key time [NX|XX|GT|LT]",
        "Sets the expiry of a key to a Unix time in seconds.",
    ),
    CommandSpec::new("pexpireat", -3, WRITE | FAST, |ctx| expire(ctx, 1, false)).keys(1, 1, 1).docs(
        "generic",
        "2.6.0",
        "key time [NX|XX|GT|LT]",
        "Sets the expiry of a key to a Unix time in milliseconds.",
    ),
    CommandSpec::new("ttl", 2, READONLY | FAST, |ctx| remaining_time(ctx, 1000, true)).keys(1, 1, 1).docs(
        "generic",
        "1.0.0",
        "key",
        "Returns the seconds until a key expires; -1 for never, -2 for no key.",
    ),
    CommandSpec::new("pttl", 2, READONLY | FAST, |ctx| remaining_time(ctx, 1, true)).keys(1, 1, 1).docs(
        "generic",
        "2.6.0",
        "key",
        "Returns the milliseconds until a key expires; -1 for never, -2 for no key.",
    ),
    CommandSpec::new("expiretime", 2, READONLY | FAST, |ctx| remaining_time(ctx, 1000, false))
        .keys(1, 1, 1)
        .docs(
            "generic",
            "7.0.0",
            "key",
            "Returns the Unix time in seconds at which a key expires; -1 for never, -2 for no key.",
        ),
    CommandSpec::new("pexpiretime", 2, READONLY | FAST, |ctx| remaining_time(ctx, 1, false)).keys(1, 1, 1).docs(
        "generic",
        "7.0.0",
        "key",
        "Returns the Unix time in milliseconds at which a key expires; -1 for never, -2 for no key.",
    ),
    CommandSpec::new("persist", 2, WRITE | FAST, persist).keys(1, 1, 1).docs(
        "generic",
        "2.2.0",
        "key",
        "Removes the expiry of a key.",
    ),
];

/// The condition under which EXPIRE sets an expiry.
#[derive(Default)]
struct ExpireCondition {
    /// Only if the key has no expiry.
    nx: bool,
    /// Only if the key has an expiry.
    xx: bool,
    /// Only if the new expiry is later.
    gt: bool,
    /// Only if the new expiry is earlier.
    lt: bool,
}

impl ExpireCondition {
    /// Reads the options from number 3 on; if they make no sense, the error is answered.
    fn parse(ctx: &mut Context<'_>) -> Option<ExpireCondition> {
        let mut condition = ExpireCondition::default();
        for option in ctx.args.from(3).iter() {
            match option {
                option if is(option, "nx") => condition.nx = true,
                option if is(option, "xx") => condition.xx = true,
                option if is(option, "gt") => condition.gt = true,
                option if is(option, "lt") => condition.lt = true,
                option => {
                    ctx.reply
                        .error([b"ERR Unsupported option ", option].concat());
                    return None;
                }
            }
        }
        if condition.nx && (condition.xx || condition.gt || condition.lt) {
            ctx.reply
                .error("ERR NX and XX, GT or LT options at the same time are not compatible");
            return None;
        }
        if condition.gt && condition.lt {
            ctx.reply
                .error("ERR GT and LT options at the same time are not compatible");
            return None;
        }
        Some(condition)
    }

    /// Whether `new` may replace `old`. Never is later than any time.
    fn holds(&self, old: Option<u64>, new: i64) -> bool {
        match old {
            None => !self.xx && !self.gt,
            Some(old) => {
                let (new, old) = (i128::from(new), i128::from(old));
                !self.nx && (!self.gt || new > old) && (!self.lt || new < old)
            }
        }
    }
}

fn expire(ctx: &mut Context<'_>, unit: i64, from_now: bool) {
    let Some(condition) = ExpireCondition::parse(ctx) else {
        return;
    };
    let Some(number) = ctx.integer(2) else { return };
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    let now_ms = tree.now_ms();
    let start = if from_now { now_ms } else { 0 };
    let Some(time) = number
        .checked_mul(unit)
        .and_then(|ms| ms.checked_add_unsigned(start))
    else {
        return invalid_expiry(ctx);
    };
    let Some(node) = tree.peek(&[key]) else {
        return ctx.reply.integer(0);
    };
    if !condition.holds(tree.item(node).expires_ms(), time) {
        return ctx.reply.integer(0);
    }
    match u64::try_from(time) {
        Ok(time) if time > now_ms => {
            tree.set_expiry(node, Some(time));
            tree.bump(node);
        }
        _ => tree.remove(node),
    }
    ctx.reply.integer(1);
}

fn remaining_time(ctx: &mut Context<'_>, unit: u64, from_now: bool) {
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    let Some(node) = tree.find_unmarked(&[key]) else {
        return ctx.reply.integer(-2);
    };
    let Some(time) = tree.item(node).expires_ms() else {
        return ctx.reply.integer(-1);
    };
    let start = if from_now { tree.now_ms() } else { 0 };
    // Rounded to the nearest second, as Redis does.
    let left = time.saturating_sub(start).saturating_add(unit / 2) / unit;
    ctx.reply.integer(i64::try_from(left).unwrap_or(i64::MAX));
}

fn persist(ctx: &mut Context<'_>) {
    let key = ctx.args.get(1);
    let mut tree = ctx.lock(key);
    let node = tree.peek(&[key]);
    let Some(node) = node.filter(|node| tree.item(*node).expires_ms().is_some()) else {
        return ctx.reply.integer(0);
    };
    tree.set_expiry(node, None);
    tree.bump(node);
    ctx.reply.integer(1);
}
