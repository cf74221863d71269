//! A request whose keys belong to several upstreams becomes a request for each of them.
//!
//! ```text
//!   MGET a b c    a, c ─▶ upstream 0:  MGET a c ──▶ [A, C] ─┐
//!                    b ─▶ upstream 1:  MGET b   ──▶ [B]    ─┴▶ ReplyMerge ──▶ [A, B, C]
//! ```

use crate::protocol::memcached::text::{Command, Retrieve};
use crate::proxy::merge::ReplyMerge;

use crate::protocol::framing::request::{MergeRule, Request, RequestKeys, RequestWords};
use crate::protocol::resp;

/// The division of a request with several keys.
pub(super) enum Division {
    /// All keys belong to one place, and the request goes there unchanged.
    Whole(usize),
    /// Several requests, and the merge of their replies: the part's number is its index here.
    Parts(Vec<RequestPart>, ReplyMerge),
}

/// The part of a request that goes to one place.
pub(super) struct RequestPart {
    /// The upstream's number; in a cluster, the slot's.
    pub(super) place: usize,
    /// The bytes to send to it.
    pub(super) bytes: Vec<u8>,
}

/// Divides a request of [`Route::Split`](crate::protocol::framing::request::Route::Split) among the upstreams that `locate` finds for its keys.
///
/// Cost: a copy of the request, and for `get` another of its keys.
pub(super) fn divide(
    request: &Request<'_>,
    join: MergeRule,
    keys: RequestKeys<'_>,
    mut locate: impl FnMut(&[u8]) -> usize,
) -> Division {
    // The upstreams in the order in which the keys name them, and for each key which of them it is.
    let mut upstreams: Vec<usize> = Vec::new();
    let order: Vec<u32> = keys
        .iter()
        .map(|key| {
            let upstream = locate(key);
            let part = upstreams.iter().position(|known| *known == upstream);
            part.unwrap_or_else(|| {
                upstreams.push(upstream);
                upstreams.len() - 1
            }) as u32
        })
        .collect();
    if let [only] = upstreams[..] {
        return Division::Whole(only);
    }
    let parts = (0..).zip(&upstreams).map(|(part, upstream)| RequestPart {
        place: *upstream,
        bytes: bytes(request, keys, &order, part),
    });
    let parts = parts.collect();
    let merge = match join {
        MergeRule::Values => ReplyMerge::values(upstreams.len(), order, keys.iter()),
        join => ReplyMerge::keyed(join, upstreams.len(), order),
    };
    Division::Parts(parts, merge)
}

/// Divides a request of RESP among the slots of a cluster: a part for each run of neighbouring keys of one slot.
///
/// Several parts may go over one connection, in the order of the keys, which is the order of their replies. So no
/// part waits in memory for one that comes behind it. Therefore a slot can have several parts.
///
/// Cost: a copy of the request and the head of one for each part.
pub(super) fn divide_by_slot(
    request: &Request<'_>,
    join: MergeRule,
    keys: RequestKeys<'_>,
    slot: impl Fn(&[u8]) -> u16,
) -> Division {
    let mut runs: Vec<(u16, usize)> = Vec::new();
    let mut order = Vec::new();
    for key in keys.iter() {
        let slot = slot(key);
        match runs.last_mut() {
            Some((last, keys)) if *last == slot => *keys += 1,
            _ => runs.push((slot, 1)),
        }
        order.push(runs.len() as u32 - 1);
    }
    let (Some(args), true) = (request.args(), runs.len() > 1) else {
        return Division::Whole(runs.first().map_or(0, |(slot, _)| usize::from(*slot)));
    };
    let found = keys.found();
    let mut at = found.first;
    let part = |&(slot, keys): &(u16, usize)| {
        // A key comes with the bytes between it and the next one.
        let words = at..at + keys * found.step;
        at = words.end;
        let words: Vec<&[u8]> = std::iter::once(0)
            .chain(words)
            .map(|at| args.get(at))
            .collect();
        let mut bytes = Vec::new();
        resp::write_request(&mut bytes, words.into_iter());
        let place = usize::from(slot);
        RequestPart { place, bytes }
    };
    let parts: Vec<RequestPart> = runs.iter().map(part).collect();
    let merge = ReplyMerge::keyed(join, parts.len(), order).eager();
    Division::Parts(parts, merge)
}

/// The request for the keys of one part.
fn bytes(request: &Request<'_>, keys: RequestKeys<'_>, order: &[u32], part: u32) -> Vec<u8> {
    let mut out = Vec::new();
    match request.source {
        RequestWords::Resp(args) => {
            let found = keys.found();
            let mine = found.positions().zip(order).filter(|(_, of)| **of == part);
            // A key comes with the bytes between it and the next one.
            let mine = mine.flat_map(|(at, _)| at..at + found.step);
            let words: Vec<&[u8]> = std::iter::once(0)
                .chain(mine)
                .map(|at| args.get(at))
                .collect();
            resp::write_request(&mut out, words.into_iter());
        }
        RequestWords::Memcached(Command::Retrieve(Retrieve { exptime, cas, .. })) => {
            out.extend_from_slice(if exptime.is_some() { b"gat" } else { b"get" });
            out.extend_from_slice(if cas { b"s" } else { b"" });
            if let Some(exptime) = exptime {
                out.push(b' ');
                out.extend_from_slice(itoa::Buffer::new().format(exptime).as_bytes());
            }
            for (key, _) in keys.iter().zip(order).filter(|(_, of)| **of == part) {
                out.push(b' ');
                out.extend_from_slice(key);
            }
            out.extend_from_slice(b"\r\n");
        }
        RequestWords::Memcached(_) | RequestWords::Meta(_) | RequestWords::Binary(_) => {
            out.extend_from_slice(request.bytes);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::framing::request::{RequestBuffers, RequestFrame, RequestFramer, Route};

    /// Divides the request between the upstreams that the last digit of each key names.
    fn divided(new: fn() -> RequestFramer, input: &[u8]) -> Vec<String> {
        let mut scratch = RequestBuffers::default();
        let RequestFrame::Request(request, _) = new().frame(input, &mut scratch) else {
            panic!("no request");
        };
        let Route::Split(join, keys) = request.route else {
            panic!("no split");
        };
        let locate = |key: &[u8]| usize::from(key[key.len() - 1] - b'0');
        match divide(&request, join, keys, locate) {
            Division::Whole(upstream) => vec![format!("whole {upstream}")],
            Division::Parts(parts, _) => parts
                .iter()
                .map(|part| format!("{} {}", part.place, part.bytes.escape_ascii()))
                .collect(),
        }
    }

    #[test]
    fn a_request_is_divided_by_the_upstreams_of_its_keys() {
        let escaped = |words: &[&[u8]]| resp::request(words).escape_ascii().to_string();
        assert_eq!(
            divided(RequestFramer::resp, b"MSET a1 x b0 y c1 z\r\n"),
            [
                format!("1 {}", escaped(&[b"MSET", b"a1", b"x", b"c1", b"z"])),
                format!("0 {}", escaped(&[b"MSET", b"b0", b"y"])),
            ]
        );
        assert_eq!(divided(RequestFramer::resp, b"DEL a1 b1\r\n"), ["whole 1"]);
        assert_eq!(
            divided(RequestFramer::memcached, b"gats -1 a1 b0 a1\r\n"),
            ["1 gats -1 a1 a1\\r\\n", "0 gats -1 b0\\r\\n"]
        );
        assert_eq!(
            divided(RequestFramer::memcached, b"get a0 b1\r\n"),
            ["0 get a0\\r\\n", "1 get b1\\r\\n"]
        );
    }
}
