//! Sessions without sockets.

use std::sync::Arc;

use super::{Resp, Settings};
use crate::server::{Connections, Next, Peer, Service, Session};
use crate::store::{Clock, Config, Store};

/// A service on a store of its own, with a clock that stands still.
fn service(settings: Settings) -> Resp {
    let store = Store::new(Config::default(), Clock::manual(1_000_000_000_000));
    Resp::new(Arc::new(store), Connections::new(), settings)
}

fn session() -> Box<dyn Session> {
    service(Settings::default()).open(Peer::detached())
}

/// Sends `input` in pieces of `size` bytes, as a server would: what was not consumed comes again.
fn converse(session: &mut dyn Session, input: &[u8], size: usize) -> (Vec<u8>, bool) {
    let mut output = Vec::new();
    let mut held = Vec::new();
    for piece in input.chunks(size) {
        held.extend_from_slice(piece);
        loop {
            let turn = session.turn(&held, &mut output);
            held.drain(..turn.consumed);
            match turn.next {
                Next::Again => {}
                Next::Read => break,
                Next::Close => return (output, true),
            }
        }
    }
    assert!(held.is_empty(), "left over: {}", held.escape_ascii());
    (output, false)
}

#[test]
fn a_conversation_is_the_same_however_it_is_cut() {
    let input = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nx\r\n\0y\r\nget a\r\nPING\r\n*0\r\n\r\n\
        *2\r\n$4\r\nECHO\r\n$2\r\nhi\r\nNOPE a 'b c'\r\nGET\r\nquit\r\n";
    let expected = "+OK\r\n$5\r\nx\r\n\\x00y\r\n+PONG\r\n$2\r\nhi\r\n\
        -ERR unknown command 'NOPE', with args beginning with: 'a' 'b c' \r\n\
        -ERR wrong number of arguments for 'get' command\r\n+OK\r\n";
    for size in 1..=input.len() {
        let (output, closed) = converse(&mut *session(), input, size);
        let shown = output
            .escape_ascii()
            .to_string()
            .replace("\\r\\n", "\r\n")
            .replace("\\'", "'");
        assert_eq!(shown, expected, "pieces of {size}");
        assert!(closed);
    }
}
