//! The shop's protocol: a line is a command, and its answer is a line.

use std::borrow::Cow;
use std::sync::Arc;

use larder::server::{Next, Peer, Refusal, Service, Session, Turn};

use super::shop::Shop;

/// The service, and every session: all share the shop.
pub(crate) struct Lines(pub(crate) Arc<Shop>);

impl Service for Lines {
    fn protocol(&self) -> &'static str {
        "shop"
    }

    fn open(&self, _: Peer) -> Box<dyn Session> {
        Box::new(Lines(Arc::clone(&self.0)))
    }

    fn refusal(&self, _: Refusal) -> Cow<'static, [u8]> {
        b"too many connections\r\n"[..].into()
    }
}

impl Session for Lines {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        let (mut consumed, mut next) = (0, Next::Read);
        if let Some(end) = input.iter().position(|&byte| byte == b'\n') {
            let line = String::from_utf8_lossy(&input[..end]);
            let words: Vec<&str> = line.split_whitespace().collect();
            output.extend_from_slice(self.0.answer(&words).as_bytes());
            output.extend_from_slice(b"\r\n");
            (consumed, next) = (end + 1, Next::Again);
        }
        Turn { consumed, next }
    }
}
