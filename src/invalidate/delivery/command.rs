//! The requests that report changes to an upstream, and the meaning of its replies.
//!
//! Only the replies that the protocol has for a request count. If an upstream answers anything else, or nothing, the
//! key is not deleted.

use super::binary;
use super::request_kind::{DeliveryRequest, ReplyMeaning};
use crate::invalidate::change::NewValue;
use crate::invalidate::settings::{ForgetMethod, Target, TargetKind};
use crate::invalidate::spool::PendingChange;
use crate::invalidate::target::is_text_name;
use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::memcached::text::meta::base64;
use crate::protocol::resp::request;
use crate::upstream::{
    BINARY_FLUSH, BINARY_NOOP, Greeting, MEMCACHED_FLUSH, MEMCACHED_PROBE, RESP_PROBE, login,
};

impl Target {
    /// The first requests to a server of the target.
    pub(super) fn greeting(&self) -> Greeting<'_> {
        Greeting {
            memcached: self.kind == TargetKind::Memcached,
            binary: self.binary,
            login: login(self.user.as_deref(), self.password.as_deref()),
            resp3: false,
            database: self.database,
        }
    }

    /// The request that checks that a server is up.
    pub(super) fn ping(&self) -> (&'static [u8], ReplyShape) {
        match self.kind {
            TargetKind::Memcached if self.binary => BINARY_NOOP,
            TargetKind::Memcached => MEMCACHED_PROBE,
            TargetKind::Redis => RESP_PROBE,
        }
    }

    /// The request to delete all keys.
    pub(super) fn flush(&self) -> (&'static [u8], ReplyShape) {
        match self.kind {
            TargetKind::Memcached if self.binary => BINARY_FLUSH,
            TargetKind::Memcached => MEMCACHED_FLUSH,
            TargetKind::Redis => (b"*1\r\n$7\r\nFLUSHDB\r\n", ReplyShape::Resp),
        }
    }

    /// The meaning of a reply; `change` is the change of an [`DeliveryRequest::Change`].
    pub(super) fn meaning(
        &self,
        asked: DeliveryRequest,
        change: Option<&PendingChange>,
        reply: &[u8],
    ) -> ReplyMeaning {
        if self.binary {
            let written = change.is_some_and(|change| self.new_value(change).is_some());
            return binary::meaning(asked, written && self.forget == ForgetMethod::Update, reply);
        }
        let line = reply.strip_suffix(b"\r\n").unwrap_or(reply);
        let right = match (asked, self.kind) {
            (DeliveryRequest::Ping, TargetKind::Memcached) => line.starts_with(b"VERSION "),
            (DeliveryRequest::Ping, TargetKind::Redis) => line == b"+PONG",
            (DeliveryRequest::Flush, TargetKind::Memcached) => line == b"OK",
            (DeliveryRequest::Flush, TargetKind::Redis) => line == b"+OK",
            (DeliveryRequest::Delete, kind) => is_deleted(kind, line),
            (DeliveryRequest::Change(_), kind) => {
                let written = change.is_some_and(|change| self.new_value(change).is_some());
                return self.change_meaning(kind, written, line);
            }
        };
        match right {
            true => ReplyMeaning::Done,
            false => ReplyMeaning::Unexpected,
        }
    }

    fn change_meaning(&self, kind: TargetKind, written: bool, line: &[u8]) -> ReplyMeaning {
        match (self.forget, kind) {
            // HD: marked. NF: missing. memcached before 1.6 has no meta commands.
            (ForgetMethod::Stale, _) => match line {
                b"HD" | b"NF" => ReplyMeaning::Done,
                b"ERROR" => ReplyMeaning::Delete,
                line if line.starts_with(b"CLIENT_ERROR") => ReplyMeaning::Delete,
                _ => ReplyMeaning::Unexpected,
            },
            (ForgetMethod::Update, kind) if written => match (line, kind) {
                (b"STORED", TargetKind::Memcached) | (b"+OK", TargetKind::Redis) => {
                    ReplyMeaning::Done
                }
                // Too large for it, or no memory: the old value must be deleted all the same.
                (line, _) if line.starts_with(b"SERVER_ERROR") || line.starts_with(b"-OOM") => {
                    ReplyMeaning::Delete
                }
                _ => ReplyMeaning::Unexpected,
            },
            (_, kind) if is_deleted(kind, line) => ReplyMeaning::Done,
            _ => ReplyMeaning::Unexpected,
        }
    }

    /// Appends the request that invalidates a key at an upstream, at this time in Unix milliseconds. Returns the form of
    /// its reply.
    pub(super) fn forget_request(
        &self,
        change: &PendingChange,
        now: i64,
        out: &mut Vec<u8>,
    ) -> ReplyShape {
        let key = &change.key;
        match (self.forget, self.kind, self.new_value(change)) {
            (ForgetMethod::Stale, _, _) => {
                let flags = format!(" I T{}", self.stale_seconds);
                meta_delete(key, &flags, out);
                ReplyShape::Meta
            }
            (ForgetMethod::Update, TargetKind::Memcached, Some(value)) if self.binary => {
                binary::set(key, value, seconds_left(value.expires, now), out)
            }
            (ForgetMethod::Update, TargetKind::Memcached, Some(value)) => {
                out.extend_from_slice(b"set ");
                out.extend_from_slice(key);
                let (flags, length) = (value.flags, value.bytes.len());
                let seconds = seconds_left(value.expires, now);
                out.extend_from_slice(format!(" {flags} {seconds} {length}\r\n").as_bytes());
                out.extend_from_slice(&value.bytes);
                out.extend_from_slice(b"\r\n");
                ReplyShape::Line
            }
            (ForgetMethod::Update, TargetKind::Redis, Some(value)) => {
                let expires = value.expires.to_string();
                let words = [b"SET", &key[..], &value.bytes, b"PXAT", expires.as_bytes()];
                let count = if value.expires > 0 { 5 } else { 3 };
                out.extend(request(&words[..count]));
                ReplyShape::Resp
            }
            _ => self.delete_request(key, out),
        }
    }

    /// Appends the request to delete a key. Returns the form of its reply.
    pub(super) fn delete_request(&self, key: &[u8], out: &mut Vec<u8>) -> ReplyShape {
        match self.kind {
            TargetKind::Memcached if self.binary => binary::delete(key, out),
            TargetKind::Memcached if !is_text_name(key) => {
                meta_delete(key, "", out);
                ReplyShape::Meta
            }
            TargetKind::Memcached => {
                out.extend_from_slice(b"delete ");
                out.extend_from_slice(key);
                out.extend_from_slice(b"\r\n");
                ReplyShape::Line
            }
            TargetKind::Redis => {
                out.extend(request(&[b"UNLINK", key]));
                ReplyShape::Resp
            }
        }
    }

    /// The value that is to be written, which has not expired at once. A key that memcached gets in base64 is deleted
    /// instead.
    fn new_value<'c>(&self, change: &'c PendingChange) -> Option<&'c NewValue> {
        let is_named = self.kind == TargetKind::Redis || self.binary || is_text_name(&change.key);
        let value = change.record.value.as_ref();
        value.filter(|value| value.expires >= 0 && is_named)
    }
}

/// Appends a `md` with these flags, its key in base64 if a line can't contain it.
fn meta_delete(key: &[u8], flags: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"md ");
    match is_text_name(key) {
        true => out.extend_from_slice(key),
        false => {
            base64::encode(key, out);
            out.extend_from_slice(b" b");
        }
    }
    out.extend_from_slice(flags.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn is_deleted(kind: TargetKind, line: &[u8]) -> bool {
    match kind {
        // The last two are answers to `md`.
        TargetKind::Memcached => matches!(line, b"DELETED" | b"NOT_FOUND" | b"HD" | b"NF"),
        TargetKind::Redis => line == b":0" || line == b":1",
    }
}

/// memcached's expiration time for a time in Unix milliseconds; 0 stays "never".
fn seconds_left(expires: i64, now: i64) -> i64 {
    if expires == 0 {
        return 0;
    }
    // memcached reads more than 30 days as a date, and a negative number as at once.
    match (expires - now).div_euclid(1000) {
        0 => 1,
        left @ ..0 => left.max(-1),
        left if left > 30 * 24 * 3600 => expires / 1000,
        left => left,
    }
}
