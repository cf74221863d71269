//! One connection that passes through: the bytes of both sides become requests and replies, and each reply finds its
//! request. No socket and no clock.

use std::collections::VecDeque;

use super::frame::{CutResult, Frame};
use super::{binary, memcached, resp};
use crate::tools::transcript::Protocol;

/// The direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the client.
    Request,
    /// From the server.
    Reply,
}

/// A frame that has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PassedFrame {
    pub(super) direction: Direction,
    pub(super) frame: Frame,
    /// The time at which its last byte came, in microseconds of the tap.
    pub(super) at: u64,
    /// Of a reply: its request, and its latency in microseconds.
    pub(super) to: Option<(Frame, u64)>,
}

/// The requests whose replies are waited for, at most: those of quiet ones may never come.
const MOST_WAITING: usize = 10_000;

/// One connection.
#[derive(Debug)]
pub(super) struct Conversation {
    protocol: Protocol,
    /// The bytes received of the next frame, by direction.
    partial: [Vec<u8>; 2],
    /// This direction no longer follows the protocol: its bytes are shown as they come.
    lost: [bool; 2],
    /// Requests without a reply, and the times at which they passed.
    waiting: VecDeque<(Frame, u64)>,
}

impl Conversation {
    pub(super) fn new(protocol: Protocol) -> Conversation {
        Conversation {
            protocol,
            partial: [Vec::new(), Vec::new()],
            lost: [false; 2],
            waiting: VecDeque::new(),
        }
    }

    /// Takes bytes that passed at `at`. Returns the frames that are complete with them.
    pub(super) fn pass(&mut self, direction: Direction, bytes: &[u8], at: u64) -> Vec<PassedFrame> {
        let side = direction as usize;
        self.partial[side].extend_from_slice(bytes);
        let mut passed = Vec::new();
        while !self.partial[side].is_empty() {
            let cut = match self.lost[side] {
                true => CutResult::Unknown,
                false => self.cut(direction),
            };
            let frame = match cut {
                CutResult::More => break,
                CutResult::Frame(frame) => frame,
                CutResult::Unknown => {
                    self.lost[side] = true;
                    let mut frame = Frame::default();
                    frame.push("not understood", &self.partial[side]);
                    frame.name = "bytes".into();
                    frame
                }
            };
            self.partial[side].drain(..frame.len());
            let to = match direction {
                Direction::Reply => self
                    .answered(&frame)
                    .map(|(request, sent)| (request, at - sent)),
                Direction::Request => {
                    if frame.answered {
                        self.waiting.push_back((frame.clone(), at));
                    }
                    if self.waiting.len() > MOST_WAITING {
                        self.waiting.pop_front();
                    }
                    None
                }
            };
            passed.push(PassedFrame {
                direction,
                frame,
                at,
                to,
            });
        }
        passed
    }

    fn cut(&self, direction: Direction) -> CutResult {
        let bytes = &self.partial[direction as usize];
        match (self.protocol, direction) {
            (Protocol::Resp, Direction::Request) => resp::request(bytes),
            (Protocol::Resp, Direction::Reply) => resp::reply(bytes),
            (Protocol::Memcached, Direction::Request) if binary::is_meant(bytes) => {
                binary::request(bytes)
            }
            (Protocol::Memcached, Direction::Reply) if binary::is_meant(bytes) => {
                binary::reply(bytes)
            }
            (_, Direction::Request) => memcached::request(bytes),
            (_, Direction::Reply) => {
                memcached::reply(bytes, self.waiting.front().map(|(frame, _)| frame))
            }
        }
    }

    /// The request that a reply belongs to; none for a message that a server sends by itself.
    fn answered(&mut self, reply: &Frame) -> Option<(Frame, u64)> {
        if reply.field("magic").is_some() {
            return self.answered_binary(reply);
        }
        let (next, _) = self.waiting.front()?;
        let by_itself = match self.protocol {
            Protocol::Resp => resp::is_push(reply),
            // Replies to quiet meta commands come before that of the mn behind them.
            _ => next.name == "mn" && reply.name != "MN",
        };
        match by_itself || self.lost[Direction::Reply as usize] {
            true => None,
            false => self.waiting.pop_front(),
        }
    }
}

impl Conversation {
    /// The same in memcached's binary protocol. Quiet requests in front of it have no reply.
    fn answered_binary(&mut self, reply: &Frame) -> Option<(Frame, u64)> {
        if binary::has_successor(reply) {
            return None;
        }
        let waiting = self.waiting.iter();
        let silent = waiting
            .take_while(|(request, _)| !binary::answers(reply, request))
            .count();
        if silent == self.waiting.len() {
            return None;
        }
        self.waiting.drain(..silent);
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(passed: &[PassedFrame]) -> Vec<String> {
        let shown = passed.iter().map(|passed| match &passed.to {
            Some((request, took)) => {
                format!("{} to {} after {took}", passed.frame.name, request.name)
            }
            None => format!("{} {}", passed.frame.name, passed.frame.len()),
        });
        shown.collect()
    }

    #[test]
    fn replies_find_their_requests_and_take_their_time() {
        let mut conversation = Conversation::new(Protocol::Memcached);
        let asked = conversation.pass(
            Direction::Request,
            b"set a 0 0 1\r\nx\r\ndelete b noreply\r\nget a\r\nge",
            100,
        );
        assert_eq!(summary(&asked), ["set 16", "delete 18", "get 7"]);
        let one = conversation.pass(Direction::Reply, b"STORED\r\nVALUE a 0 1\r\nx\r\nEN", 150);
        assert_eq!(summary(&one), ["STORED to set after 50"]);
        let other = conversation.pass(Direction::Reply, b"D\r\n", 180);
        assert_eq!(summary(&other), ["VALUE to get after 80"]);
        let rest = conversation.pass(Direction::Request, b"t b\r\n", 200);
        assert_eq!(summary(&rest), ["get 7"]);
    }

    #[test]
    fn quiet_requests_of_the_binary_protocol_may_have_no_reply() {
        use crate::protocol::memcached::binary::{Header, ReplyTo, reply};
        let mut requests = Vec::new();
        for (opcode, opaque) in [(0x09, 1), (0x09, 2), (0x0a, 3)] {
            let key: &[u8] = if opcode == 0x0a { b"" } else { b"k" };
            let header = Header {
                opaque,
                ..Header::request(opcode, 0, key.len(), 0)
            };
            requests.extend_from_slice(&header.to_bytes());
            requests.extend_from_slice(key);
        }
        let mut conversation = Conversation::new(Protocol::Memcached);
        let asked = conversation.pass(Direction::Request, &requests, 100);
        assert_eq!(summary(&asked), ["getq 25", "getq 25", "noop 24"]);
        let mut replies = Vec::new();
        for (opcode, opaque) in [(0x09, 2), (0x0a, 3)] {
            reply::done(&mut replies, ReplyTo { opcode, opaque }, 0);
        }
        let answers = conversation.pass(Direction::Reply, &replies, 150);
        let expected = ["no error to getq after 50", "no error to noop after 50"];
        assert_eq!(summary(&answers), expected);
    }

    #[test]
    fn messages_that_answer_no_request_take_no_reply_slot() {
        let mut conversation = Conversation::new(Protocol::Resp);
        conversation.pass(Direction::Request, b"*1\r\n$4\r\nPING\r\n", 10);
        let passed = conversation.pass(Direction::Reply, b">1\r\n+invalidate\r\n+PONG\r\n", 20);
        assert_eq!(
            summary(&passed),
            ["push 17", "simple string to ping after 10"]
        );
    }

    #[test]
    fn bytes_that_are_not_the_protocol_are_shown_all_the_same() {
        let mut conversation = Conversation::new(Protocol::Resp);
        let passed = conversation.pass(Direction::Reply, b"HTTP/1.1 200\r\n", 5);
        assert_eq!(summary(&passed), ["bytes 14"]);
        let passed = conversation.pass(Direction::Reply, b"+OK\r\n", 6);
        assert_eq!(summary(&passed), ["bytes 5"]);
    }
}
