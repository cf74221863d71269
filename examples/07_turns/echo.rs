//! The echo server of the first chapter, as a session that never waits.

use std::borrow::Cow;

use larder::server::{Next, Peer, Refusal, Service, Session, Turn};

/// Sends back the bytes that arrive.
pub(crate) struct Echo;

impl Session for Echo {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        output.extend_from_slice(input);
        Turn {
            consumed: input.len(),
            next: Next::Read,
        }
    }
}

impl Service for Echo {
    fn protocol(&self) -> &'static str {
        "echo"
    }

    fn open(&self, _: Peer) -> Box<dyn Session> {
        Box::new(Echo)
    }

    fn refusal(&self, _: Refusal) -> Cow<'static, [u8]> {
        b"ERROR Too many open connections\r\n"[..].into()
    }
}
