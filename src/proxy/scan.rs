//! `SCAN` over several upstreams: one after the other, in the order of their numbers.
//!
//! ```text
//!   client: SCAN 0                    upstream 1: SCAN 0   ──▶ cursor 24    client: 24·65536 + 1
//!   client: SCAN 1572865              upstream 1: SCAN 24  ──▶ cursor 0     client:  0·65536 + 2
//!   client: SCAN 2                    upstream 2: SCAN 0   ──▶ cursor 0     client: 0, the end
//! ```
//!
//! A cursor has the upstream's number in its low 16 bits and the upstream's own cursor above them. An upstream keeps its
//! number as long as the proxy runs, and new ones get higher numbers. So when the list of servers changes in the middle
//! of a scan, each server that stays is scanned once, one that joins is scanned last, and one that has left is skipped:
//! its keys are no longer the pool's. A list that grows from one server to several is the exception: with one, cursors
//! pass through as they are, so a scan has to begin again.
//!
//! Redis's cursors stay below the size of its hash table, in a cluster times 16384, so 48 bits are enough for 2³⁴ keys on
//! one server; a longer one is refused. Clients that take a cursor for a double lose none below 2³⁷.

use crate::pool::Pool;
use crate::protocol::resp::{CommandArgs, write_request};

/// Bits of a cursor that name the upstream.
const UPSTREAM_BITS: u32 = 16;

/// Most bytes in front of the keys in a reply to SCAN.
pub(super) const HEAD_LIMIT: usize = 64;

/// An upstream's cursor has too many bits.
pub(super) const TOO_LARGE: &[u8] =
    b"-ERR the cursor of an upstream is too large: scan that server itself\r\n";

/// The reply when no upstream is left to be scanned.
pub(super) const END: &[u8] = b"*2\r\n$1\r\n0\r\n*0\r\n";

/// The present upstream of a SCAN, and the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScanPosition {
    upstream: u64,
    following: Option<u64>,
}

impl ScanPosition {
    /// The client's cursor after one of the upstream; `None` if there is no room for it.
    pub(super) fn cursor_after(self, cursor: u64) -> Option<u64> {
        match (cursor, self.following) {
            (0, None) => Some(0),
            (0, Some(next)) => Some(next),
            (cursor, _) if cursor >> (u64::BITS - UPSTREAM_BITS) == 0 => {
                Some(cursor << UPSTREAM_BITS | self.upstream)
            }
            _ => None,
        }
    }
}

/// The next step of a SCAN.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ScanStep {
    /// Sending this to the upstream of this number in the pool.
    Ask(usize, Vec<u8>, ScanPosition),
    /// The cursor is not one of ours; any upstream answers with the right error.
    Invalid,
    /// No upstream is left.
    End,
}

/// The next step of the scan that these words ask for. Upstreams that are not `usable` are skipped.
pub(super) fn step(pool: &Pool, args: CommandArgs<'_>, usable: impl Fn(usize) -> bool) -> ScanStep {
    let cursor = match args.len() {
        0 | 1 => None,
        _ => std::str::from_utf8(args.get(1)).ok(),
    };
    let Some(cursor) = cursor.and_then(|text| text.parse::<u64>().ok()) else {
        return ScanStep::Invalid;
    };
    let mask = (1 << UPSTREAM_BITS) - 1;
    let wanted = cursor & mask;
    let mut upstreams: Vec<(u64, usize)> = (0..)
        .zip(&pool.upstreams)
        .map(|(number, upstream)| (upstream.id & mask, number))
        .filter(|(id, number)| *id >= wanted && usable(*number))
        .collect();
    upstreams.sort_unstable();
    let following = upstreams.get(1).map(|(id, _)| *id);
    let Some(&(upstream, number)) = upstreams.first() else {
        return ScanStep::End;
    };
    let own = match upstream == wanted {
        true => cursor >> UPSTREAM_BITS,
        false => 0,
    };
    let own = own.to_string();
    let words = args.iter().enumerate().map(|(at, word)| match at {
        1 => own.as_bytes(),
        _ => word,
    });
    let words: Vec<&[u8]> = words.collect();
    let mut request = Vec::new();
    write_request(&mut request, words.into_iter());
    let position = ScanPosition {
        upstream,
        following,
    };
    ScanStep::Ask(number, request, position)
}

/// The cursor at the start of a reply to SCAN, and the position of the keys; `None` if that has not all
/// arrived.
pub(super) fn reply_head(reply: &[u8]) -> Option<(u64, usize)> {
    let rest = reply.strip_prefix(b"*2\r\n$")?;
    let mut lines = rest.split_inclusive(|byte| *byte == b'\n');
    let length = lines.next()?;
    let cursor = lines.next()?;
    let text = std::str::from_utf8(cursor.strip_suffix(b"\r\n")?).ok()?;
    Some((text.parse().ok()?, 5 + length.len() + cursor.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{Placement, ServerList};
    use crate::protocol::framing::request::{RequestBuffers, RequestFrame, RequestFramer};

    fn pool(list: &str, before: Option<&Pool>) -> Pool {
        let list: ServerList = list.parse().expect("a list");
        Pool::new(&list, Placement::Ketama, true, before)
    }

    /// The step for a cursor, as `ADDRESS CURSOR`, and the position.
    fn at(pool: &Pool, cursor: u64) -> Option<(String, ScanPosition)> {
        let line = format!("SCAN {cursor} COUNT 5\r\n");
        let mut buffers = RequestBuffers::default();
        let frame = RequestFramer::resp().frame(line.as_bytes(), &mut buffers);
        let RequestFrame::Request(request, _) = frame else {
            panic!("no request");
        };
        let args = request.args().expect("words");
        match step(pool, args, |_| true) {
            ScanStep::Ask(number, bytes, position) => {
                let text = String::from_utf8(bytes).expect("text");
                let words: Vec<&str> = text.split("\r\n").collect();
                assert_eq!((words[6], words[8]), ("COUNT", "5"));
                let address = &pool.upstreams[number].address;
                Some((format!("{address} {}", words[4]), position))
            }
            ScanStep::End => None,
            ScanStep::Invalid => panic!("a cursor is a number"),
        }
    }

    /// Scans a pool whose servers answer these cursors, and returns the requests that they got.
    fn scan(pool: &Pool, mut cursor: u64, answers: &[u64]) -> (Vec<String>, u64) {
        let mut asked = Vec::new();
        for answer in answers {
            let Some((step, position)) = at(pool, cursor) else {
                return (asked, 0);
            };
            asked.push(step);
            cursor = position.cursor_after(*answer).expect("room");
        }
        (asked, cursor)
    }

    #[test]
    fn one_server_after_the_other_is_scanned_to_its_end() {
        let pool = pool("a:1 1\nb:1 1\n", None);
        let (asked, end) = scan(&pool, 0, &[24, 7, 0, 9, 0]);
        assert_eq!(asked, ["a:1 0", "a:1 24", "a:1 7", "b:1 0", "b:1 9"]);
        assert_eq!(end, 0);
    }

    #[test]
    fn a_server_that_leaves_during_a_walk_is_skipped_and_one_that_joins_comes_last() {
        let before = pool("a:1 1\nb:1 1\nc:1 1\n", None);
        let (_, cursor) = scan(&before, 0, &[0, 5]);
        let after = pool("d:1 1\nc:1 1\na:1 1\n", Some(&before));
        let (asked, end) = scan(&after, cursor, &[3, 0, 0]);
        assert_eq!(asked, ["c:1 0", "c:1 3", "d:1 0"]);
        assert_eq!(end, 0);
    }

    #[test]
    fn a_cursor_that_does_not_fit_is_refused() {
        let position = ScanPosition {
            upstream: 3,
            following: None,
        };
        let most = (1 << 48) - 1;
        assert_eq!(position.cursor_after(most), Some(most << 16 | 3));
        assert_eq!(position.cursor_after(most + 1), None);
    }
}
