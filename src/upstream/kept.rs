//! Copies of requests under way that may be sent again, because they change nothing: for when the
//! connection breaks before their answers have come.
//!
//! One run of bytes for a link, its requests in the order of the queue, so that keeping one is a
//! copy of a few dozen bytes and forgetting it an addition. What doesn't fit is not kept, and gets an
//! error when the connection breaks.

use std::collections::VecDeque;

/// Most bytes that one link keeps.
const LIMIT: usize = 64 * 1024;

/// Bytes of requests that are answered, at the start, that are not worth the work of removing them.
const TRIM: usize = 4096;

/// The requests that a link keeps.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    bytes: Vec<u8>,
    /// Where the first of them begins.
    start: usize,
    /// How many bytes each request in the queue takes here; 0 if it is not kept.
    lengths: VecDeque<u32>,
}

impl Kept {
    /// A request has joined the queue.
    pub(crate) fn open(&mut self) {
        self.lengths.push_back(0);
    }

    /// Keeps the request that joined last, if there is room.
    pub(crate) fn keep(&mut self, request: &[u8]) {
        if self.bytes.len() - self.start + request.len() > LIMIT {
            return;
        }
        if let Some(last) = self.lengths.back_mut() {
            self.bytes.extend_from_slice(request);
            *last = request.len() as u32;
        }
    }

    /// The first request in the queue is answered.
    pub(crate) fn forget(&mut self) {
        self.start += self.lengths.pop_front().unwrap_or(0) as usize;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start >= TRIM && self.start >= self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// The first request can't be sent again any more.
    pub(crate) fn lose_first(&mut self) {
        if let Some(first) = self.lengths.front_mut() {
            self.start += std::mem::take(first) as usize;
        }
    }

    /// Takes the first request in the queue; `None` if it was not kept.
    pub(crate) fn take(&mut self) -> Option<&[u8]> {
        let length = self.lengths.pop_front()? as usize;
        let start = self.start;
        self.start += length;
        (length > 0).then(|| &self.bytes[start..self.start])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_out_as_they_went_in_and_take_bounded_memory() {
        let mut kept = Kept::default();
        let request = |number: usize| format!("get key{number}\r\n").into_bytes();
        for number in 0..100_000 {
            kept.open();
            if number % 3 != 0 {
                kept.keep(&request(number));
            }
            if number >= 100 {
                kept.forget();
            }
            assert!(kept.bytes.len() < 3 * TRIM);
        }
        for number in 100_000 - 100..100_000 {
            let expected = (number % 3 != 0).then(|| request(number));
            assert_eq!(kept.take(), expected.as_deref());
        }
        assert_eq!(kept.take(), None);
    }

    #[test]
    fn what_is_over_the_limit_is_not_kept() {
        let mut kept = Kept::default();
        for request in [&vec![0; LIMIT][..], b"x"] {
            kept.open();
            kept.keep(request);
        }
        kept.forget();
        kept.open();
        kept.keep(b"y");
        assert_eq!(kept.take(), None);
        assert_eq!(kept.take(), Some(&b"y"[..]));
    }
}
