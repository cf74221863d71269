//! `getch` of items with many children: in pieces, while other connections have their turns.

use super::*;
use crate::server::Turn;

/// Items of one service: `big` with so many children.
fn fill(session: &mut dyn Session, children: usize) {
    let mut input = String::from("set big 0 0 1\r\nx\r\n");
    for number in 0..children {
        input.push_str(&format!("set big child\"{number} 0 0 1\r\nx\r\n"));
    }
    let (output, ..) = converse(session, &[input.as_bytes()]);
    assert_eq!(output.len(), "STORED\r\n".len() * (children + 1));
}

/// A service with memory for all children of these tests.
fn service() -> Memcached {
    let config = Config {
        memory: 64 << 20,
        ..Config::default()
    };
    let store = Store::new(config, Clock::manual(1_700_000_000_000));
    Memcached::new(Arc::new(store), Connections::new(), Settings::default())
}

/// Two clients of one service.
fn two_clients() -> [Box<dyn Session>; 2] {
    let service = service();
    [(); 2].map(|()| service.open(Peer::detached()))
}

/// The reply for these children in this order.
fn listing(names: impl Iterator<Item = usize>) -> Vec<u8> {
    let names = names.map(|number| format!("\"child\\\"{number}\""));
    let json = format!("[{}]", names.collect::<Vec<_>>().join(","));
    format!("VALUE big 0 {}\r\n{json}\r\nEND\r\n", json.len()).into_bytes()
}

/// Gives the session a turn on this input.
fn turn(session: &mut dyn Session, input: &mut Vec<u8>, output: &mut Vec<u8>) -> Turn {
    let turn = session.turn(input, output);
    input.drain(..turn.consumed);
    turn
}

#[test]
fn the_list_in_pieces_has_the_same_bytes_as_at_once() {
    for children in [1, 512, 513, 5000] {
        let [mut session, _] = two_clients();
        fill(&mut *session, children);
        let (output, ..) = converse(&mut *session, &[b"getch big\r\nversion\r\n"]);
        let expected = listing(0..children);
        assert!(output.starts_with(&expected), "{children}");
        assert!(output[expected.len()..].starts_with(b"VERSION "));
    }
}

#[test]
fn other_connections_are_answered_between_the_pieces_and_the_list_is_that_of_the_first() {
    let [mut one, mut other] = two_clients();
    fill(&mut *one, 3000);
    let (mut input, mut output) = (b"getch big\r\nget none\r\n".to_vec(), Vec::new());
    let mut pieces = 0;
    loop {
        let turn = turn(&mut *one, &mut input, &mut output);
        if turn.consumed > 0 {
            break;
        }
        assert_eq!((turn.next, output.len()), (Next::Continue, 0));
        // The last child moves to the position of the first one.
        let line = format!("deln big child\"{pieces}\r\n");
        let (reply, ..) = converse(&mut *other, &[line.as_bytes()]);
        assert_eq!(reply, b"DELETED\r\n");
        pieces += 1;
    }
    assert!(pieces > 10, "{pieces}");
    while turn(&mut *one, &mut input, &mut output).next == Next::Continue {}
    assert!(output == [listing(0..3000), b"END\r\n".to_vec()].concat());
}

#[test]
fn an_item_that_is_removed_while_its_children_are_read_has_none() {
    let [mut one, mut other] = two_clients();
    fill(&mut *one, 1000);
    let (mut input, mut output) = (b"getch big\r\n".to_vec(), Vec::new());
    assert_eq!(
        turn(&mut *one, &mut input, &mut output).next,
        Next::Continue
    );
    converse(&mut *other, &[b"delete big\r\n"]);
    assert_eq!(turn(&mut *one, &mut input, &mut output).next, Next::Read);
    assert_eq!(output, b"END\r\n");
}

#[test]
fn a_list_in_pieces_counts_as_one_request() {
    let service = service();
    let mut session = service.open(Peer::detached());
    fill(&mut *session, 3000);
    service.shared.slow_log().set_slower_than(0);
    for _ in 0..2 {
        converse(&mut *session, &[b"getch big\r\n"]);
    }
    service.shared.slow_log().set_slower_than(-1);
    let entries = service.shared.slow_log().latest(usize::MAX);
    let lists = entries
        .iter()
        .filter(|entry| entry.words == [&b"getch"[..], b"big"]);
    assert_eq!(lists.count(), 2);
}

#[test]
fn a_list_in_a_datagram_ends_where_it_is_too_long() {
    use crate::protocol::memcached::udp::TOO_LARGE;
    use crate::server::{DatagramService, DatagramSession};
    let service = service();
    let mut session = service.open(Peer::detached());
    fill(&mut *session, 5000);
    let mut socket: Box<dyn DatagramSession> = service.open_socket(Peer::detached());
    let mut reply = Vec::new();
    let datagram = [&[0, 1, 0, 0, 0, 1, 0, 0][..], b"getch big\r\n"].concat();
    socket.answer(&datagram, &mut |sent| reply.extend_from_slice(&sent[8..]));
    assert_eq!(reply, TOO_LARGE);
}
