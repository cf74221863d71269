//! A request whose keys belong to several upstreams becomes a request for each of them.
//!
//! ```text
//!   MGET a b c    a, c ─▶ upstream 0:  MGET a c ──▶ [A, C] ─┐
//!                    b ─▶ upstream 1:  MGET b   ──▶ [B]    ─┴▶ Merge ──▶ [A, B, C]
//! ```

use crate::protocol::memcached::text::Command;
use crate::proxy::merge::Merge;

use super::{Join, Keys, Request, Source, resp};

/// What became of a request with several keys.
pub enum Division {
    /// All keys belong to this upstream; the request goes there as it is.
    Whole(usize),
    /// One request for each upstream, and what puts their replies together: the part's number is its index here.
    Parts(Vec<Part>, Merge),
}

/// The part of a request that one upstream gets.
pub struct Part {
    /// The upstream's number.
    pub upstream: usize,
    /// What it is sent.
    pub bytes: Vec<u8>,
}

/// Divides a request of [`Route::Split`](super::Route::Split) among the upstreams that `locate` finds for its keys.
///
/// Costs a copy of the request, and for `get` another of its keys.
pub fn divide(
    request: &Request<'_>,
    join: Join,
    keys: Keys<'_>,
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
    let parts = (0..).zip(&upstreams).map(|(part, upstream)| Part {
        upstream: *upstream,
        bytes: bytes(request, keys, &order, part),
    });
    let parts = parts.collect();
    let merge = match join {
        Join::Values => Merge::values(upstreams.len(), order, keys.iter()),
        join => Merge::keyed(join, upstreams.len(), order),
    };
    Division::Parts(parts, merge)
}

/// The request for the keys of one part.
fn bytes(request: &Request<'_>, keys: Keys<'_>, order: &[u32], part: u32) -> Vec<u8> {
    let mut out = Vec::new();
    match request.source {
        Source::Resp(args) => {
            let found = keys.found();
            let mine = found.positions().zip(order).filter(|(_, of)| **of == part);
            // A key comes with what follows it up to the next.
            let mine = mine.flat_map(|(at, _)| at..at + found.step);
            let words: Vec<&[u8]> = std::iter::once(0)
                .chain(mine)
                .map(|at| args.get(at))
                .collect();
            resp::array(&mut out, words.into_iter());
        }
        Source::Memcached(Command::Retrieve { exptime, cas, .. }) => {
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
        Source::Memcached(_) | Source::Meta(_) => out.extend_from_slice(request.bytes),
    }
    out
}
