//! Requests about one key to a memcached server: commands of the text protocol, which every version has, or meta commands, which
//! take a key of any bytes and answer with the remaining lifetime.
//!
//! The client has the commands of the text protocol in RESP, too, as far as they mean the same there.

use std::time::Duration;

use super::outcome::Outcome;
use super::request::{Condition, Direction, End, Request};
use crate::client::{Cache, Client, Error, Item, MetaCommands, MetaReply, MetaStatus, exptime};

/// The word for a key that doesn't exist.
const MISSING: &str = "missing";

/// Asks by the commands of the text protocol.
pub(super) fn text(client: &Client, key: &[u8], request: &Request) -> Result<Outcome, Error> {
    Ok(match request {
        Request::Get => {
            let found = client.get(key)?;
            found.map_or(Outcome::Miss(MISSING), |item| Outcome::Value {
                value: item.value,
                flags: item.flags,
                ttl: None,
            })
        }
        Request::Store {
            condition,
            item,
            lifetime,
        } => stored(*condition, store(client, key, *condition, item, *lifetime)?),
        Request::Extend { end, value } => {
            let exists = match end {
                End::Back => client.append(key, value)?,
                End::Front => client.prepend(key, value)?,
            };
            done_if(exists, "stored", MISSING)
        }
        Request::Delete => done_if(client.delete(key)?, "deleted", MISSING),
        Request::Touch(lifetime) => done_if(client.touch(key, *lifetime)?, "touched", MISSING),
        Request::Count { direction, by } => {
            let number = match direction {
                Direction::Up => client.incr(key, *by)?,
                Direction::Down => client.decr(key, *by)?,
            };
            number.map_or(Outcome::Miss(MISSING), |number| {
                Outcome::Number(number.into())
            })
        }
    })
}

/// Stores an item. Returns whether the condition held.
fn store(
    client: &Client,
    key: &[u8],
    condition: Condition,
    item: &Item,
    lifetime: Option<Duration>,
) -> Result<bool, Error> {
    match condition {
        Condition::Always => client.set(key, item.clone(), lifetime).map(|()| true),
        Condition::IfMissing => client.add(key, item.clone(), lifetime),
        Condition::IfPresent => client.replace(key, item.clone(), lifetime),
    }
}

/// Asks by meta commands.
pub(super) fn meta(client: &Client, key: &[u8], request: &Request) -> Result<Outcome, Error> {
    let lifetime_flag = |lifetime: &Option<Duration>| format!("T{}", exptime(*lifetime));
    Ok(match request {
        Request::Get => {
            let found = client.meta_get(key, &["v", "f", "t"])?;
            found.map_or(Outcome::Miss(MISSING), found_value)
        }
        Request::Store {
            condition,
            item,
            lifetime,
        } => {
            let mode = match condition {
                Condition::Always => "MS",
                Condition::IfMissing => "ME",
                Condition::IfPresent => "MR",
            };
            let (flags, lifetime) = (format!("F{}", item.flags), lifetime_flag(lifetime));
            let reply = client.meta_set(key, &item.value, &[mode, &flags, &lifetime])?;
            stored(*condition, is_done(&reply))
        }
        Request::Extend { end, value } => {
            let mode = match end {
                End::Back => "MA",
                End::Front => "MP",
            };
            let reply = client.meta_set(key, value, &[mode])?;
            done_if(is_done(&reply), "stored", MISSING)
        }
        Request::Delete => {
            let reply = client.meta_delete(key, &[])?;
            done_if(is_done(&reply), "deleted", MISSING)
        }
        Request::Touch(lifetime) => {
            let found = client.meta_get(key, &[&lifetime_flag(lifetime)])?;
            done_if(found.is_some(), "touched", MISSING)
        }
        Request::Count { direction, by } => {
            let mode = match direction {
                Direction::Up => "MI",
                Direction::Down => "MD",
            };
            let reply = client.meta_arithmetic(key, &[mode, &format!("D{by}"), "v"])?;
            match reply.value.as_deref().and_then(number) {
                Some(number) if is_done(&reply) => Outcome::Number(number.into()),
                _ => Outcome::Miss(MISSING),
            }
        }
    })
}

fn found_value(reply: MetaReply) -> Outcome {
    let token = |letter| reply.flag(letter).unwrap_or_default().parse::<u32>().ok();
    Outcome::Value {
        flags: token('f').unwrap_or_default(),
        ttl: Some(token('t').map(u64::from)),
        value: reply.value.unwrap_or_default(),
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.trim_end().parse().ok()
}

fn is_done(reply: &MetaReply) -> bool {
    reply.status == MetaStatus::Done
}

fn stored(condition: Condition, held: bool) -> Outcome {
    let why = match condition {
        Condition::IfMissing => "exists",
        Condition::Always | Condition::IfPresent => MISSING,
    };
    done_if(held, "stored", why)
}

fn done_if(done: bool, result: &'static str, why: &'static str) -> Outcome {
    match done {
        true => Outcome::Done(result),
        false => Outcome::Miss(why),
    }
}
