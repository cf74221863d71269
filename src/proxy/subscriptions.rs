//! The subscriptions of one client, over any number of connections.
//!
//! ```text
//!   SUBSCRIBE a b ─▶ asked: a at connection 3, b at connection 5      both are sent at once
//!                    connection 5 ─▶ b is confirmed             it waits: a is before it
//!                    connection 3 ─▶ a is confirmed             the client reads: a is 1, b is 2
//! ```
//!
//! Each channel is at one server of a pool, each pattern at all of them. A client has a connection to each server that it
//! needs and reads the messages of all; a confirmation has the client's own count. A channel is in the set from the moment
//! at which the client reads its confirmation, so a message that comes before is held until then, and one that comes after
//! the end of a subscription is dropped.

use std::collections::{BTreeMap, VecDeque};

use crate::protocol::resp::Reply;

/// The three kinds of subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubscriptionKind {
    Channel,
    Pattern,
    Shard,
}

/// The subscriptions of a client.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// The connections of each name: channels, patterns, channels of shards.
    names: [BTreeMap<Box<[u8]>, Vec<usize>>; 3],
    /// The connections by the numbers of their upstreams.
    pub(super) connections: Vec<(u64, usize)>,
    /// The command under way.
    unconfirmed: Option<UnconfirmedCommand>,
    /// Messages of subscriptions that are not confirmed to the client yet.
    early: Vec<Vec<u8>>,
}

/// A command whose confirmations have not all come.
#[derive(Debug)]
struct UnconfirmedCommand {
    kind: SubscriptionKind,
    subscribes: bool,
    since: u64,
    names: VecDeque<SubscribedName>,
}

/// A name of a command.
#[derive(Debug)]
pub(super) struct SubscribedName {
    pub(super) name: Box<[u8]>,
    /// The connections that it is sent over; none if nothing changes.
    pub(super) connections: Vec<usize>,
    /// Confirmations that have not come.
    pub(super) missing: usize,
}

impl SubscriptionKind {
    /// The kind of a command, and whether it subscribes.
    pub(super) fn of(command: &[u8]) -> (SubscriptionKind, bool) {
        let upper = command.to_ascii_uppercase();
        let kind = match upper[0] {
            b'P' => SubscriptionKind::Pattern,
            b'S' if upper.starts_with(b"SS") || upper.starts_with(b"SUN") => {
                SubscriptionKind::Shard
            }
            _ => SubscriptionKind::Channel,
        };
        (kind, !upper.ends_with(b"UNSUBSCRIBE"))
    }

    /// The word of a confirmation.
    pub(super) fn word(self, subscribes: bool) -> &'static str {
        match (self, subscribes) {
            (SubscriptionKind::Channel, true) => "subscribe",
            (SubscriptionKind::Channel, false) => "unsubscribe",
            (SubscriptionKind::Pattern, true) => "psubscribe",
            (SubscriptionKind::Pattern, false) => "punsubscribe",
            (SubscriptionKind::Shard, true) => "ssubscribe",
            (SubscriptionKind::Shard, false) => "sunsubscribe",
        }
    }
}

impl Subscriptions {
    /// Whether the client is subscribed to anything.
    pub(super) fn is_active(&self) -> bool {
        self.names.iter().any(|names| !names.is_empty())
    }

    /// Whether a command is under way.
    pub(super) fn is_asking(&self) -> bool {
        self.unconfirmed.is_some()
    }

    /// The time since which a command is under way, in the caller's milliseconds.
    pub(super) fn asking_since(&self) -> Option<u64> {
        self.unconfirmed.as_ref().map(|command| command.since)
    }

    /// The connection to an upstream.
    pub(super) fn connection(&self, upstream: u64) -> Option<usize> {
        let mut connections = self.connections.iter();
        connections
            .find(|(id, _)| *id == upstream)
            .map(|(_, connection)| *connection)
    }

    /// The connections of a name, if the client is subscribed to it.
    pub(super) fn connections_of(&self, kind: SubscriptionKind, name: &[u8]) -> Option<&[usize]> {
        self.names[kind as usize].get(name).map(Vec::as_slice)
    }

    /// All names of a kind.
    pub(super) fn names(&self, kind: SubscriptionKind) -> Vec<Box<[u8]>> {
        self.names[kind as usize].keys().cloned().collect()
    }

    /// A command has been sent. Names that need no confirmation are answered at once.
    pub(super) fn ask(
        &mut self,
        (kind, subscribes): (SubscriptionKind, bool),
        names: VecDeque<SubscribedName>,
        since: u64,
    ) {
        self.unconfirmed = Some(UnconfirmedCommand {
            kind,
            subscribes,
            since,
            names,
        });
    }

    /// The first name whose confirmation has not come is asked of another connection, too, which replaces all others.
    pub(super) fn redirect(&mut self, connection: usize) -> Option<&[u8]> {
        let command = self.unconfirmed.as_mut()?;
        let name = command.names.iter_mut().find(|name| name.missing > 0)?;
        name.connections = vec![connection];
        Some(&name.name)
    }

    /// Handles a message of an upstream and appends the client's part of it to `out`. False if it is no message of
    /// subscriptions.
    pub(super) fn receive(&mut self, message: &[u8], resp3: bool, out: &mut Vec<u8>) -> bool {
        let Some((word, name)) = head(message) else {
            return false;
        };
        let kind = match word {
            b"message" | b"subscribe" | b"unsubscribe" => SubscriptionKind::Channel,
            b"pmessage" | b"psubscribe" | b"punsubscribe" => SubscriptionKind::Pattern,
            b"smessage" | b"ssubscribe" | b"sunsubscribe" => SubscriptionKind::Shard,
            _ => return false,
        };
        if word.ends_with(b"message") {
            let is_asked = |command: &UnconfirmedCommand| {
                let mut names = command.names.iter();
                command.subscribes
                    && command.kind == kind
                    && names.any(|asked| *asked.name == *name)
            };
            if self.names[kind as usize].contains_key(name) {
                pass(message, resp3, out);
            } else if self.unconfirmed.as_ref().is_some_and(is_asked) {
                self.early.push(message.to_vec());
            }
            return true;
        }
        let asked = self.unconfirmed.as_mut().filter(|command| {
            command.kind == kind && kind.word(command.subscribes).as_bytes() == word
        });
        let waits = |asked: &&mut SubscribedName| *asked.name == *name && asked.missing > 0;
        match asked.and_then(|command| command.names.iter_mut().find(waits)) {
            Some(asked) => asked.missing -= 1,
            // The slot has moved to another server: the subscription has ended.
            None if word == b"sunsubscribe" => {
                self.names[SubscriptionKind::Shard as usize].remove(name);
                self.confirm((SubscriptionKind::Shard, false), Some(name), resp3, out);
            }
            None => {}
        }
        self.settle(resp3, out);
        true
    }

    /// Confirms to the client the names that all their servers have confirmed, in the order of the command.
    pub(super) fn settle(&mut self, resp3: bool, out: &mut Vec<u8>) {
        while let Some(command) = &mut self.unconfirmed {
            if command.names.front().is_none_or(|name| name.missing > 0) {
                break;
            }
            let Some(name) = command.names.pop_front() else {
                break;
            };
            let what = (command.kind, command.subscribes);
            let names = &mut self.names[command.kind as usize];
            match command.subscribes {
                true if name.connections.is_empty() => {}
                true => drop(names.insert(name.name.clone(), name.connections)),
                false => drop(names.remove(&name.name)),
            }
            self.confirm(what, Some(&name.name), resp3, out);
        }
        if self
            .unconfirmed
            .as_ref()
            .is_some_and(|command| command.names.is_empty())
        {
            self.unconfirmed = None;
            for message in std::mem::take(&mut self.early) {
                pass(&message, resp3, out);
            }
        }
    }

    /// Writes a confirmation, with the present count. No name stands for null.
    pub(super) fn confirm(
        &self,
        (kind, subscribes): (SubscriptionKind, bool),
        name: Option<&[u8]>,
        resp3: bool,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(if resp3 { b">3\r\n" } else { b"*3\r\n" });
        let mut reply = Reply::new(out, resp3, usize::MAX);
        reply.bulk(kind.word(subscribes).as_bytes());
        match name {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        }
        let [channels, patterns, shards] = &self.names;
        reply.integer(match kind {
            SubscriptionKind::Shard => shards.len(),
            SubscriptionKind::Channel | SubscriptionKind::Pattern => {
                channels.len() + patterns.len()
            }
        } as i64);
    }
}

/// Passes a message on, which came in RESP2: in RESP3 it is a push.
fn pass(message: &[u8], resp3: bool, out: &mut Vec<u8>) {
    out.push(if resp3 { b'>' } else { b'*' });
    out.extend_from_slice(&message[1..]);
}

/// The first two elements of an array of bulk strings.
fn head(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = message.strip_prefix(b"*")?;
    let (_, rest) = line(rest)?;
    let (word, rest) = bulk(rest)?;
    let (name, _) = bulk(rest)?;
    Some((word, name))
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\r', bytes)?;
    Some((&bytes[..end], bytes.get(end + 2..)?))
}

fn bulk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = line(bytes.strip_prefix(b"$")?)?;
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    Some((rest.get(..length)?, rest.get(length + 2..)?))
}
