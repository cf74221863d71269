//! The options of SET and GETEX: under which condition, and until when.

use super::arguments::is;
use super::errors;
use super::session::Ctx;
use crate::protocol::resp::{Args, parse_integer};

/// Which command's options.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    Set,
    Getex,
}

/// What was asked for.
pub(super) struct Options {
    pub only: Only,
    /// Answer the old value.
    pub get: bool,
    pub expiry: When,
}

/// Whether the key must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Only {
    Always,
    /// NX
    Missing,
    /// XX
    Present,
}

/// Until when, as it was written; a number is the place of the argument, which is not looked at yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Nothing was said: SET clears the expiry, GETEX keeps it.
    Unsaid(Expiry),
    /// KEEPTTL
    Keep,
    /// PERSIST
    Persist,
    /// EX
    Seconds(usize),
    /// PX
    Milliseconds(usize),
    /// EXAT
    AtSeconds(usize),
    /// PXAT
    AtMilliseconds(usize),
}

/// Until when.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    Never,
    /// As before.
    Keep,
    /// Unix time in milliseconds.
    At(u64),
}

/// Reads the options from number `first` on; `None` is a syntax error.
pub(super) fn parse(args: Args<'_>, first: usize, allowed: Allowed) -> Option<Options> {
    let set = allowed == Allowed::Set;
    let unsaid = When::Unsaid(if set { Expiry::Never } else { Expiry::Keep });
    let mut options = Options {
        only: Only::Always,
        get: false,
        expiry: unsaid,
    };
    let mut index = first;
    while index < args.len() {
        let option = args.get(index);
        let number = index + 1;
        if set && is(option, "nx") && options.only != Only::Present {
            options.only = Only::Missing;
        } else if set && is(option, "xx") && options.only != Only::Missing {
            options.only = Only::Present;
        } else if set && is(option, "get") {
            options.get = true;
        } else {
            let when = match option {
                option if set && is(option, "keepttl") => When::Keep,
                option if !set && is(option, "persist") => When::Persist,
                option if is(option, "ex") => When::Seconds(number),
                option if is(option, "px") => When::Milliseconds(number),
                option if is(option, "exat") => When::AtSeconds(number),
                option if is(option, "pxat") => When::AtMilliseconds(number),
                _ => return None,
            };
            // The same kind of time twice is allowed, and the last one counts; two kinds are not.
            let same_kind =
                std::mem::discriminant(&options.expiry) == std::mem::discriminant(&when);
            if options.expiry != unsaid && !same_kind {
                return None;
            }
            options.expiry = when;
            if !matches!(when, When::Keep | When::Persist) {
                if number == args.len() {
                    return None;
                }
                index = number;
            }
        }
        index += 1;
    }
    Some(options)
}

impl When {
    /// Reads the number, which must be above zero, and makes a point in time of it; answers the error if it can't.
    pub(super) fn resolve(self, ctx: &mut Ctx<'_>, now_ms: u64) -> Option<Expiry> {
        let (index, unit, start) = match self {
            When::Unsaid(expiry) => return Some(expiry),
            When::Keep => return Some(Expiry::Keep),
            When::Persist => return Some(Expiry::Never),
            When::Seconds(index) => (index, 1000, now_ms),
            When::Milliseconds(index) => (index, 1, now_ms),
            When::AtSeconds(index) => (index, 1000, 0),
            When::AtMilliseconds(index) => (index, 1, 0),
        };
        let Some(number) = parse_integer(ctx.args.get(index)) else {
            ctx.reply.error(errors::NOT_INTEGER);
            return None;
        };
        let time = (number > 0)
            .then_some(number)
            .and_then(|number| number.checked_mul(unit))
            .and_then(|number| number.checked_add_unsigned(start));
        if time.is_none() {
            invalid_expiry(ctx);
        }
        time.map(|time| Expiry::At(time.unsigned_abs()))
    }
}

/// Answers that the time makes no sense.
#[cold]
pub(super) fn invalid_expiry(ctx: &mut Ctx<'_>) {
    let error = format!("ERR invalid expire time in '{}' command", ctx.entry.name);
    ctx.reply.error(error);
}
