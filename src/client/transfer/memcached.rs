//! Entries of memcached: `mg` and `ms`, sent together.

use std::time::Duration;

use super::entry::{Content, Entry, StoreOutcome};
use crate::client::commands::Client;
use crate::client::connection::Deadline;
use crate::client::error::{Cause, Error};
use crate::client::item::Item;
use crate::client::meta::{self, MetaReply, MetaStatus};
use crate::client::request;
use crate::pool::UpstreamFailure;

/// The items of these keys, which can have any bytes.
pub(super) fn read(client: &Client, keys: &[Vec<u8>]) -> Result<Vec<Option<Entry>>, Error> {
    let settings = &client.server.settings;
    let mut request = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        let read = meta::write("mg", key, &["v", "f", "t"], None, &opaque(number));
        request.extend(read.map_err(|cause| client.server.error(cause))?);
    }
    client.ask(&request, |connection, _| {
        let numbered = keys.iter().enumerate();
        let entries = numbered.map(|(number, key)| {
            let until = Deadline::after(settings.read);
            let reply = meta::read(connection, until, &opaque(number), settings.max_value)?;
            reply.map(|reply| entry(key, reply)).transpose()
        });
        entries.collect()
    })
}

pub(super) fn store(
    client: &Client,
    entries: &[&Entry],
    add: bool,
) -> Result<Vec<StoreOutcome>, Error> {
    let mut request = Vec::new();
    let mut refused = Vec::with_capacity(entries.len());
    for (number, entry) in entries.iter().enumerate() {
        refused.push(match stored(entry, add, number) {
            Ok(bytes) => {
                request.extend(bytes);
                None
            }
            Err(why) => Some(StoreOutcome::Refused(why)),
        });
    }
    if request.is_empty() {
        return Ok(refused.into_iter().flatten().collect());
    }
    client.ask(&request, |connection, _| {
        let outcomes = refused.into_iter().enumerate().map(|(number, refused)| {
            if let Some(refused) = refused {
                return Ok(refused);
            }
            let until = Deadline::after(client.server.settings.read);
            match meta::read(connection, until, &opaque(number), 0) {
                Ok(reply) => outcome(reply),
                // Only after such a line the server has taken the value, and reads the next command.
                Err(UpstreamFailure::ErrorLine(line))
                    if UpstreamFailure::ErrorLine(line.clone()).leaves_connection_usable() =>
                {
                    Ok(StoreOutcome::Refused(line))
                }
                Err(failure) => Err(failure),
            }
        });
        outcomes.collect()
    })
}

/// The request that stores an entry, or the reason why memcached can't have it.
fn stored(entry: &Entry, add: bool, number: usize) -> Result<Vec<u8>, String> {
    let item = match &entry.content {
        Content::Item(item) => item,
        Content::Hash(_) => return Err("memcached has no hashes".to_owned()),
        Content::Dump(_) => return Err("memcached can't read a dump of Redis".to_owned()),
        Content::Other(kind) => return Err(format!("memcached has no values of type {kind}")),
    };
    let flags = format!("F{}", item.flags);
    let lifetime = format!("T{}", request::exptime(entry.lifetime));
    let mut words = vec![flags.as_str(), lifetime.as_str()];
    words.extend(add.then_some("ME"));
    let request = meta::write("ms", &entry.key, &words, Some(&item.value), &opaque(number));
    request.map_err(|cause| match cause {
        Cause::Key(why) => format!("the key {why}"),
        _ => "the flags can't be sent".to_owned(),
    })
}

/// The opaque of a request among those that are sent together.
fn opaque(number: usize) -> String {
    format!("O{number}")
}

fn outcome(reply: Option<MetaReply>) -> Result<StoreOutcome, UpstreamFailure> {
    match reply.map(|reply| reply.status) {
        Some(MetaStatus::Done) => Ok(StoreOutcome::Stored),
        Some(MetaStatus::NotStored) => Ok(StoreOutcome::Exists),
        _ => Err(UpstreamFailure::OutOfStep),
    }
}

/// The entry of a reply with the flags `v`, `f` and `t`.
fn entry(key: &[u8], reply: MetaReply) -> Result<Entry, UpstreamFailure> {
    let number = |letter| {
        let token = reply.flag(letter).unwrap_or_default().parse::<u32>();
        token.map_err(|_| UpstreamFailure::Garbage)
    };
    let flags = number('f')?;
    let lifetime = match reply.flag('t') {
        Some("-1") => None,
        // In its last second an item has 0 left, which would be no limit for the next server.
        _ => Some(Duration::from_secs(u64::from(number('t')?.max(1)))),
    };
    let value = reply.value.ok_or(UpstreamFailure::Garbage)?;
    Ok(Entry {
        key: key.to_vec(),
        content: Content::Item(Item { value, flags }),
        lifetime,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(flags: &[&str]) -> MetaReply {
        MetaReply {
            status: MetaStatus::Done,
            value: Some(b"x".to_vec()),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        }
    }

    #[test]
    fn a_reply_has_flags_and_a_lifetime() {
        for (flags, lifetime) in [
            (["f7", "t-1"], None),
            (["t60", "f7"], Some(60)),
            // Less than a second is left, not no limit.
            (["t0", "f7"], Some(1)),
        ] {
            let read = entry(b"k", reply(&flags)).expect("an entry");
            let expected = Entry {
                key: b"k".to_vec(),
                content: Content::Item(Item {
                    value: b"x".to_vec(),
                    flags: 7,
                }),
                lifetime: lifetime.map(Duration::from_secs),
            };
            assert_eq!(read, expected, "{flags:?}");
        }
        for flags in [["f7", "s1"], ["t5", "fx"], ["t-2", "f1"]] {
            assert!(entry(b"k", reply(&flags)).is_err(), "{flags:?}");
        }
    }

    #[test]
    fn an_entry_that_memcached_can_not_have_is_refused() {
        for (key, content, why) in [
            (
                &b"k"[..],
                Content::Hash(Vec::new()),
                "memcached has no hashes",
            ),
            (
                b"k",
                Content::Other("list".to_owned()),
                "memcached has no values of type list",
            ),
            (
                &[b'k'; 251],
                Content::Item(Item::default()),
                "the key has more than 250 bytes",
            ),
            (b"", Content::Item(Item::default()), "the key is empty"),
        ] {
            let entry = Entry {
                key: key.to_vec(),
                content,
                lifetime: None,
            };
            assert_eq!(stored(&entry, false, 0), Err(why.to_owned()));
        }
    }
}
