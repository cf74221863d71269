//! The options of SET and GETEX: condition and expiry.

use super::arguments::is;
use super::context::Context;
use super::errors;
use crate::protocol::resp::{CommandArgs, parse_integer};

/// The command whose options are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OptionSyntax {
    Set,
    Getex,
}

/// The options that a client gave.
pub(super) struct SetOptions {
    pub condition: KeyCondition,
    /// Answer the old value.
    pub get: bool,
    pub expiry: ExpiryOption,
}

/// Whether the key must exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyCondition {
    Always,
    /// NX
    Absent,
    /// XX
    Present,
}

/// The expiry option as written. A number is the index of the argument, which is not parsed yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ExpiryOption {
    /// No option: SET clears the expiry, GETEX keeps it.
    Default(NewExpiry),
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

/// The expiry to store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NewExpiry {
    Never,
    /// As before.
    Keep,
    /// Unix time in milliseconds.
    At(u64),
}

/// Reads the options from number `first` on; `None` is a syntax error.
pub(super) fn parse(
    args: CommandArgs<'_>,
    first: usize,
    syntax: OptionSyntax,
) -> Option<SetOptions> {
    let set = syntax == OptionSyntax::Set;
    let default = ExpiryOption::Default(if set {
        NewExpiry::Never
    } else {
        NewExpiry::Keep
    });
    let mut options = SetOptions {
        condition: KeyCondition::Always,
        get: false,
        expiry: default,
    };
    let mut index = first;
    while index < args.len() {
        let option = args.get(index);
        let number = index + 1;
        if set && is(option, "nx") && options.condition != KeyCondition::Present {
            options.condition = KeyCondition::Absent;
        } else if set && is(option, "xx") && options.condition != KeyCondition::Absent {
            options.condition = KeyCondition::Present;
        } else if set && is(option, "get") {
            options.get = true;
        } else {
            let when = match option {
                option if set && is(option, "keepttl") => ExpiryOption::Keep,
                option if !set && is(option, "persist") => ExpiryOption::Persist,
                option if is(option, "ex") => ExpiryOption::Seconds(number),
                option if is(option, "px") => ExpiryOption::Milliseconds(number),
                option if is(option, "exat") => ExpiryOption::AtSeconds(number),
                option if is(option, "pxat") => ExpiryOption::AtMilliseconds(number),
                _ => return None,
            };
            // The same kind of time twice is allowed, and the last one counts; two kinds are not.
            let same_kind =
                std::mem::discriminant(&options.expiry) == std::mem::discriminant(&when);
            if options.expiry != default && !same_kind {
                return None;
            }
            options.expiry = when;
            if !matches!(when, ExpiryOption::Keep | ExpiryOption::Persist) {
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

impl ExpiryOption {
    /// Reads the number, which must be above zero, and makes a point in time of it; answers the error if it can't.
    pub(super) fn resolve(self, ctx: &mut Context<'_>, now_ms: u64) -> Option<NewExpiry> {
        let (index, unit, start) = match self {
            ExpiryOption::Default(expiry) => return Some(expiry),
            ExpiryOption::Keep => return Some(NewExpiry::Keep),
            ExpiryOption::Persist => return Some(NewExpiry::Never),
            ExpiryOption::Seconds(index) => (index, 1000, now_ms),
            ExpiryOption::Milliseconds(index) => (index, 1, now_ms),
            ExpiryOption::AtSeconds(index) => (index, 1000, 0),
            ExpiryOption::AtMilliseconds(index) => (index, 1, 0),
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
        time.map(|time| NewExpiry::At(time.unsigned_abs()))
    }
}

/// Answers that the expiry is invalid.
#[cold]
pub(super) fn invalid_expiry(ctx: &mut Context<'_>) {
    let error = format!("ERR invalid expire time in '{}' command", ctx.name);
    ctx.reply.error(error);
}
