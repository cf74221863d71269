//! The echo service: every line comes back as it was. The smallest [`Service`], and the first one
//! in the book.
//!
//! A line ends with a line feed and is answered when it is complete; the last piece of a connection
//! that ends without one is not. A line over [`LINE_LIMIT`] is answered with [`TOO_LONG`] and the
//! connection is closed, because the beginning of the next line would be known only after an
//! unbounded number of bytes. Lines before it are still echoed, in whatever pieces the bytes
//! arrived.

use std::borrow::Cow;

use crate::server::limits::OUTPUT_SOFT_LIMIT;
use crate::server::{Next, Peer, Refusal, Service, Session, Turn};

/// Bytes of a line, its line feed included.
pub const LINE_LIMIT: usize = 64 * 1024;

/// The answer to a line over the limit.
pub(crate) const TOO_LONG: &[u8] = b"line too long\n";

/// The service. Neither it nor its sessions have state.
#[derive(Debug, Default)]
pub struct Echo;

struct Lines;

impl Service for Echo {
    fn protocol(&self) -> &'static str {
        "echo"
    }

    fn open(&self, _: Peer) -> Box<dyn Session> {
        Box::new(Lines)
    }

    fn refusal(&self, why: Refusal) -> Cow<'static, [u8]> {
        match why {
            Refusal::TooManyConnections => b"too many connections\n".into(),
        }
    }
}

impl Session for Lines {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        let start = output.len();
        let mut consumed = 0;
        loop {
            let rest = &input[consumed..];
            let next = match memchr::memchr(b'\n', rest) {
                Some(end) if end < LINE_LIMIT => {
                    output.extend_from_slice(&rest[..=end]);
                    consumed += end + 1;
                    if output.len() - start < OUTPUT_SOFT_LIMIT {
                        continue;
                    }
                    Next::Again
                }
                None if rest.len() < LINE_LIMIT => Next::Read,
                _ => {
                    output.extend_from_slice(TOO_LONG);
                    consumed = input.len();
                    Next::Close
                }
            };
            return Turn { consumed, next };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(input: &[u8]) -> (Vec<u8>, Turn) {
        let mut output = Vec::new();
        let turn = Echo.open(Peer::detached()).turn(input, &mut output);
        (output, turn)
    }

    #[test]
    fn whole_lines_come_back_and_the_rest_waits() {
        let (output, turn) = turn(b"one\ntwo\r\n\nthr");
        assert_eq!(output, b"one\ntwo\r\n\n");
        assert_eq!(
            turn,
            Turn {
                consumed: 10,
                next: Next::Read
            }
        );
    }

    #[test]
    fn a_line_at_the_limit_comes_back_and_one_over_it_ends_the_connection() {
        let mut line = vec![b'x'; LINE_LIMIT];
        line[LINE_LIMIT - 1] = b'\n';
        let (output, ended) = turn(&line);
        assert_eq!(output, line);
        assert_eq!(ended.next, Next::Read);

        // It need not be complete: one byte more that is no line feed shows that it is too long.
        for long in [
            vec![b'x'; LINE_LIMIT],
            [vec![b'x'; LINE_LIMIT], b"\n".to_vec()].concat(),
        ] {
            let (output, ended) = turn(&[b"before\n".to_vec(), long.clone()].concat());
            assert_eq!(output, [b"before\n", TOO_LONG].concat());
            assert_eq!(
                ended,
                Turn {
                    consumed: 7 + long.len(),
                    next: Next::Close
                }
            );
        }
    }

    #[test]
    fn much_output_is_given_in_portions() {
        let input = b"0123456789abcde\n".repeat(2 * OUTPUT_SOFT_LIMIT / 16);
        let (output, turn) = turn(&input);
        assert_eq!(output.len(), OUTPUT_SOFT_LIMIT);
        assert_eq!(
            turn,
            Turn {
                consumed: OUTPUT_SOFT_LIMIT,
                next: Next::Again
            }
        );
    }
}
