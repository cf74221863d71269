//! memcached's meta commands: a request with flags, and a reply with the flags that it asked for.
//!
//! The client adds an opaque to each request, which the server returns. So a reply to another request is noticed, although
//! meta replies have no key unless it is asked for. A key with spaces or control characters is sent in base64.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::client::commands::Client;
use crate::client::connection::{Connection, Deadline};
use crate::client::error::{Cause, Error};
use crate::client::request;
use crate::client::route::Route;
use crate::pool::{Protocol, UpstreamFailure};
use crate::protocol::memcached::text::meta::base64;
use crate::protocol::memcached::text::{KEY_LIMIT, parse_unsigned};

/// The reply to a meta command.
///
/// ```
/// # let server = larder::Server::start()?;
/// # let client = larder::client::Client::new(&server.memcached_addr().to_string());
/// use larder::client::MetaCommands;
///
/// client.meta_set("key", "value", &["T60", "F7"])?;
/// let reply = client.meta_get("key", &["v", "t", "f"])?.expect("it exists");
/// assert_eq!(reply.value.as_deref(), Some(&b"value"[..]));
/// assert_eq!(reply.flag('f'), Some("7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaReply {
    /// The outcome of the command.
    pub status: MetaStatus,
    /// The value, if the flag `v` asked for it.
    pub value: Option<Vec<u8>>,
    /// The flags of the reply, each with its token: `t60`, `W`.
    pub flags: Vec<String>,
}

impl MetaReply {
    /// The token of the flag with this letter, empty if it has none; `None` if the reply doesn't have the flag.
    pub fn flag(&self, letter: char) -> Option<&str> {
        self.flags.iter().find_map(|flag| flag.strip_prefix(letter))
    }
}

/// The outcome of a meta command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaStatus {
    /// It was executed: `HD`, or `VA` with a value.
    Done,
    /// The key doesn't exist: `NF`.
    NotFound,
    /// A condition, such as the mode of `ms`, didn't hold: `NS`.
    NotStored,
    /// The item has another cas unique than the flag `C` names: `EX`.
    Exists,
}

/// memcached's meta commands, of a [`Client`] or a [`Cluster`](crate::client::Cluster). Flags are those of memcached's
/// `protocol.txt`, `T60` or `v`, except for `q`, `b`, and `O`, which are refused: each command has a reply, and the client sets the
/// others itself.
pub trait MetaCommands: Route {
    /// Reads an item: `mg`. Without the flag `v` the value is not sent. `None` for a miss.
    ///
    /// # Errors
    /// See [`Client`], and [`ErrorKind::InvalidFlag`](crate::client::ErrorKind::InvalidFlag).
    fn meta_get(&self, key: impl AsRef<[u8]>, flags: &[&str]) -> Result<Option<MetaReply>, Error> {
        let key = key.as_ref();
        let read = self.at(key, |client| client.meta("mg", key, flags, None));
        self.settings().or_miss(read)
    }

    /// Stores an item: `ms`.
    ///
    /// # Errors
    /// As for [`MetaCommands::meta_get`].
    fn meta_set(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        flags: &[&str],
    ) -> Result<MetaReply, Error> {
        let (key, value) = (key.as_ref(), Some(value.as_ref()));
        self.at(key, |client| client.meta_change("ms", key, flags, value))
    }

    /// Deletes an item, or marks it as stale: `md`.
    ///
    /// # Errors
    /// As for [`MetaCommands::meta_get`].
    fn meta_delete(&self, key: impl AsRef<[u8]>, flags: &[&str]) -> Result<MetaReply, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.meta_change("md", key, flags, None))
    }

    /// Adds to a number or subtracts from it: `ma`.
    ///
    /// # Errors
    /// As for [`MetaCommands::meta_get`].
    fn meta_arithmetic(&self, key: impl AsRef<[u8]>, flags: &[&str]) -> Result<MetaReply, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.meta_change("ma", key, flags, None))
    }
}

impl<T: Route> MetaCommands for T {}

impl Client {
    /// A command that has no miss.
    fn meta_change(
        &self,
        verb: &str,
        key: &[u8],
        flags: &[&str],
        value: Option<&[u8]>,
    ) -> Result<MetaReply, Error> {
        let reply = self.meta(verb, key, flags, value)?;
        Ok(reply.expect("only `mg` has a miss"))
    }

    fn meta(
        &self,
        verb: &str,
        key: &[u8],
        flags: &[&str],
        value: Option<&[u8]>,
    ) -> Result<Option<MetaReply>, Error> {
        self.checked_meta(verb, key, flags, value, |_| true)
    }

    /// A command whose reply has to fulfill a condition, too. Otherwise it belongs to another request.
    pub(super) fn checked_meta(
        &self,
        verb: &str,
        key: &[u8],
        flags: &[&str],
        value: Option<&[u8]>,
        is_right: impl FnOnce(&MetaReply) -> bool,
    ) -> Result<Option<MetaReply>, Error> {
        self.require(Protocol::Memcached, "meta commands")?;
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let opaque = format!("O{}", NEXT.fetch_add(1, Relaxed));
        let request = write(verb, key, flags, value, &opaque);
        let request = request.map_err(|cause| self.server.error(cause))?;
        let limit = self.server.settings.max_value;
        self.ask(&request, |connection, until| {
            let reply = read(connection, until, &opaque, limit)?;
            match &reply {
                None if verb != "mg" => Err(UpstreamFailure::unexpected(b"EN")),
                Some(reply) if !is_right(reply) => Err(UpstreamFailure::OutOfStep),
                _ => Ok(reply),
            }
        })
    }
}

/// The bytes of a request.
pub(super) fn write(
    verb: &str,
    key: &[u8],
    flags: &[&str],
    value: Option<&[u8]>,
    opaque: &str,
) -> Result<Vec<u8>, Cause> {
    if !flags.iter().copied().all(is_flag) {
        return Err(Cause::Flag);
    }
    let mut encoded = Vec::new();
    let is_plain = request::refuse_key(key).is_ok();
    if !is_plain && !key.is_empty() {
        base64::encode(key, &mut encoded);
    }
    let sent = if is_plain { key } else { &encoded };
    if sent.is_empty() || sent.len() > KEY_LIMIT {
        request::refuse_key(key).map_err(Cause::Key)?;
    }
    let length = value.map(|value| value.len().to_string());
    let mut words = vec![verb.as_bytes(), sent];
    words.extend(length.as_deref().map(str::as_bytes));
    words.extend((!is_plain).then_some(&b"b"[..]));
    words.extend(flags.iter().map(|flag| flag.as_bytes()));
    words.push(opaque.as_bytes());
    let mut out = request::line(&words);
    if let Some(value) = value {
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    Ok(out)
}

/// Whether a word is a flag that the caller may set.
fn is_flag(word: &str) -> bool {
    let first = word.bytes().next().unwrap_or(b'q');
    first.is_ascii_alphabetic()
        && !b"qbO".contains(&first)
        && word.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The reply; `None` for a miss.
pub(super) fn read(
    connection: &mut Connection,
    until: Deadline,
    opaque: &str,
    max_value: usize,
) -> Result<Option<MetaReply>, UpstreamFailure> {
    let line = connection.line(until)?;
    let mut words = line
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty());
    let status = match words.next().unwrap_or_default() {
        b"EN" => return Ok(None),
        b"VA" | b"HD" => MetaStatus::Done,
        b"NF" => MetaStatus::NotFound,
        b"NS" => MetaStatus::NotStored,
        b"EX" => MetaStatus::Exists,
        _ => return Err(UpstreamFailure::Garbage),
    };
    let length = match line.starts_with(b"VA ") {
        true => {
            let length = words.next().and_then(parse_unsigned);
            let length = length.ok_or(UpstreamFailure::Garbage)?;
            let length = usize::try_from(length).ok();
            let length = length.filter(|length| *length <= max_value);
            Some(length.ok_or(UpstreamFailure::TooLong(max_value))?)
        }
        false => None,
    };
    let mut flags = Vec::new();
    let mut is_ours = false;
    for word in words {
        match word == opaque.as_bytes() {
            true => is_ours = true,
            false => flags.push(String::from_utf8_lossy(word).into_owned()),
        }
    }
    if !is_ours {
        return Err(UpstreamFailure::OutOfStep);
    }
    let value = length.map(|length| connection.block(length, until));
    Ok(Some(MetaReply {
        status,
        value: value.transpose()?,
        flags,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_its_key_length_flags_and_opaque() {
        for (verb, key, flags, value, expected) in [
            ("mg", "k", &["v", "t"][..], None, "mg k v t O5\r\n"),
            (
                "ms",
                "k",
                &["T9"],
                Some("a\r\n"),
                "ms k 3 T9 O5\r\na\r\n\r\n",
            ),
            ("md", "a b", &[], None, "md YSBi b O5\r\n"),
        ] {
            let request = write(verb, key.as_bytes(), flags, value.map(str::as_bytes), "O5");
            let request = request.expect("it can be sent");
            assert_eq!(String::from_utf8_lossy(&request), expected);
        }
    }

    #[test]
    fn flags_of_the_client_and_keys_that_are_too_long_are_refused() {
        for flag in ["q", "b", "O7", "", "v t", "v\r\nflush_all", "é"] {
            let request = write("mg", b"k", &[flag], None, "O5");
            assert!(matches!(request, Err(Cause::Flag)), "{flag:?}");
        }
        for key in ["", &" ".repeat(190), &"k".repeat(251)] {
            let request = write("mg", key.as_bytes(), &[], None, "O5");
            assert!(matches!(request, Err(Cause::Key(_))), "{key:?}");
        }
    }
}
