//! The first requests on a connection, and the request that checks whether a server is up.

use crate::protocol::framing::reply::{BinaryReply, ReplyShape};
use crate::protocol::memcached::binary::{ReplyTo, sasl};
use crate::protocol::memcached::text::authentication;
use crate::protocol::resp;

/// The user as whom a connection is used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Login<'a> {
    /// The name; without one it is Redis's default user. memcached's users have names.
    pub(crate) user: Option<&'a str>,
    pub(crate) password: &'a str,
}

/// The user if there is a password.
pub(crate) fn login<'a>(user: Option<&'a str>, password: Option<&'a str>) -> Option<Login<'a>> {
    password.map(|password| Login { user, password })
}

/// The setup of a new connection before its first request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Greeting<'a> {
    /// Whether the server speaks one of memcached's protocols, in which only the login is to be set up. Otherwise it is
    /// RESP.
    pub(crate) memcached: bool,
    /// Whether that is the binary protocol.
    pub(crate) binary: bool,
    /// The user, if the server asks for one.
    pub(crate) login: Option<Login<'a>>,
    /// Whether replies are to come in RESP3.
    pub(crate) resp3: bool,
    /// The database of Redis; 0 is chosen already.
    pub(crate) database: u32,
}

impl Greeting<'_> {
    /// The requests, in their order. After a reply that is an error, the connection can't be used.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (Vec<u8>, ReplyShape)> {
        let auth = self.login.map(|Login { user, password }| match user {
            Some(user) if self.binary => {
                let (request, to) = sasl::request(user, password);
                (request, ReplyShape::Binary(BinaryReply::unchanged(to)))
            }
            Some(user) if self.memcached => {
                (authentication::request(user, password), ReplyShape::Line)
            }
            Some(user) => of_resp(&[b"AUTH", user.as_bytes(), password.as_bytes()]),
            None => of_resp(&[b"AUTH", password.as_bytes()]),
        });
        let hello = self.resp3.then(|| of_resp(&[b"HELLO", b"3"]));
        let number = self.database.to_string();
        let select = (self.database != 0).then(|| of_resp(&[b"SELECT", number.as_bytes()]));
        [auth, hello, select].into_iter().flatten()
    }
}

fn of_resp(words: &[&[u8]]) -> (Vec<u8>, ReplyShape) {
    (resp::request(words), ReplyShape::Resp)
}

/// A request that every memcached answers at once, and the form of its answer.
pub(crate) const MEMCACHED_PROBE: (&[u8], ReplyShape) = (b"version\r\n", ReplyShape::Line);

/// The first request of a connection in memcached's binary protocol, and the form of its answer. Its second byte ends a
/// line of text, so that a server without this protocol answers at once, with an error.
pub(crate) const BINARY_NOOP: (&[u8], ReplyShape) = (
    b"\x80\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ReplyShape::Binary(BinaryReply::unchanged(ReplyTo {
        opcode: 0x0a,
        opaque: 0,
    })),
);

/// The request that deletes all items of a memcached in its binary protocol, and the form of its answer.
pub(crate) const BINARY_FLUSH: (&[u8], ReplyShape) = (
    b"\x80\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ReplyShape::Binary(BinaryReply::unchanged(ReplyTo {
        opcode: 0x08,
        opaque: 0,
    })),
);

/// The request that deletes all items of a memcached, and the form of its answer.
pub(crate) const MEMCACHED_FLUSH: (&[u8], ReplyShape) = (b"flush_all\r\n", ReplyShape::Line);

/// The request that deletes all keys of a Redis without blocking it, and the form of its answer.
pub(crate) const RESP_FLUSH: (&[u8], ReplyShape) =
    (b"*2\r\n$8\r\nFLUSHALL\r\n$5\r\nASYNC\r\n", ReplyShape::Resp);

/// A request that every Redis answers at once, and the form of its answer.
pub(crate) const RESP_PROBE: (&[u8], ReplyShape) = (b"*1\r\n$4\r\nPING\r\n", ReplyShape::Resp);
