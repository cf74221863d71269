//! For tests of services: delivers bytes to a session as the server does.

use crate::server::{Next, Session};

/// The output for an input that arrives in pieces, and whether the session closed. Bytes of a large value go into the
/// session's own memory.
pub(crate) fn deliver(session: &mut dyn Session, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let (mut output, mut input) = (Vec::new(), Vec::new());
    let mut next = Next::Read;
    for piece in pieces {
        let mut piece = *piece;
        while !piece.is_empty() || next == Next::Again {
            if next == Next::Receive {
                let space = session.space().expect("it receives");
                let taken = space.len().min(piece.len());
                space[..taken].copy_from_slice(&piece[..taken]);
                piece = &piece[taken..];
                next = session.arrived(taken, &mut output);
                continue;
            }
            input.extend_from_slice(piece);
            piece = &[];
            let turn = session.turn(&input, &mut output);
            input.drain(..turn.consumed);
            next = turn.next;
            if next == Next::Close {
                return (output, true);
            }
            assert!(next != Next::Receive || input.is_empty());
        }
    }
    (output, false)
}

/// An input in pieces of these lengths; the last has the rest.
pub(crate) fn cut<'a>(input: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = input;
    for length in lengths {
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}
