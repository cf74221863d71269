//! The meaning of memcached's binary protocol for invalidation: the rules of the text protocol.
//!
//! A quiet request gets an error, as it does from memcached, when its change can't be recorded. A `noop` behind quiet
//! requests is answered when they are recorded.

use crate::invalidate::change::{NewValue, ReportedChange};
use crate::invalidate::message::unix_micros;
use crate::invalidate::report::{ReportMeaning, ReportReader};
use crate::invalidate::settings::ReadPolicy;
use crate::invalidate::target::can_be_deleted;
use crate::protocol::framing::reply::BinaryReply;
use crate::protocol::framing::request;
use crate::protocol::memcached::binary::reply::{self, ItemHead};
use crate::protocol::memcached::binary::{Command, ReplyTo, Request, Status, Store};
use crate::protocol::memcached::text;

/// The error for a key that no server could be sent a delete for.
pub(in crate::invalidate) const NAME: &str = "larder invalidate can't deliver a key of more than 186 bytes with spaces or line ends; nothing is recorded";

/// The reply to a change that is recorded. Nothing for a quiet request.
pub(in crate::invalidate) fn done(shape: &BinaryReply) -> Vec<u8> {
    match shape.withholds(Status::NoError.code()) {
        true => Vec::new(),
        false => reply_with(|out| reply::done(out, shape.to, 0)),
    }
}

fn reply_with(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn answer(bytes: Vec<u8>) -> ReportMeaning {
    ReportMeaning::Answer(bytes.into())
}

/// The reply to the change of a key.
fn changed_reply(request: &Request<'_>) -> Vec<u8> {
    let to = request.to;
    reply_with(|out| match request.command {
        _ if request.quiet => {}
        // It has the flags of the item, which only a cache knows.
        Command::Touch { .. } => {
            let (key, flags, cas) = (&b""[..], 0, 0);
            reply::value(out, to, &ItemHead { key, flags, cas }, b"");
        }
        // The number is the cache's. "No number" is an answer that promises nothing.
        Command::Count(_) => reply::error(out, to, Status::KeyNotFound),
        _ => reply::done(out, to, 0),
    })
}

impl ReportReader {
    /// The meaning of a request, whose bytes are those of `framed`.
    pub(super) fn binary(
        &self,
        request: &Request<'_>,
        framed: &request::Request<'_>,
        changes: &mut Vec<ReportedChange>,
    ) -> ReportMeaning {
        let (shape, to) = (framed.shape, request.to);
        let (key, value) = match request.command {
            Command::Store(store) => (store.key, self.binary_value(&store, framed.bytes)),
            Command::Delete { key } | Command::Touch { key, .. } => (key, None),
            Command::Count(count) => (count.key, None),
            Command::Flush { delay: 0 } => {
                changes.push(ReportedChange::All);
                return ReportMeaning::Changed(Some(changed_reply(request).into()));
            }
            Command::Flush { .. } => {
                let why = "larder invalidate has no delayed flush; nothing is recorded";
                return answer(shape.error(Status::NotSupported, why));
            }
            Command::Retrieve { .. } => return self.read(shape),
            Command::Stat { name } => return self.binary_stat(to, name),
            Command::Version => {
                let version = text::reply::VERSION_NUMBER;
                return answer(reply_with(|out| reply::text(out, to, version)));
            }
            Command::Noop | Command::Quit | Command::Sasl(_) => return ReportMeaning::Pass,
        };
        if !can_be_deleted(key) {
            return answer(shape.error(Status::NotSupported, NAME));
        }
        changes.push(ReportedChange::Key(key.into(), value));
        ReportMeaning::Changed(Some(changed_reply(request).into()))
    }

    fn binary_stat(&self, to: ReplyTo, name: &[u8]) -> ReportMeaning {
        if matches!(name, b"" | b"invalidate") {
            let mut lines = Vec::new();
            self.stats.memcached(unix_micros(), &mut lines);
            let lines = String::from_utf8_lossy(&lines);
            return answer(reply_with(|out| reply::stats(out, to, &lines)));
        }
        match self.reads {
            ReadPolicy::Refuse => answer(reply_with(|out| reply::done(out, to, 0))),
            ReadPolicy::Forward => ReportMeaning::Pass,
        }
    }

    /// The value of a storage command, the last of its bytes, if a target needs it.
    fn binary_value(&self, store: &Store<'_>, bytes: &[u8]) -> Option<NewValue> {
        let value = bytes.get(bytes.len().checked_sub(store.length)?..)?;
        self.new_value(store.verb, store.flags, store.exptime.into(), value)
    }
}
