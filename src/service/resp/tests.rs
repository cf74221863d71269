//! Sessions without sockets.

use std::sync::Arc;

use proptest::prelude::*;

use super::Resp;
use super::service_state::Settings;
use crate::protocol::resp::request;
use crate::server::{Connections, Next, Peer, Service, Session};
use crate::service::delivery::deliver;
use crate::store::{Clock, Config, Store};

mod copies_in_pieces;
mod expired_fields;
mod fields_in_pieces;
mod keys_in_pieces;
mod random_in_pieces;
mod stepped;

/// A service on a store of its own, with a clock that stands still.
fn service(settings: Settings) -> Resp {
    let store = Store::new(Config::default(), Clock::manual(1_000_000_000_000));
    Resp::new(Arc::new(store), Connections::new(), settings)
}

/// Clients of a service.
fn clients<const COUNT: usize>(service: &Resp) -> [Box<dyn Session>; COUNT] {
    std::array::from_fn(|_| service.open(Peer::detached()))
}

fn session() -> Box<dyn Session> {
    service(Settings::default()).open(Peer::detached())
}

/// Sends `input` in pieces of `size` bytes, as a server would: input that was not consumed comes
/// again.
fn converse(session: &mut dyn Session, input: &[u8], size: usize) -> (Vec<u8>, bool) {
    let mut output = Vec::new();
    let mut held = Vec::new();
    for piece in input.chunks(size) {
        held.extend_from_slice(piece);
        loop {
            let turn = session.turn(&held, &mut output);
            held.drain(..turn.consumed);
            match turn.next {
                Next::Again | Next::Continue | Next::Send | Next::AwaitMemory | Next::Delay => {}
                Next::Read | Next::Later | Next::Receive => break,
                Next::Wait => unreachable!("it has no origin"),
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
fn a_large_value_is_in_the_output_unless_the_connection_writes_insertions() {
    let service = service(Settings::default());
    let mut session = service.open(Peer::detached());
    let set = format!(
        "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$300000\r\n{}\r\n",
        "x".repeat(300_000)
    );
    assert_eq!(
        converse(&mut *session, set.as_bytes(), 1 << 20).0,
        b"+OK\r\n"
    );
    let (copied, _) = converse(&mut *session, b"GET a\r\n", 4096);
    assert_eq!(copied.len(), "$300000\r\n\r\n".len() + 300_000);
    session.allow_insertions();
    let mut output = Vec::new();
    let turn = session.turn(b"GET a\r\n", &mut output);
    assert_eq!(
        (&output[..], turn.next),
        (&b"$300000\r\n\r\n"[..], Next::Send)
    );
    let insertions = session.insertions();
    assert_eq!((insertions.len(), insertions[0].at), (1, 9));
    assert!((*insertions[0].bytes).as_ref() == [b'x'; 300_000]);
    assert!(session.insertions().is_empty());
}

#[test]
fn a_reply_over_its_limit_is_not_sent_and_the_connection_is_closed() {
    let settings = Settings {
        max_reply: Some(1000),
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
        max_request: Some(1000),
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
    use super::client_info::ClientInfo;
    use super::client_state::ClientState;
    use super::session::RespSession;
    // With the counts of two Arcs, malloc's overhead and a place in the register this is below 320 bytes.
    assert!(
        size_of::<ClientState>() <= 32,
        "{}",
        size_of::<ClientState>()
    );
    assert!(size_of::<RespSession>() + size_of::<ClientInfo>() <= 192);
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
fn info_counts_runs_refusals_and_failures_of_each_command() {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Large values are received into memory of the store, and clients see the same replies: for any words in front
    /// and behind, any item stored before, and any cuts of the input.
    #[test]
    fn a_large_value_is_set_however_it_arrives(
        commands in proptest::collection::vec((0..19usize, 0..3usize, 30_000..90_000usize), 1..6),
        cuts in proptest::collection::vec(1..80_000usize, 0..12),
    ) {
        let forms = [
            "sEt key value", "SET key value NX", "SET key value XX GET", "SET key value EX 60", "SET key value KEEPTTL",
            "SET key value PX 0", "SET key value NOPE", "SET key value GET", "SET key value EX x NX",
            "SET key value PXAT 1000000005000", "SETNX key value", "SETNX key value more", "GETSET key value",
            "setex key 60 value", "SETEX key 0 value", "SETEX key x value", "PSETEX key 5000 value", "PSETEX key value",
            "APPEND key value",
        ];
        let mut input = Vec::new();
        for (form, key, length) in commands {
            let value = vec![b'a' + key as u8; length];
            let key = format!("k{key}");
            let words = forms[form].split(' ').map(|word| match word {
                "key" => key.as_bytes(),
                "value" => &value,
                word => word.as_bytes(),
            });
            input.extend(request(&words.collect::<Vec<_>>()));
            input.extend_from_slice(b"PTTL k0\r\nPTTL k1\r\nPTTL k2\r\nMGET k0 k1 k2\r\nSETRANGE k1 5 xx\r\n");
        }
        let mut pieces = Vec::new();
        let mut rest = &input[..];
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        let whole = converse(&mut *session(), &input, input.len());
        let pieces = deliver(&mut *session(), &pieces);
        // Not printed: they are long.
        prop_assert!(pieces == whole);
    }
}

#[test]
fn a_set_for_which_other_values_on_their_way_leave_no_memory_is_refused_and_dropped() {
    let config = Config {
        memory: 8 << 20,
        ..Config::default()
    };
    let store = Arc::new(Store::new(config, Clock::manual(1_000)));
    let service = Resp::new(Arc::clone(&store), Connections::new(), Settings::default());
    let set = request(&[b"SET", b"big", &[b'x'; 1_000_000], b"EX", b"60"]);
    let (begin, rest) = set.split_at(900_000);
    let mut sessions: Vec<_> = (0..6).map(|_| service.open(Peer::detached())).collect();
    for session in &mut sessions {
        assert_eq!(deliver(&mut **session, &[begin]).0, b"");
    }
    assert!(store.used() <= 5 << 20, "{}", store.used());
    let rest = [rest, b"GET big\r\n"].concat();
    let (output, closed) = deliver(&mut **sessions.last_mut().unwrap(), &[&rest]);
    let text = String::from_utf8_lossy(&output);
    assert!(
        text.starts_with("-OOM ") && text.ends_with("\r\n$-1\r\n"),
        "{text}"
    );
    assert!(!closed);
    let (output, _) = deliver(&mut *sessions[0], &[&rest[..rest.len() - 9]]);
    assert_eq!(output, b"+OK\r\n");
    drop(sessions);
    assert!(store.used() < 2 << 20, "{}", store.used());
}
