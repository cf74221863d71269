//! Meta commands of one larder to another: those of clients with a look at the key of the reply, and many quiet ones at a time.

use crate::client::commands::Client;
use crate::client::error::Error;
use crate::client::meta::{MetaReply, write};
use crate::client::request;
use crate::pool::UpstreamFailure;
use crate::protocol::memcached::text::meta::base64;

/// The opaque of commands that are not answered one by one.
const NO_OPAQUE: &str = "O0";

impl Client {
    /// A meta command. The reply has to have the key, as far as it has no spaces and control characters.
    ///
    /// # Errors
    /// See [`Client`].
    pub(crate) fn meta_of_peer(
        &self,
        verb: &str,
        key: &[u8],
        flags: &[&str],
        value: Option<&[u8]>,
    ) -> Result<Option<MetaReply>, Error> {
        if request::refuse_key(key).is_err() {
            return self.checked_meta(verb, key, flags, value, |_| true);
        }
        let flags = [flags, &["k"]].concat();
        self.checked_meta(verb, key, &flags, value, |reply| is_about(reply, key))
    }

    /// Sends commands that are quiet, and waits until the server has executed them. Their replies, which are errors, are dropped.
    ///
    /// # Errors
    /// See [`Client`].
    pub(crate) fn send_quietly(&self, mut requests: Vec<u8>, count: usize) -> Result<(), Error> {
        requests.extend_from_slice(b"mn\r\n");
        self.ask(&requests, |connection, until| {
            for _ in 0..=count {
                if connection.whole_line(until)? == b"MN" {
                    return Ok(());
                }
            }
            Err(UpstreamFailure::OutOfStep)
        })
    }
}

/// Appends an `md` without a reply; `false` if the key can't be sent.
pub(crate) fn write_quiet_delete(out: &mut Vec<u8>, key: &[u8], flag: &str) -> bool {
    let Ok(mut request) = write("md", key, &[flag], None, NO_OPAQUE) else {
        return false;
    };
    request.truncate(request.len() - 2);
    out.extend_from_slice(&request);
    out.extend_from_slice(b" q\r\n");
    true
}

/// Whether a reply has this key, plain or in base64.
fn is_about(reply: &MetaReply, key: &[u8]) -> bool {
    let found = reply.flag('k').unwrap_or_default().as_bytes();
    if found == String::from_utf8_lossy(key).as_bytes() {
        return true;
    }
    let mut encoded = Vec::new();
    base64::encode(key, &mut encoded);
    found == encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::meta::MetaStatus;

    #[test]
    fn a_reply_about_another_key_is_noticed() {
        let reply = |flag: &str| MetaReply {
            status: MetaStatus::Done,
            value: None,
            flags: vec!["f0".into(), flag.into()],
        };
        for (flag, key, expected) in [
            ("kuser:42", "user:42", true),
            ("kdXNlcjo0Mg==", "user:42", true),
            ("kZürich", "Zürich", true),
            ("kuser:43", "user:42", false),
            ("k", "user:42", false),
            ("s3", "user:42", false),
        ] {
            assert_eq!(is_about(&reply(flag), key.as_bytes()), expected, "{flag}");
        }
    }

    #[test]
    fn a_quiet_delete_is_a_line() {
        let mut out = Vec::new();
        assert!(write_quiet_delete(&mut out, b"k", "Pc"));
        assert!(write_quiet_delete(&mut out, b"a b", "Pc"));
        assert!(!write_quiet_delete(&mut out, &[b'k'; 251], "Pc"));
        assert_eq!(out, b"md k Pc O0 q\r\nmd YSBi b Pc O0 q\r\n");
    }
}
