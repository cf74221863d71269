//! A command that runs in several turns, and a test that does something between them.

use super::*;
use crate::server::Turn;

/// The reply of a command in a transaction, which is done at once.
pub(super) fn at_once(session: &mut dyn Session, command: &str) -> Vec<u8> {
    let input = format!("MULTI\r\n{command}\r\nEXEC\r\n");
    let (reply, closed) = converse(session, input.as_bytes(), 1 << 20);
    assert!(!closed);
    let head = b"+OK\r\n+QUEUED\r\n*1\r\n";
    assert!(reply.starts_with(head));
    reply[head.len()..].to_vec()
}

/// The write of this number to the hash `big`, whose fields are `field0` to `field4999`: it sets, removes or adds one.
pub(super) fn write_to_big(number: usize) -> String {
    let at = number * 7919 % 6000;
    match number % 3 {
        0 => format!("HSET big field{at} changed{number}"),
        1 => format!("HDEL big field{at}"),
        _ => format!("HSET big new{number} value"),
    }
}

/// One command that is given its turns one by one.
pub(super) struct Stepped<'a> {
    session: &'a mut dyn Session,
    input: Vec<u8>,
    pub(super) output: Vec<u8>,
}

impl Stepped<'_> {
    pub(super) fn turn(&mut self) -> Turn {
        let turn = self.session.turn(&self.input, &mut self.output);
        self.input.drain(..turn.consumed);
        turn
    }

    /// Gives the command turns until it is done, and calls `between` after each piece. Returns the number of pieces.
    pub(super) fn pieces(&mut self, mut between: impl FnMut()) -> usize {
        for pieces in 0.. {
            let turn = self.turn();
            if turn.consumed > 0 {
                return pieces;
            }
            assert_eq!((turn.next, self.output.len()), (Next::Continue, 0));
            between();
            assert!(pieces < 10_000, "the command doesn't end");
        }
        unreachable!()
    }

    /// Gives turns until the reply is sent whole.
    pub(super) fn rest(&mut self) {
        while matches!(self.turn().next, Next::Again | Next::Continue) {}
    }
}

/// A session that has received this input, and has had no turn yet.
pub(super) fn stepped<'a>(session: &'a mut dyn Session, input: &str) -> Stepped<'a> {
    Stepped {
        session,
        input: input.as_bytes().to_vec(),
        output: Vec::new(),
    }
}
