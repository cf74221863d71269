//! A network without sockets: bytes of one side arrive at the other in pieces of any size, when the test lets them.

use std::collections::VecDeque;

use fastrand::Rng;

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    bytes: VecDeque<u8>,
    ended: bool,
}

impl Pipe {
    /// Sends bytes. They are lost if this direction has ended.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if !self.ended {
            self.bytes.extend(bytes);
        }
    }

    /// No more bytes are sent; sent ones still arrive.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Bytes sent that have not arrived are lost.
    pub(crate) fn cut(&mut self) {
        self.ended = true;
        self.bytes.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the end is the next that arrives.
    pub(crate) fn is_at_end(&self) -> bool {
        self.ended && self.bytes.is_empty()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Lets a piece of any size arrive, at least a byte if there is one; all of it without an `rng`.
    pub(crate) fn receive(&mut self, rng: Option<&mut Rng>) -> Vec<u8> {
        let count = match rng {
            Some(rng) if !self.bytes.is_empty() => piece(rng, self.bytes.len()),
            _ => self.bytes.len(),
        };
        self.bytes.drain(..count).collect()
    }
}

/// A connection, seen from the proxy.
#[derive(Debug, Default)]
pub(crate) struct ConnectionPipes {
    pub(crate) inward: Pipe,
    pub(crate) outward: Pipe,
}

/// A part of `length` bytes, one or more: often all, often a few.
pub(crate) fn piece(rng: &mut Rng, length: usize) -> usize {
    match rng.u8(..4) {
        0 => length,
        1 => length.min(rng.usize(1..=8)),
        _ => rng.usize(1..=length),
    }
}
