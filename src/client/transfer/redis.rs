//! Entries of Redis, or of another server of RESP: the commands of strings and hashes, or `DUMP` and `RESTORE`.

use std::time::Duration;

use super::entry::{Content, Entry, StoreOutcome};
use crate::client::commands::Client;
use crate::client::connection::{Connection, Deadline};
use crate::client::error::Error;
use crate::client::resp_reply::{self, RespReply};
use crate::client::resp_request::milliseconds;
use crate::protocol::resp;

/// Whether the server has `DUMP` and `RESTORE`.
pub(super) fn has_dumps(client: &Client) -> Result<bool, Error> {
    let found = client.resp(
        &[b"COMMAND", b"INFO", b"DUMP", b"RESTORE"],
        |reply| match reply {
            RespReply::Array(commands) => Ok(commands),
            other => Err(other),
        },
    );
    Ok(found?.iter().all(|command| *command != RespReply::Null))
}

/// Strings and hashes: first the types, then the values.
pub(super) fn read(client: &Client, keys: &[Vec<u8>]) -> Result<Vec<Option<Entry>>, Error> {
    let types = keys.iter().flat_map(|key| {
        [
            resp::request(&[b"TYPE", key]),
            resp::request(&[b"PTTL", key]),
        ]
    });
    let types = types.collect::<Vec<_>>().concat();
    let described = replies(client, &types, 2 * keys.len())?;
    let kinds: Vec<String> = described.chunks(2).map(|pair| kind(&pair[0])).collect();
    let mut request = Vec::new();
    for (key, kind) in keys.iter().zip(&kinds) {
        request.extend(match kind.as_str() {
            "hash" => resp::request(&[b"HGETALL", key]),
            "string" => resp::request(&[b"GET", key]),
            // One reply for each key.
            _ => resp::request(&[b"EXISTS", key]),
        });
    }
    let values = replies(client, &request, keys.len())?;
    let lifetimes = described.chunks(2).map(|pair| lifetime(&pair[1]));
    let parts = keys.iter().zip(kinds).zip(lifetimes).zip(values);
    let entries = parts.map(|(((key, kind), lifetime), value)| {
        Some(Entry {
            content: content(kind, value)?,
            lifetime: lifetime?,
            key: key.clone(),
        })
    });
    Ok(entries.collect())
}

/// Any type, as `DUMP` gives it.
pub(super) fn dump(client: &Client, keys: &[Vec<u8>]) -> Result<Vec<Option<Entry>>, Error> {
    let requests = keys.iter().flat_map(|key| {
        [
            resp::request(&[b"PTTL", key]),
            resp::request(&[b"DUMP", key]),
        ]
    });
    let request = requests.collect::<Vec<_>>().concat();
    let mut replies = replies(client, &request, 2 * keys.len())?.into_iter();
    let entries = keys.iter().map(|key| {
        let (ttl, dump) = (replies.next()?, replies.next()?);
        let RespReply::Bulk(dump) = dump else {
            return None;
        };
        Some(Entry {
            key: key.clone(),
            content: Content::Dump(dump),
            lifetime: lifetime(&ttl)?,
        })
    });
    Ok(entries.collect())
}

/// The replies to requests that are sent together. Errors are among them.
fn replies(client: &Client, request: &[u8], count: usize) -> Result<Vec<RespReply>, Error> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let settings = &client.server.settings;
    client.ask(request, |connection: &mut Connection, _| {
        let next = |_| {
            let until = Deadline::after(settings.read);
            resp_reply::any(connection, until, settings.max_value)
        };
        (0..count).map(next).collect()
    })
}

/// The answer to `TYPE`.
fn kind(reply: &RespReply) -> String {
    match reply {
        RespReply::Status(kind) => kind.clone(),
        _ => "none".to_owned(),
    }
}

/// The answer to `PTTL`: `None` if the key is gone, otherwise the lifetime, if it has one.
fn lifetime(reply: &RespReply) -> Option<Option<Duration>> {
    match reply {
        RespReply::Integer(-1) => Some(None),
        // 0 would be an error for the next server.
        RespReply::Integer(milliseconds @ 0..) => {
            let milliseconds = milliseconds.unsigned_abs().max(1);
            Some(Some(Duration::from_millis(milliseconds)))
        }
        _ => None,
    }
}

/// The contents; `None` if the key is gone, or has another type by now.
fn content(kind: String, reply: RespReply) -> Option<Content> {
    match (kind.as_str(), reply) {
        ("string", RespReply::Bulk(value)) => Some(Content::Item(value.into())),
        ("hash", RespReply::Array(parts)) if !parts.is_empty() => {
            let parts = parts.into_iter().map(|part| match part {
                RespReply::Bulk(bytes) => Some(bytes),
                _ => None,
            });
            parts.collect::<Option<Vec<_>>>().map(Content::Hash)
        }
        (_, RespReply::Integer(1)) => Some(Content::Other(kind)),
        _ => None,
    }
}

pub(super) fn store(
    client: &Client,
    entries: &[&Entry],
    add: bool,
) -> Result<Vec<StoreOutcome>, Error> {
    let exist = match add {
        true => existing_hashes(client, entries)?,
        false => vec![false; entries.len()],
    };
    let commands: Vec<Vec<Vec<u8>>> = entries
        .iter()
        .zip(&exist)
        .map(|(entry, exists)| match exists {
            true => Vec::new(),
            false => commands(entry, add),
        })
        .collect();
    let count = commands.iter().map(Vec::len).sum();
    let request: Vec<u8> = commands.iter().flatten().flatten().copied().collect();
    let mut replies = replies(client, &request, count)?.into_iter();
    let outcomes = entries.iter().zip(exist).zip(commands);
    let outcomes = outcomes.map(|((entry, exists), commands)| {
        let replies: Vec<RespReply> = replies.by_ref().take(commands.len()).collect();
        match (&entry.content, exists) {
            (_, true) => StoreOutcome::Exists,
            (Content::Other(kind), _) => {
                StoreOutcome::Refused(format!("a {kind} is only copied from one Redis to another"))
            }
            _ => outcome(&replies),
        }
    });
    Ok(outcomes.collect())
}

/// For each entry that is a hash, whether its key exists: the commands of hashes have no condition.
fn existing_hashes(client: &Client, entries: &[&Entry]) -> Result<Vec<bool>, Error> {
    let is_hash = |entry: &Entry| matches!(entry.content, Content::Hash(_));
    let hashes = entries.iter().filter(|entry| is_hash(entry));
    let requests: Vec<Vec<u8>> = hashes
        .map(|entry| resp::request(&[b"EXISTS", &entry.key]))
        .collect();
    let mut exist = replies(client, &requests.concat(), requests.len())?.into_iter();
    let found = entries.iter().map(|entry| {
        is_hash(entry)
            && exist
                .next()
                .is_some_and(|reply| reply == RespReply::Integer(1))
    });
    Ok(found.collect())
}

/// The requests that store an entry.
fn commands(entry: &Entry, add: bool) -> Vec<Vec<u8>> {
    let key = &entry.key[..];
    let milliseconds = entry
        .lifetime
        .map(|lifetime| milliseconds(lifetime).max(1).to_string());
    let milliseconds = milliseconds.as_deref().map(str::as_bytes);
    match &entry.content {
        Content::Item(item) => {
            let mut words = vec![&b"SET"[..], key, &item.value];
            words.extend(milliseconds.iter().flat_map(|time| [&b"PX"[..], time]));
            words.extend(add.then_some(&b"NX"[..]));
            vec![resp::request(&words)]
        }
        Content::Hash(parts) => {
            let mut words = vec![&b"HSET"[..], key];
            words.extend(parts.iter().map(Vec::as_slice));
            let mut requests = vec![resp::request(&[b"DEL", key]), resp::request(&words)];
            requests.extend(milliseconds.map(|time| resp::request(&[b"PEXPIRE", key, time])));
            requests
        }
        Content::Dump(dump) => {
            let mut words = vec![&b"RESTORE"[..], key, milliseconds.unwrap_or(b"0"), dump];
            words.extend((!add).then_some(&b"REPLACE"[..]));
            vec![resp::request(&words)]
        }
        Content::Other(_) => Vec::new(),
    }
}

/// The meaning of the replies to these requests.
fn outcome(replies: &[RespReply]) -> StoreOutcome {
    for reply in replies {
        match reply {
            RespReply::Null => return StoreOutcome::Exists,
            RespReply::Error(text) if text.starts_with("BUSYKEY") => return StoreOutcome::Exists,
            RespReply::Error(text) => return StoreOutcome::Refused(text.clone()),
            _ => {}
        }
    }
    StoreOutcome::Stored
}
