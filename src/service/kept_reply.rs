//! A large reply that is sent in parts.
//!
//! A socket may take megabytes at once, and the other connections of a worker wait while it copies them. So a session puts one
//! part of such a reply into the output of each of its turns. It keeps the rest until the client has taken that part.
//!
//! The pages are freed when all is sent, some of them in each turn and the last ones first. In another order malloc collects
//! them, and when the last one is freed, it gives all of them back to the system at once: a millisecond for 10 MB. Until then
//! they count as memory of [replies](crate::server::Connections).

/// Bytes of a part, about: a write of some tens of microseconds.
const PART: usize = 32 << 10;
/// Bytes that are freed in a turn, about.
const FREED: usize = 128 << 10;

/// A finished reply that stays in the session until it is sent.
pub(crate) struct KeptReply {
    head: Vec<u8>,
    pages: Vec<Vec<u8>>,
    tail: &'static [u8],
    /// Pages that are in an output already.
    sent: usize,
    bytes: usize,
}

impl KeptReply {
    /// A reply that consists of a head and these pages.
    pub(crate) fn new(head: Vec<u8>, pages: Vec<Vec<u8>>) -> KeptReply {
        KeptReply {
            bytes: head.len() + pages.iter().map(Vec::len).sum::<usize>(),
            head,
            pages,
            tail: b"",
            sent: 0,
        }
    }

    /// The same with an end.
    pub(crate) fn with_tail(self, tail: &'static [u8]) -> KeptReply {
        KeptReply { tail, ..self }
    }

    /// Bytes of its pages.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends the next part to an output, or frees some pages if there is none left. Returns whether all is done.
    pub(crate) fn send(&mut self, output: &mut Vec<u8>) -> bool {
        let end = output.len() + PART;
        self.bytes -= self.head.len();
        output.append(&mut self.head);
        while output.len() < end
            && let Some(page) = self.pages.get(self.sent)
        {
            output.extend_from_slice(page);
            self.sent += 1;
        }
        if self.sent >= self.pages.len() {
            output.extend_from_slice(std::mem::take(&mut self.tail));
            self.free_some();
        }
        self.pages.is_empty()
    }

    fn free_some(&mut self) {
        let mut freed = 0;
        while freed < FREED
            && let Some(page) = self.pages.pop()
        {
            self.bytes -= page.len();
            freed += page.capacity();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_sent_in_its_order_and_some_of_them_at_a_time() {
        let pages: Vec<Vec<u8>> = (0..100).map(|number| vec![number; 5000]).collect();
        let whole = [b"head".as_slice(), &pages.concat(), b"tail"].concat();
        let mut reply = KeptReply::new(b"head".to_vec(), pages).with_tail(b"tail");
        assert_eq!(reply.bytes(), 500_004);
        let (mut output, mut parts, mut turns) = (Vec::new(), 0, 0);
        let mut is_done = false;
        while !is_done {
            let before = (output.len(), reply.bytes());
            is_done = reply.send(&mut output);
            turns += 1;
            parts += usize::from(output.len() > before.0);
            assert!(output.len() - before.0 <= PART + 5000);
            assert!(before.1 - reply.bytes() <= FREED + 5000);
            assert!(output.len() == whole.len() || reply.bytes() == 500_000);
        }
        assert!(output == whole && reply.bytes() == 0);
        assert_eq!(parts, 500_000 / (7 * 5000) + 1);
        assert_eq!(
            turns,
            parts + 500_000 / (27 * 5000),
            "the last part frees some"
        );
    }

    #[test]
    fn a_short_reply_is_done_in_one_turn() {
        let mut output = Vec::new();
        let mut reply = KeptReply::new(vec![b'h'; 10], vec![vec![b'b'; 60_000]]);
        assert!(reply.send(&mut output));
        assert_eq!(output.len(), 60_010);
    }
}
