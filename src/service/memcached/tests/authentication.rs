//! Authentication through a session: the delay after a wrong password, any delivery, and the counts.

use super::*;
use crate::service::memcached::AuthFile;

const GOOD: &[u8] = b"set x 0 0 7\r\nfoo bar\r\n";
const WRONG: &[u8] = b"set x 0 0 7\r\nfoo baz\r\n";
const FAILURE: &[u8] = b"CLIENT_ERROR authentication failure\r\n";

fn session_with_user() -> Box<dyn Session> {
    let store = Arc::new(Store::new(Config::default(), Clock::system()));
    let service = Memcached::new(store, Connections::new(), Settings::default());
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "foo:bar\n").expect("written");
    service.require_users_of(AuthFile::load(file.path()).expect("well formed"));
    service.open(Peer::detached())
}

/// The output for an input that arrives in pieces of a size, and the number of delays.
fn converse_with_delays(session: &mut dyn Session, input: &[u8], size: usize) -> (Vec<u8>, usize) {
    let (mut output, mut held, mut delays) = (Vec::new(), Vec::new(), 0);
    for piece in input.chunks(size) {
        held.extend_from_slice(piece);
        loop {
            let turn = session.turn(&held, &mut output);
            held.drain(..turn.consumed);
            match turn.next {
                Next::Delay => delays += 1,
                Next::Again => {}
                _ => break,
            }
        }
    }
    (output, delays)
}

#[test]
fn the_binary_protocol_needs_the_password_too() {
    let get = [&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 12], b"a"].concat();
    let mut output = Vec::new();
    let turn = session_with_user().turn(&get, &mut output);
    assert_eq!(turn.next, Next::Close);
    assert_eq!(output[6..8], [0, 0x20], "an authentication error");
    assert!(output.ends_with(b"Auth failure."));
}

#[test]
fn each_wrong_password_is_delayed_however_it_is_cut() {
    let input = [WRONG, b"get x\r\n", WRONG, GOOD, b"get x\r\n", GOOD].concat();
    let expected = [
        FAILURE,
        b"CLIENT_ERROR unauthenticated\r\n",
        FAILURE,
        b"STORED\r\nEND\r\nSTORED\r\n",
    ]
    .concat();
    for size in 1..=input.len() {
        let (output, delays) = converse_with_delays(&mut *session_with_user(), &input, size);
        assert_eq!(
            output.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
        assert_eq!(delays, 2, "in pieces of {size}");
    }
}

#[test]
fn attempts_and_errors_are_counted() {
    let malformed: &[u8] = b"set x 0 0 7\r\nfoobar!\r\n";
    let input = [WRONG, malformed, WRONG, GOOD, b"stats\r\n"].concat();
    let (output, _) = converse_with_delays(&mut *session_with_user(), &input, input.len());
    let output = String::from_utf8_lossy(&output);
    assert!(
        output.contains("STAT auth_cmds 3\r\nSTAT auth_errors 2\r\n"),
        "{output}"
    );
    assert!(output.contains("STAT cmd_set 0\r\n"), "{output}");
}
