//! The cuts of an exchange's bytes into writes. TCP guarantees their order, not the cuts.

use std::fmt;

/// One way of cutting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TranscriptDelivery {
    /// A write for each block of the file.
    AsWritten,
    /// A write for each byte.
    ByteByByte,
    /// One write of all bytes that the transcript sends, before any reply is read.
    InOneWrite,
    /// Each block in two writes, cut at this byte. Shorter blocks are whole.
    CutAt(usize),
}

/// The longest block that is cut at every byte. Of a longer one the middle is not cut so finely: a
/// parser handles every byte in the middle of a large value alike, so a million runs would show no
/// more.
const WHOLE: usize = 4096;

/// The number of bytes at each end of a longer block that are cut singly.
const ENDS: usize = 512;

/// The pieces in which the middle of a longer block goes; odd, so that they never fall on a
/// buffer's border.
const MIDDLE: usize = 4093;

impl TranscriptDelivery {
    /// The cuts of one block: `bytes` in pieces.
    pub(super) fn pieces(self, bytes: &[u8]) -> Vec<&[u8]> {
        match self {
            TranscriptDelivery::AsWritten | TranscriptDelivery::InOneWrite => vec![bytes],
            TranscriptDelivery::ByteByByte if bytes.len() <= WHOLE => bytes.chunks(1).collect(),
            TranscriptDelivery::ByteByByte => {
                let (head, rest) = bytes.split_at(ENDS);
                let (middle, tail) = rest.split_at(rest.len() - ENDS);
                let pieces = head.chunks(1).chain(middle.chunks(MIDDLE));
                pieces.chain(tail.chunks(1)).collect()
            }
            TranscriptDelivery::CutAt(at) if at > 0 && at < bytes.len() => {
                let (one, two) = bytes.split_at(at);
                vec![one, two]
            }
            TranscriptDelivery::CutAt(_) => vec![bytes],
        }
    }

    /// The cuts at every place of a block of `longest` bytes: all of them, or of a long one those
    /// near its ends.
    pub fn cuts(longest: usize) -> impl Iterator<Item = TranscriptDelivery> {
        let near = move |at: &usize| longest <= WHOLE || *at < ENDS || at + ENDS > longest;
        (1..longest).filter(near).map(TranscriptDelivery::CutAt)
    }
}

impl fmt::Display for TranscriptDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TranscriptDelivery::AsWritten => f.write_str("as written"),
            TranscriptDelivery::ByteByByte => f.write_str("byte by byte"),
            TranscriptDelivery::InOneWrite => f.write_str("everything in one write"),
            TranscriptDelivery::CutAt(at) => write!(f, "each block cut after {at} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_lost_or_moved() {
        for length in [0, 1, 2, 100, WHOLE, WHOLE + 1, WHOLE + MIDDLE] {
            let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let cuts = [0, 1, 50, length, length + 1].map(TranscriptDelivery::CutAt);
            for delivery in [
                TranscriptDelivery::AsWritten,
                TranscriptDelivery::ByteByByte,
            ]
            .into_iter()
            .chain(cuts)
            {
                assert_eq!(
                    delivery.pieces(&bytes).concat(),
                    bytes,
                    "{delivery} of {length}"
                );
            }
        }
    }

    #[test]
    fn every_place_is_cut() {
        assert_eq!(TranscriptDelivery::cuts(100).count(), 99);
        assert_eq!(TranscriptDelivery::cuts(WHOLE).count(), WHOLE - 1);
        assert_eq!(TranscriptDelivery::cuts(0).count(), 0);
        assert_eq!(TranscriptDelivery::cuts(1_000_000).count(), 2 * ENDS - 2);
        assert_eq!(
            TranscriptDelivery::CutAt(2).pieces(b"abc"),
            [&b"ab"[..], b"c"]
        );
        assert_eq!(TranscriptDelivery::ByteByByte.pieces(b"abc").len(), 3);
    }
}
