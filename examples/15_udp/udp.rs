//! memcached over UDP: a request is one datagram, and a reply is one or more. Each has a header of eight bytes.
//!
//! One thread reads the socket. Every datagram gets a session of its own, because there is no connection.

use std::net::UdpSocket;

use larder::server::{Next, Peer, Service};

/// Bytes of a header: the request's id, the datagram's number, their total, and two zeros.
const HEADER: usize = 8;

/// Bytes of a datagram with its header: one packet of Ethernet has room for it.
const DATAGRAM: usize = 1400;

/// Bytes of the longest reply, in sixteen datagrams: a small request must not cause a large one.
const MAX_REPLY: usize = 16 * (DATAGRAM - HEADER);

const TOO_LARGE: &[u8] = b"SERVER_ERROR reply too large for UDP\r\n";

/// Answers datagrams until the process ends.
pub(crate) fn serve(socket: &UdpSocket, service: &dyn Service) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let Some((header, request)) = buffer[..length].split_first_chunk::<HEADER>() else {
            continue;
        };
        let [id @ .., _, _, 0, 1, _, _] = *header else {
            continue;
        };
        if begins_reply(request) {
            continue;
        }
        for datagram in datagrams(id, &answer(service, request)) {
            // If this datagram can't be sent, it is lost, as others may be on their way.
            let _ = socket.send_to(&datagram, client);
        }
    }
}

/// Whether these bytes begin as replies do, and no request does: with a capital letter, a digit, or 81.
fn begins_reply(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(b'A'..=b'Z' | b'0'..=b'9' | 0x81))
}

/// The reply to all commands of a request.
fn answer(service: &dyn Service, request: &[u8]) -> Vec<u8> {
    let mut session = service.open(Peer::detached());
    let (mut reply, mut rest) = (Vec::new(), request);
    while !rest.is_empty() {
        let turn = session.turn(rest, &mut reply);
        rest = &rest[turn.consumed..];
        if reply.len() > MAX_REPLY {
            return TOO_LARGE.to_vec();
        }
        if turn.next != Next::Again {
            break;
        }
    }
    reply
}

/// Cuts a reply into datagrams, and numbers them.
fn datagrams(id: [u8; 2], reply: &[u8]) -> Vec<Vec<u8>> {
    let parts = reply.chunks(DATAGRAM - HEADER);
    let total = (parts.len() as u16).to_be_bytes();
    let numbered = (0_u16..).zip(parts);
    let framed = numbered.map(|(number, part)| {
        let header = [id, number.to_be_bytes(), total, [0, 0]].concat();
        [&header, part].concat()
    });
    framed.collect()
}
