//! One connection to a server as a value: requests become bytes to send, received bytes become replies.
//!
//! ```text
//!   greet, request ─▶ output ─▶ (a socket) ─▶ server
//!          │                                    │
//!          ▼ queue                              ▼
//!   Reply ◀── next_reply ◀── input ◀────────(a socket)
//! ```
//!
//! It has no socket and no clock, so that its users can be tested without either. The caller sends
//! [`Exchange::output`], passes received bytes to [`Exchange::receive`], and takes replies until there is
//! none.
//!
//! Cost: a request and a reply are each copied once. Memory: the unsent requests, and at most one incomplete reply,
//! which the limit bounds.
//!
//! Invariants: replies come out in the order of the requests. The replies to the greeting don't come out; an error among
//! them is [`UpstreamFailure::Login`]. After an error no reply comes out any more that could belong to another request:
//! the connection has to be closed.

use crate::pool::UpstreamFailure;
use crate::protocol::framing::reply::ReplyShape;
use crate::upstream::greeting::Greeting;
use crate::upstream::queue::RequestQueue;

/// Bytes of buffers that are kept while nothing is under way.
const KEPT: usize = 64 << 10;

/// Requests and replies of one connection. `T` is the purpose of a request; it is returned with the
/// reply.
#[derive(Debug)]
pub(crate) struct Exchange<T> {
    output: Vec<u8>,
    queue: RequestQueue<RequestOwner<T>>,
    /// The bytes received; from `start` on, an incomplete reply.
    input: Vec<u8>,
    start: usize,
    /// The number of its bytes that the framer has read.
    framed: usize,
    /// Longest reply in bytes.
    limit: usize,
}

/// The owner of the request.
#[derive(Debug)]
enum RequestOwner<T> {
    Greeting,
    Caller(T),
}

/// A whole reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply<'a, T> {
    /// The purpose of the request.
    pub(crate) what: T,
    pub(crate) bytes: &'a [u8],
    pub(crate) is_error: bool,
}

impl<T> Exchange<T> {
    /// An exchange whose replies are no longer than `limit` bytes.
    pub(crate) fn new(limit: usize) -> Exchange<T> {
        Exchange {
            output: Vec::new(),
            queue: RequestQueue::new(),
            input: Vec::new(),
            start: 0,
            framed: 0,
            limit,
        }
    }

    /// Appends the greeting, which comes before all requests.
    pub(crate) fn greet(&mut self, greeting: &Greeting<'_>) {
        for (request, shape) in greeting.requests() {
            self.output.extend_from_slice(&request);
            self.queue.push(shape, RequestOwner::Greeting);
        }
    }

    /// Appends a request whose reply has this form.
    pub(crate) fn request(&mut self, bytes: &[u8], shape: ReplyShape, what: T) {
        self.output.extend_from_slice(bytes);
        self.queue.push(shape, RequestOwner::Caller(what));
    }

    /// Bytes that are to be sent.
    pub(crate) fn output(&self) -> &[u8] {
        &self.output
    }

    /// All of the output has been sent.
    pub(crate) fn sent(&mut self) {
        self.output.clear();
        self.output.shrink_to(KEPT);
    }

    /// Whether a reply is due.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes received bytes.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.input.drain(..self.start);
            self.input.shrink_to(KEPT.max(2 * self.input.len()));
            self.framed -= self.start;
            self.start = 0;
        }
        self.input.extend_from_slice(bytes);
    }

    /// The next reply that is complete.
    ///
    /// # Errors
    /// When the received bytes are no reply, too long for one, or an error to the greeting.
    pub(crate) fn next_reply(&mut self) -> Result<Option<Reply<'_, T>>, UpstreamFailure> {
        while self.framed < self.input.len() {
            let piece = self.queue.feed(&self.input[self.framed..])?;
            self.framed += piece.used;
            if !piece.done {
                break;
            }
            let reply = self.start..self.framed;
            self.start = self.framed;
            if piece.is_push {
                continue;
            }
            match self.queue.pop() {
                Some(RequestOwner::Caller(what)) => {
                    return Ok(Some(Reply {
                        what,
                        bytes: &self.input[reply],
                        is_error: piece.is_error,
                    }));
                }
                Some(RequestOwner::Greeting) if piece.is_error => {
                    let said = String::from_utf8_lossy(&self.input[reply]);
                    let said = said.trim_start_matches('-').trim().to_owned();
                    return Err(UpstreamFailure::Login(said));
                }
                Some(RequestOwner::Greeting) | None => {}
            }
        }
        match self.input.len() - self.start > self.limit {
            true => Err(UpstreamFailure::Garbage),
            false => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::greeting::Login;

    /// The replies to the requests, when they come in pieces of this size; or the failure.
    fn replies(
        exchange: &mut Exchange<u32>,
        bytes: &[u8],
        size: usize,
    ) -> Result<Vec<(u32, String, bool)>, String> {
        let mut found = Vec::new();
        for piece in bytes.chunks(size) {
            exchange.receive(piece);
            while let Some(reply) = exchange.next_reply().map_err(|error| error.to_string())? {
                let text = String::from_utf8_lossy(reply.bytes).into_owned();
                found.push((reply.what, text, reply.is_error));
            }
        }
        Ok(found)
    }

    #[test]
    fn replies_come_out_in_the_order_of_the_requests_however_they_are_cut() {
        let bytes =
            b"+OK\r\n>2\r\n+push\r\n+x\r\n$3\r\na\r\n\r\n-ERR no\r\nVALUE a 0 3\r\nEND\r\nEND\r\n";
        for size in 1..bytes.len() {
            let mut exchange = Exchange::new(64);
            exchange.greet(&Greeting {
                login: Some(Login {
                    user: None,
                    password: "secret",
                }),
                ..Greeting::default()
            });
            for (number, shape) in [ReplyShape::Resp, ReplyShape::Resp, ReplyShape::Values]
                .into_iter()
                .enumerate()
            {
                exchange.request(b"?", shape, number as u32);
            }
            assert_eq!(
                exchange.output(),
                b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n???"
            );
            exchange.sent();
            let found = replies(&mut exchange, bytes, size).expect("replies");
            let expected = [
                (0, "$3\r\na\r\n\r\n", false),
                (1, "-ERR no\r\n", true),
                (2, "VALUE a 0 3\r\nEND\r\nEND\r\n", false),
            ];
            let expected = expected.map(|(what, text, error)| (what, text.to_owned(), error));
            assert_eq!(found, expected, "pieces of {size}");
            assert!(!exchange.is_waiting() && exchange.output().is_empty());
        }
    }

    #[test]
    fn replies_that_are_malformed_too_long_or_not_asked_for_fail() {
        for (what, asked, bytes, failure) in [
            (
                "don't follow the protocol",
                1,
                &b"HTTP/1.1 400\r\n"[..],
                "don't follow the protocol",
            ),
            (
                "more than was asked for",
                1,
                b"+OK\r\n+OK\r\n",
                "don't follow the protocol",
            ),
            (
                "nothing was asked",
                0,
                b"+OK\r\n",
                "don't follow the protocol",
            ),
            (
                "longer than the limit",
                1,
                &[b'+'; 65],
                "don't follow the protocol",
            ),
        ] {
            let mut exchange = Exchange::new(64);
            for number in 0..asked {
                exchange.request(b"?", ReplyShape::Resp, number);
            }
            let found = replies(&mut exchange, bytes, 100);
            let found = found.expect_err(what);
            assert!(found.contains(failure), "{what}: {found}");
        }
        let mut exchange = Exchange::new(64);
        exchange.greet(&Greeting {
            resp3: true,
            database: 3,
            ..Greeting::default()
        });
        assert_eq!(
            exchange.output(),
            b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
        );
        let found = replies(
            &mut exchange,
            b"%0\r\n-ERR DB index is out of range\r\n",
            100,
        );
        assert!(
            found
                .expect_err("it fails")
                .ends_with("ERR DB index is out of range")
        );
    }
}
