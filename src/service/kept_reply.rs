//! A large reply that is sent in parts.
//!
//! A socket may take megabytes at once, and the other connections of a worker wait while it copies them. So a session puts one
//! part of such a reply into the output of each of its turns. It keeps the rest until the client has taken that part. The rest counts as
//! memory of [replies](crate::server::Connections).

/// Bytes of a part, about: a write of some tens of microseconds.
const PART: usize = 64 << 10;

/// The part of a finished reply that is not in its connection's output yet, and stays in the session.
pub(crate) struct KeptReply {
    pages: std::vec::IntoIter<Vec<u8>>,
    left: usize,
}

impl KeptReply {
    /// A reply that consists of these pages.
    pub(crate) fn new(pages: Vec<Vec<u8>>) -> KeptReply {
        KeptReply {
            left: pages.iter().map(Vec::len).sum(),
            pages: pages.into_iter(),
        }
    }

    /// Bytes that are not in an output yet.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Appends the next part to an output. Returns whether it was the last one.
    pub(crate) fn send(&mut self, output: &mut Vec<u8>) -> bool {
        let end = output.len() + PART;
        while output.len() < end
            && let Some(page) = self.pages.next()
        {
            self.left -= page.len();
            output.extend_from_slice(&page);
        }
        self.pages.as_slice().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_sent_in_its_order_and_some_of_them_at_a_time() {
        let pages: Vec<Vec<u8>> = (0..100).map(|number| vec![number; 5000]).collect();
        let whole = pages.concat();
        let mut reply = KeptReply::new(pages);
        let (mut output, mut parts) = (Vec::new(), 1);
        while !reply.send(&mut output) {
            assert_eq!(output.len() + reply.left(), whole.len());
            assert!(output.len() <= parts * (PART + 5000));
            parts += 1;
        }
        assert!(output == whole && reply.left() == 0);
        assert_eq!(parts, 500_000 / (14 * 5000) + 1);
    }
}
