//! One connection to the server, as a value: requests become bytes to send, received bytes become replies.
//!
//! ```text
//!   push(request) ──▶ output ──▶ (socket) ──▶ receive(bytes) ──▶ each complete reply, with its request and items
//!                 └─▶ waiting, items: in order ─────────────────────┘
//! ```
//!
//! It has no socket and no clock, so a test can cut the bytes anywhere. Cost: a reply that came whole is read in
//! place; a part of one is copied, once. Invariant: replies belong to the requests in their order.

use std::collections::VecDeque;

use super::action::Action;
use super::dialect::Dialect;
use crate::protocol::framing::reply::{FrameProgress, FrameState, ReplyFramer};

/// A request that was sent, or will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) action: Action,
    /// The time at which it was due, in nanoseconds of the run.
    pub(super) due: u64,
    /// The time at which it was sent.
    pub(super) sent: u64,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    dialect: Dialect,
    /// Requests without a reply, and how many items each is about.
    waiting: VecDeque<(Request, usize)>,
    /// The numbers of those items.
    items: VecDeque<u64>,
    output: Vec<u8>,
    written: usize,
    framer: Framer,
    /// The beginning of a reply whose end hasn't come; the framer has seen all of it.
    partial: Vec<u8>,
}

impl Connection {
    pub(super) fn new(dialect: Dialect) -> Connection {
        Connection {
            dialect,
            waiting: VecDeque::new(),
            items: VecDeque::new(),
            output: Vec::new(),
            written: 0,
            framer: Framer::new(dialect, Action::Get),
            partial: Vec::new(),
        }
    }

    /// Appends a request about one item to the output.
    pub(super) fn push(&mut self, request: Request, item: u64, key: &[u8], value: &[u8], ttl: u32) {
        self.dialect
            .write(&mut self.output, request.action, key, value, ttl);
        self.waiting.push_back((request, 1));
        self.items.push_back(item);
    }

    /// Appends a get of several items to the output.
    pub(super) fn push_multi_get<'a>(
        &mut self,
        request: Request,
        items: &[u64],
        keys: impl ExactSizeIterator<Item = &'a [u8]>,
    ) {
        self.dialect.write_multi_get(&mut self.output, keys);
        self.waiting.push_back((request, items.len()));
        self.items.extend(items);
    }

    /// The number of requests without a reply.
    pub(super) fn unanswered(&self) -> usize {
        self.waiting.len()
    }

    /// The bytes to send.
    pub(super) fn output(&self) -> &[u8] {
        &self.output[self.written..]
    }

    /// Notes that this many of them were sent.
    pub(super) fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
        }
    }

    /// Takes bytes that came and calls `answered` for each reply that is complete with them, with the items that the
    /// request is about.
    ///
    /// # Errors
    /// A sentence about the bytes that are no reply. The connection can't be used any more.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        mut answered: impl FnMut(Request, &[u64], &[u8]),
    ) -> Result<(), String> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some((request, items)) = self.waiting.front().copied() else {
                return Err(format!("a reply without a request: {:?}", shown(rest)));
            };
            if self.partial.is_empty() {
                self.framer = Framer::new(self.dialect, request.action);
            }
            let progress = self.framer.feed(rest);
            let (taken, after) = rest.split_at(progress.used);
            match progress.state {
                FrameState::Garbage => {
                    let all = [self.partial.as_slice(), rest].concat();
                    return Err(format!("a malformed reply: {:?}", shown(&all)));
                }
                FrameState::More => self.partial.extend_from_slice(taken),
                FrameState::Done => {
                    self.waiting.pop_front();
                    let about = &self.items.make_contiguous()[..items];
                    if self.partial.is_empty() {
                        answered(request, about, taken);
                    } else {
                        self.partial.extend_from_slice(taken);
                        answered(request, about, &self.partial);
                        self.partial.clear();
                    }
                    self.items.drain(..items);
                }
            }
            rest = after;
        }
        Ok(())
    }
}

/// Finds the end of a reply.
#[derive(Debug)]
enum Framer {
    Reply(ReplyFramer),
    /// The end of the line.
    Line,
}

impl Framer {
    fn new(dialect: Dialect, action: Action) -> Framer {
        dialect
            .shape(action)
            .map_or(Framer::Line, |shape| Framer::Reply(ReplyFramer::new(shape)))
    }

    fn feed(&mut self, bytes: &[u8]) -> FrameProgress {
        match self {
            Framer::Reply(framer) => framer.feed(bytes),
            Framer::Line => match memchr::memchr(b'\n', bytes) {
                Some(end) => FrameProgress {
                    used: end + 1,
                    state: FrameState::Done,
                },
                None => FrameProgress {
                    used: bytes.len(),
                    state: FrameState::More,
                },
            },
        }
    }
}

/// The beginning of some bytes, as text.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(dialect: Dialect, actions: &[Action]) -> Connection {
        let mut connection = Connection::new(dialect);
        for (item, &action) in (0..).zip(actions) {
            let request = Request {
                action,
                due: 0,
                sent: 0,
            };
            connection.push(request, item, b"k", b"value", 0);
        }
        connection
    }

    #[test]
    fn replies_are_found_in_every_cut() {
        let actions = [Action::Get, Action::Set, Action::Get];
        for (dialect, replies) in [
            (
                Dialect::Memcached,
                ["VALUE k 0 5\r\nvalue\r\nEND\r\n", "STORED\r\n", "END\r\n"],
            ),
            (Dialect::Meta, ["VA 5\r\nvalue\r\n", "HD\r\n", "EN\r\n"]),
            (Dialect::Resp, ["$5\r\nvalue\r\n", "+OK\r\n", "$-1\r\n"]),
            (Dialect::Echo, ["k\r\n", "any line\r\n", "\r\n"]),
        ] {
            let all = replies.concat().into_bytes();
            for first in 0..all.len() {
                for second in first..all.len() {
                    let mut connection = asked(dialect, &actions);
                    let mut found = Vec::new();
                    for piece in [&all[..first], &all[first..second], &all[second..]] {
                        let took = connection.receive(piece, |request, items, reply| {
                            let reply = String::from_utf8_lossy(reply).into_owned();
                            found.push((items[0], request.action, reply));
                        });
                        assert_eq!(took, Ok(()));
                    }
                    let expected = (0..).zip(actions).zip(replies);
                    let expected: Vec<_> = expected
                        .map(|((item, action), reply)| (item, action, reply.to_owned()))
                        .collect();
                    assert_eq!(found, expected, "cut at {first} and {second}");
                    assert_eq!(connection.unanswered(), 0);
                }
            }
        }
    }

    #[test]
    fn each_reply_comes_with_the_items_of_its_request() {
        let mut connection = Connection::new(Dialect::Resp);
        let request = Request {
            action: Action::Get,
            due: 0,
            sent: 0,
        };
        let keys: [&[u8]; 2] = [b"a", b"b"];
        connection.push_multi_get(request, &[7, 8], keys.into_iter());
        connection.push(request, 9, b"c", b"", 0);
        let mut found = Vec::new();
        let replies = b"*2\r\n$-1\r\n$1\r\nx\r\n$1\r\ny\r\n";
        let took = connection.receive(replies, |_, items, reply| {
            found.push((items.to_vec(), reply.len()));
        });
        assert_eq!(took, Ok(()));
        assert_eq!(found, [(vec![7, 8], 16), (vec![9], 7)]);
    }

    #[test]
    fn output_is_kept_until_it_was_written() {
        let mut connection = asked(Dialect::Memcached, &[Action::Get, Action::Set]);
        let all = b"get k\r\nset k 0 0 5\r\nvalue\r\n";
        assert_eq!(connection.output(), all);
        connection.wrote(3);
        assert_eq!(connection.output(), &all[3..]);
        connection.wrote(all.len() - 3);
        assert_eq!(connection.output(), b"");
    }

    #[test]
    fn bytes_that_are_no_reply_are_an_error() {
        let mut connection = asked(Dialect::Memcached, &[Action::Get]);
        let garbage = connection.receive(b"HELLO\r\n", |_, _, _| panic!("no reply"));
        assert!(garbage.is_err_and(|error| error.contains("HELLO")));
        let mut quiet = asked(Dialect::Resp, &[]);
        let unasked = quiet.receive(b"+OK\r\n", |_, _, _| panic!("no request"));
        assert!(unasked.is_err_and(|error| error.contains("without a request")));
    }
}
