//! memcached over UDP: the frame of eight bytes at the start of every datagram. The commands behind it are those of the
//! other connections, in text or binary.
//!
//! ```text
//!    0        1        2        3        4        5        6        7
//!   ┌─────────────────┬─────────────────┬─────────────────┬─────────────────┐
//!   │ request's id    │ number from 0   │ total           │ 0               │
//!   └─────────────────┴─────────────────┴─────────────────┴─────────────────┘
//! ```
//!
//! All numbers are in network byte order. A request is one datagram; its number and the last field have no meaning, as in
//! memcached. A reply has as many datagrams as it needs, and all of them repeat the request's id.
//!
//! Cost: a request is not copied. A reply is copied once, into the frames.
//!
//! Invariant: no reply, sent to a server by a client that forges its address, is a request. Otherwise two servers would
//! answer each other's errors without end.

use super::binary::REPLY_MAGIC;

/// Bytes of a frame's header.
pub(crate) const HEADER_LENGTH: usize = 8;

/// Bytes of a datagram of a reply, header included, as in memcached. It passes through Ethernet in one packet.
pub(crate) const DATAGRAM_LENGTH: usize = 1400;

/// Bytes of the longest reply: 16 datagrams. memcached has no such bound, so a small request can make it send a megabyte to
/// an address that the sender has forged.
pub(crate) const MAX_REPLY: usize = 16 * (DATAGRAM_LENGTH - HEADER_LENGTH);

/// The reply in place of one that is longer than [`MAX_REPLY`].
pub(crate) const TOO_LARGE: &[u8] = b"SERVER_ERROR reply too large for UDP\r\n";

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    /// The number that the client chose.
    pub(crate) id: [u8; 2],
    /// The commands.
    pub(crate) commands: &'a [u8],
}

/// The request in a datagram; `None` if the datagram gets no reply: it is too short, it is a part of a longer request, or
/// it begins as a reply does.
pub(crate) fn request(datagram: &[u8]) -> Option<Request<'_>> {
    let (header, commands) = datagram.split_first_chunk::<HEADER_LENGTH>()?;
    let [id @ .., _, _, 0, 1, _, _] = *header else {
        return None;
    };
    let is_request = commands.first().is_some_and(|first| !begins_reply(*first));
    is_request.then_some(Request { id, commands })
}

/// Whether replies begin with this byte, and requests don't.
fn begins_reply(first: u8) -> bool {
    first.is_ascii_uppercase() || first.is_ascii_digit() || first == REPLY_MAGIC
}

/// Calls `send` with each datagram of a reply; with none if the reply is empty. `frame` is memory for one of them.
///
/// The reply has at most [`MAX_REPLY`] bytes, so the numbers fit into their fields.
pub(crate) fn send_reply(
    id: [u8; 2],
    reply: &[u8],
    frame: &mut Vec<u8>,
    send: &mut dyn FnMut(&[u8]),
) {
    let parts = reply.chunks(DATAGRAM_LENGTH - HEADER_LENGTH);
    let total = parts.len() as u16;
    for (number, part) in (0_u16..).zip(parts) {
        frame.clear();
        frame.extend_from_slice(&id);
        frame.extend_from_slice(&number.to_be_bytes());
        frame.extend_from_slice(&total.to_be_bytes());
        frame.extend_from_slice(&[0, 0]);
        frame.extend_from_slice(part);
        send(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A datagram with this number and total.
    fn datagram(number: u16, total: u16, commands: &[u8]) -> Vec<u8> {
        let fields = [0x1234, number, total, 0].map(u16::to_be_bytes);
        [&fields.concat(), commands].concat()
    }

    fn framed(reply: &[u8]) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        send_reply([0x12, 0x34], reply, &mut Vec::new(), &mut |datagram| {
            sent.push(datagram.to_vec());
        });
        sent
    }

    #[test]
    fn a_request_is_one_datagram_with_commands() {
        let id = [0x12, 0x34];
        for (datagram, commands) in [
            (datagram(0, 1, b"get a\r\n"), Some(&b"get a\r\n"[..])),
            // The number is not looked at, as in memcached.
            (datagram(1, 1, b"get a\r\n"), Some(b"get a\r\n")),
            (datagram(0, 1, b"\r\n"), Some(b"\r\n")),
            (datagram(0, 1, b"\x80\x0a"), Some(b"\x80\x0a")),
            (datagram(0, 2, b"get a\r\n"), None),
            (datagram(1, 2, b"get a\r\n"), None),
            (datagram(0, 0, b"get a\r\n"), None),
            (datagram(0, 257, b"get a\r\n"), None),
            (datagram(0, 1, b""), None),
            (datagram(0, 1, b"")[..7].to_vec(), None),
            (Vec::new(), None),
        ] {
            let expected = commands.map(|commands| Request { id, commands });
            assert_eq!(request(&datagram), expected, "{datagram:?}");
        }
    }

    #[test]
    fn a_reply_is_no_request() {
        for reply in [
            &b"ERROR\r\n"[..],
            b"CLIENT_ERROR bad data chunk\r\n",
            b"END\r\n",
            b"12\r\n",
            b"\x81\x0a",
            TOO_LARGE,
        ] {
            for datagram in framed(reply) {
                assert_eq!(request(&datagram), None, "{datagram:?}");
            }
        }
    }

    #[test]
    fn a_reply_is_cut_into_numbered_datagrams() {
        let room = DATAGRAM_LENGTH - HEADER_LENGTH;
        for length in [0, 1, room, room + 1, MAX_REPLY - 1, MAX_REPLY] {
            let reply: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let sent = framed(&reply);
            let total = length.div_ceil(room);
            assert_eq!(sent.len(), total, "{length}");
            let mut joined = Vec::new();
            for (number, datagram) in sent.iter().enumerate() {
                let header = [0x12, 0x34, 0, number as u8, 0, total as u8, 0, 0];
                assert_eq!(datagram[..HEADER_LENGTH], header);
                assert!(datagram.len() == DATAGRAM_LENGTH || number + 1 == total);
                joined.extend_from_slice(&datagram[HEADER_LENGTH..]);
            }
            assert_eq!(joined, reply);
        }
        assert_eq!(framed(&vec![0; MAX_REPLY]).len(), 16);
    }
}
