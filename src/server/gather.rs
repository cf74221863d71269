//! Output with insertions: bytes of the output, and values that are not copied into it, written in their order.

use std::io::{self, ErrorKind, IoSlice};

use super::service::Insertion;
use super::stream::Stream;

/// Bytes of an output with its insertions.
pub(super) fn length(bytes: &[u8], insertions: &[Insertion]) -> usize {
    let inserted = insertions.iter().map(|i| (*i.bytes).as_ref().len());
    bytes.len() + inserted.sum::<usize>()
}

/// Writes output from the byte `from` on with one call; returns how many bytes the socket took. There are some left.
pub(super) fn write_once(
    stream: &Stream,
    bytes: &[u8],
    insertions: &[Insertion],
    from: usize,
) -> io::Result<usize> {
    if insertions.is_empty() {
        return stream.write(&bytes[from..]);
    }
    let mut pieces = Vec::with_capacity(2 * insertions.len() + 1);
    let mut at = 0;
    for insertion in insertions {
        pieces.push(IoSlice::new(&bytes[at..insertion.at]));
        pieces.push(IoSlice::new((*insertion.bytes).as_ref()));
        at = insertion.at;
    }
    pieces.push(IoSlice::new(&bytes[at..]));
    let mut rest = &mut pieces[..];
    IoSlice::advance_slices(&mut rest, from);
    stream.write_pieces(rest)
}

// ANCHOR: write_until_full
/// Writes output from the byte `from` on until all is written or the socket is full, because the poller reports only
/// changes. Returns how many bytes it took.
pub(super) fn write_until_full(
    stream: &Stream,
    bytes: &[u8],
    insertions: &[Insertion],
    from: usize,
) -> io::Result<usize> {
    let left = length(bytes, insertions) - from;
    let mut taken = 0;
    while taken < left {
        match write_once(stream, bytes, insertions, from + taken) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            written => taken += written?,
        }
    }
    Ok(taken)
}
// ANCHOR_END: write_until_full
