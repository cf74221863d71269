//! Requests about one key to a server of RESP.
//!
//! Most are the commands that the client has for both protocols. Redis's INCRBY and APPEND create a key that doesn't exist, so they have
//! no miss.

use super::memcached::text;
use super::outcome::Outcome;
use super::request::{Direction, End, Request};
use crate::client::{Client, Error, RespReply};

/// Asks a server; if asked for, also for the remaining lifetime of a value.
pub(super) fn execute(
    client: &Client,
    key: &[u8],
    request: &Request,
    asks_for_ttl: bool,
) -> Result<Outcome, Error> {
    let by_text;
    let words = match request {
        Request::Count { direction, by } => {
            by_text = by.to_string();
            let verb = match direction {
                Direction::Up => &b"INCRBY"[..],
                Direction::Down => b"DECRBY",
            };
            [verb, key, by_text.as_bytes()]
        }
        Request::Extend {
            end: End::Back,
            value,
        } => [&b"APPEND"[..], key, &value[..]],
        _ => {
            let outcome = text(client, key, request)?;
            return match asks_for_ttl {
                true => with_ttl(client, key, outcome),
                false => Ok(outcome),
            };
        }
    };
    let reply = client.command(&words)?;
    Ok(match (request, reply) {
        (Request::Count { .. }, RespReply::Integer(number)) => Outcome::Number(number.into()),
        _ => Outcome::Done("stored"),
    })
}

/// A value with its remaining lifetime in seconds, rounded up.
fn with_ttl(client: &Client, key: &[u8], outcome: Outcome) -> Result<Outcome, Error> {
    let Outcome::Value { value, flags, .. } = outcome else {
        return Ok(outcome);
    };
    let ttl = match client.command(&[&b"PTTL"[..], key])? {
        RespReply::Integer(milliseconds) => u64::try_from(milliseconds).ok(),
        _ => None,
    };
    Ok(Outcome::Value {
        value,
        flags,
        ttl: Some(ttl.map(|milliseconds| milliseconds.div_ceil(1000))),
    })
}
