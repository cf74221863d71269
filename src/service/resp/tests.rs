//! Sessions without sockets.

use std::sync::Arc;

use super::Resp;
use super::service_state::Settings;
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
                Next::Read | Next::Receive => break,
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

#[test]
fn a_turn_ends_between_commands_when_much_is_waiting_to_be_sent() {
    let mut session = session();
    let value = "v".repeat(100_000);
    let set = format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000\r\n{value}\r\n");
    assert_eq!(
        converse(&mut *session, set.as_bytes(), 1 << 20).0,
        b"+OK\r\n"
    );
    let input = b"GET a\r\n".repeat(10);
    let mut output = Vec::new();
    let turn = session.turn(&input, &mut output);
    // The third answer passes 256 KiB.
    assert_eq!((turn.consumed, turn.next), (3 * 7, Next::Again));
    assert_eq!(output.len(), 3 * 100_011);
    // The rest is answered as well.
    let (rest, closed) = converse(&mut *session, &input[turn.consumed..], 1 << 20);
    assert_eq!((rest.len(), closed), (7 * 100_011, false));
}

#[test]
fn a_reply_over_its_limit_is_not_sent_and_the_connection_is_closed() {
    let settings = Settings {
        max_reply: 1000,
        ..Settings::default()
    };
    let service = service(settings);
    let open = || service.open(Peer::detached());
    let fill = format!("SET a {}\r\n", "x".repeat(400));
    assert_eq!(converse(&mut *open(), fill.as_bytes(), 4096).0, b"+OK\r\n");
    // Each command has its own limit …
    let (output, closed) = converse(&mut *open(), &b"GET a\r\n".repeat(5), 4096);
    assert_eq!((output.len(), closed), (5 * 408, false));
    // … and EXEC is one command, whose effects stay.
    let input = b"MULTI\r\nGET a\r\nGET a\r\nGET a\r\nSET b done\r\nEXEC\r\nPING\r\n";
    let (output, closed) = converse(&mut *open(), input, 4096);
    let queued = "+OK\r\n".to_owned() + &"+QUEUED\r\n".repeat(4);
    assert_eq!(
        (String::from_utf8_lossy(&output), closed),
        (queued.into(), true)
    );
    assert_eq!(
        converse(&mut *open(), b"GET b\r\n", 4096).0,
        b"$4\r\ndone\r\n"
    );
}

#[test]
fn a_request_and_a_transaction_over_their_limit_close_the_connection() {
    let settings = Settings {
        max_request: 1000,
        ..Settings::default()
    };
    let service = service(settings);
    let open = || service.open(Peer::detached());
    let long = b"*2\r\n$4\r\nECHO\r\n$1000\r\n";
    assert_eq!(converse(&mut *open(), long, 4096), (Vec::new(), true));
    let one = format!("ECHO {}\r\n", "x".repeat(400));
    let input = "MULTI\r\n".to_owned() + &one.repeat(3);
    let (output, closed) = converse(&mut *open(), input.as_bytes(), 4096);
    assert_eq!(
        (&output[..], closed),
        (&b"+OK\r\n+QUEUED\r\n+QUEUED\r\n"[..], true)
    );
    let watch = format!("WATCH {}\r\n", "k".repeat(1000));
    assert_eq!(
        converse(&mut *open(), watch.as_bytes(), 4096),
        (Vec::new(), true)
    );
}

#[test]
fn a_quiet_client_takes_little_memory() {
    use super::client_state::{ClientInfo, ClientState};
    use super::session::RespSession;
    // With the counts of two Arcs, malloc's overhead and a place in the register this is below 250 bytes.
    assert!(
        size_of::<ClientState>() <= 32,
        "{}",
        size_of::<ClientState>()
    );
    assert!(size_of::<RespSession>() + size_of::<ClientInfo>() <= 128);
}

#[test]
fn a_client_that_leaves_is_no_longer_listed() {
    let service = service(Settings::default());
    let mut session = service.open(Peer::detached());
    let other = service.open(Peer::detached());
    let lines = |session: &mut dyn Session| {
        let (output, _) = converse(session, b"CLIENT LIST\r\n", 4096);
        output.windows(3).filter(|window| window == b"id=").count()
    };
    assert_eq!(lines(&mut *session), 2);
    drop(other);
    assert_eq!(lines(&mut *session), 1);
}

#[test]
fn info_tells_how_often_each_command_ran_was_refused_and_failed() {
    let mut session = session();
    let input =
        b"GET a\r\nGET a\r\nHSET h f v\r\nGET h\r\nGET\r\nMULTI\r\nGET a\r\nEXEC\r\nCLIENT ID\r\n";
    converse(&mut *session, input, 4096);
    let mut info = String::new();
    for request in [&b"INFO commandstats\r\n"[..], b"INFO stats\r\n"] {
        let (output, _) = converse(&mut *session, request, 4096);
        info.push_str(std::str::from_utf8(&output).expect("is text"));
    }
    let mut counts = Vec::new();
    for line in info.lines().filter(|line| line.starts_with("cmdstat")) {
        let (calls, rest) = line.split_once(",usec=").expect("has a time");
        let (_, others) = rest.split_once(",rejected").expect("tells both");
        counts.push(format!("{calls},rejected{others}"));
    }
    let expected = [
        "cmdstat_client|id:calls=1,rejected_calls=0,failed_calls=0",
        "cmdstat_multi:calls=1,rejected_calls=0,failed_calls=0",
        "cmdstat_exec:calls=1,rejected_calls=0,failed_calls=0",
        "cmdstat_get:calls=4,rejected_calls=1,failed_calls=1",
        "cmdstat_hset:calls=1,rejected_calls=0,failed_calls=0",
    ];
    assert_eq!(counts, expected);
    // Those, and the first INFO.
    assert!(
        info.contains("\r\ntotal_commands_processed:9\r\n"),
        "{info}"
    );
    assert!(info.contains("\r\ntotal_error_replies:2\r\n"), "{info}");
}
