//! The errors that clients get, in the form of their protocol.

use std::borrow::Cow;

use crate::pool::UpstreamFailure;
use crate::protocol::framing::reply::{ReplyShape, memcached};
use crate::protocol::framing::request::{Request, Route};
use crate::protocol::memcached::binary::{Header, REPLY_MAGIC, Status};

/// A client has to authenticate first; Redis's text.
pub(super) const NOAUTH: &[u8] = b"-NOAUTH Authentication required.\r\n";

/// Whether an answer is an error, by its start, in any of the protocols.
pub(super) fn is_error(answer: &[u8]) -> bool {
    match answer {
        [b'-', ..] => true,
        [REPLY_MAGIC, ..] => Header::read(answer).is_some_and(|header| header.is_error()),
        [b'E' | b'C' | b'S', ..] => {
            let line = answer.split(|byte| *byte == b'\r').next();
            memcached::is_error(line.unwrap_or_default())
        }
        _ => false,
    }
}

/// The keys of one command belong to several upstreams, or in a cluster to several slots, and it
/// can't be divided.
pub(super) fn cross_slot(cluster: bool) -> &'static [u8] {
    match cluster {
        // Redis's text.
        true => b"-CROSSSLOT Keys in request don't hash to the same slot\r\n",
        false => {
            b"-CROSSSLOT Keys in request belong to different upstreams; give them one {hash tag}\r\n"
        }
    }
}

/// A redirection in a cluster that can't be followed: the client has to ask again.
pub(super) const TRYAGAIN: &[u8] =
    b"-TRYAGAIN The slot is being moved; send the request, or its whole transaction, again\r\n";

/// `EXEC` of a transaction of which a command was refused; Redis's text, like the next three.
pub(super) const EXECABORT: &[u8] =
    b"-EXECABORT Transaction discarded because of previous errors.\r\n";

/// `MULTI` with arguments.
pub(super) const MULTI_WORDS: &[u8] = b"-ERR wrong number of arguments for 'multi' command\r\n";

/// `EXEC` with arguments.
pub(super) const EXEC_WORDS: &[u8] = b"-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n";

/// `MULTI` in a transaction.
pub(super) const NESTED: &[u8] = b"-ERR MULTI calls can not be nested\r\n";

/// `WATCH` in a transaction.
pub(super) const WATCH_INSIDE: &[u8] = b"-ERR WATCH inside MULTI is not allowed\r\n";

/// A transaction begins with more commands without keys than are held back.
pub(super) const HELD: &[u8] =
    b"-ERR too many commands without a key at the start of the transaction: the first key decides its upstream\r\n";

/// A command without keys that is about one server; or, in a transaction, which one server executes, a command about
/// all of them.
pub(super) fn only(request: &Request<'_>) -> Vec<u8> {
    let upper = |at: usize| {
        let word = request.args().filter(|args| args.len() > at);
        let word = word.map(|args| args[at].to_ascii_uppercase());
        String::from_utf8_lossy(&word.unwrap_or_default()).into_owned()
    };
    let name = upper(0);
    if let Route::Every(_) | Route::Scan = request.route {
        return format!(
            "-ERR {name} is about all servers of the proxy, and a transaction is executed by one\r\n"
        )
        .into_bytes();
    }
    let why = match &name[..] {
        "MONITOR" => "shows the commands of one server",
        "CLIENT" => "TRACKING follows the keys of one server",
        "FUNCTION" | "LATENCY" | "MEMORY" => &format!("{} is about one server", upper(1)),
        _ => "is about one server",
    };
    format!("-ERR {name} {why}, and the proxy has several: ask that server itself\r\n").into_bytes()
}

/// `stats` with a word that is about one server's internals.
pub(super) fn only_stats(shape: ReplyShape, word: &[u8]) -> Vec<u8> {
    let word = word.escape_ascii();
    let text = format!(
        "stats {word} is about one server, and the proxy has several: ask that server itself"
    );
    shape.error(Status::NotSupported, &text)
}

/// A failure, with the upstream that it is about, in place of a reply of this shape.
pub(super) fn upstream(shape: ReplyShape, address: &str, failure: &UpstreamFailure) -> Vec<u8> {
    let text = format!("upstream {address} {failure}");
    // The text may contain an upstream's error, so line ends are replaced: the error stays one line.
    let text = text.replace(['\r', '\n'], " ");
    shape.error(Status::TemporaryFailure, &text)
}

/// A command that would change the state of a shared connection.
pub(super) fn refused(shape: ReplyShape) -> Vec<u8> {
    match shape {
        ReplyShape::Resp | ReplyShape::Binary(_) => shape.error(
            Status::NotSupported,
            "this command is not possible through a proxy",
        ),
        _ => b"ERROR\r\n".to_vec(),
    }
}

/// A request over the limit that can't be streamed to one upstream: its destination depends on all of it, or it
/// changes the connection.
pub(super) fn too_large(route: &Route<'_>) -> &'static [u8] {
    match route {
        Route::Refused => b"-ERR this command is limited to 1 MiB through a proxy\r\n",
        _ => {
            b"-ERR a request over 64 MiB can't be divided among upstreams: send several smaller ones\r\n"
        }
    }
}

/// The reply to a read of a missing key; `None` if the request is not a plain read.
pub(super) fn miss(request: &Request<'_>) -> Option<Cow<'static, [u8]>> {
    if !request.repeat_safe {
        return None;
    }
    if request.binary().is_some() {
        return request.binary_miss().map(Cow::Owned);
    }
    let Some(args) = request.args() else {
        return match request.shape {
            ReplyShape::Values => Some(b"END\r\n"[..].into()),
            _ => request.meta_miss().map(Cow::Borrowed),
        };
    };
    let miss: &[u8] = match &args[0].to_ascii_lowercase()[..] {
        b"get" | b"hget" | b"lindex" | b"zscore" => b"$-1\r\n",
        b"mget" => {
            let keys = args.len() - 1;
            let nulls = b"$-1\r\n".repeat(keys);
            return Some([format!("*{keys}\r\n").as_bytes(), &nulls].concat().into());
        }
        b"getrange" | b"substr" => b"$0\r\n\r\n",
        b"ttl" | b"pttl" => b":-2\r\n",
        b"exists" | b"strlen" | b"hexists" | b"hlen" | b"llen" | b"scard" | b"sismember"
        | b"zcard" => b":0\r\n",
        b"type" => b"+none\r\n",
        b"hkeys" | b"hvals" | b"lrange" | b"smembers" | b"zrange" => b"*0\r\n",
        _ => return None,
    };
    Some(miss.into())
}
