//! memcached's binary protocol in the simulation: the requests of a client, quiet ones included, and the server's replies.

use fastrand::Rng;

use crate::protocol::framing::reply::{BinaryReply, ReplyShape};
use crate::protocol::memcached::binary::reply::{self, ItemHead};
use crate::protocol::memcached::binary::{
    self, Command, HEADER_LENGTH, Header, Parsed, REPLY_MAGIC, ReplyTo, Status,
};
use crate::proxy::simulation::script::{Expected, Step, Writer};
use crate::proxy::simulation::server::{Server, UpstreamBehaviour};

const GET: u8 = 0x00;
const SET: u8 = 0x01;
const GETQ: u8 = 0x09;
const NOOP: u8 = 0x0a;
const SETQ: u8 = 0x11;

/// A request: its bytes, and the framing of its reply.
fn request(
    opcode: u8,
    opaque: u32,
    extras: &[u8],
    key: &[u8],
    value: &[u8],
) -> (Vec<u8>, ReplyShape) {
    let header = Header {
        opaque,
        ..Header::request(opcode, extras.len(), key.len(), value.len())
    };
    let shape = ReplyShape::Binary(BinaryReply::unchanged(ReplyTo { opcode, opaque }));
    ([&header.to_bytes()[..], extras, key, value].concat(), shape)
}

/// The reply of a server that has done what it was asked for.
fn done(opcode: u8, opaque: u32) -> Vec<u8> {
    let mut out = Vec::new();
    reply::done(&mut out, ReplyTo { opcode, opaque }, 0);
    out
}

/// The bytes of a value; none of a miss.
pub(super) fn value(reply: &[u8]) -> Option<&[u8]> {
    let header = Header::read(reply).filter(|header| header.status == Status::NoError.code())?;
    let before = usize::from(header.extras_length) + usize::from(header.key_length);
    reply.get(HEADER_LENGTH + before..)
}

/// Whether a reply is the proxy's error about a server.
pub(super) fn is_failure(reply: &[u8]) -> bool {
    let status = Header::read(reply).filter(|_| reply[0] == REPLY_MAGIC);
    status.is_some_and(|header| header.status == Status::TemporaryFailure.code())
        && reply[HEADER_LENGTH..].starts_with(b"upstream ")
}

/// Whether the next reply is one to the request of this shape; `None` if too few of its bytes have come.
pub(super) fn answers(reply: &[u8], shape: ReplyShape) -> Option<bool> {
    let header = Header::read(reply)?;
    Some(matches!(shape, ReplyShape::Binary(binary) if binary.to == ReplyTo::from(&header)))
}

impl Writer {
    /// Appends a request, or a quiet one with a `noop` behind it.
    pub(super) fn binary(&mut self, rng: &mut Rng) {
        let key = self.key(rng);
        let place = (0, key.clone());
        let is_quiet = rng.bool();
        let opaque = rng.u32(..);
        let (asked, expected) = match rng.u8(..5) {
            0 | 1 => {
                let opcode = if is_quiet { GETQ } else { GET };
                (
                    request(opcode, opaque, b"", &key, b""),
                    Expected::Value(place),
                )
            }
            2 => (
                request(NOOP, opaque, b"", b"", b""),
                Expected::Changed(done(NOOP, opaque), Vec::new()),
            ),
            _ => {
                let opcode = if is_quiet { SETQ } else { SET };
                let value = self.value(rng, &key);
                let changes = vec![(place, Some(value.clone()))];
                (
                    request(opcode, opaque, &[0; 8], &key, &value),
                    Expected::Changed(done(opcode, opaque), changes),
                )
            }
        };
        let ((mut bytes, shape), mut due) = (asked, Vec::new());
        if bytes[1] == GETQ || bytes[1] == SETQ {
            due.push((shape, Expected::Quiet(Box::new(expected))));
            let opaque = opaque.wrapping_add(1);
            let (noop, shape) = request(NOOP, opaque, b"", b"", b"");
            bytes.extend(noop);
            due.push((shape, Expected::Changed(done(NOOP, opaque), Vec::new())));
        } else {
            due.push((shape, expected));
        }
        self.steps.push_back(Step::Ask(bytes, due));
    }
}

impl Server {
    /// Executes the request at the start of the input of a connection. Returns its length, 0 if it is not complete.
    pub(super) fn binary(&mut self, key: usize, input: &[u8]) -> usize {
        let Parsed::Done { request, consumed } = binary::parse(input) else {
            return 0;
        };
        let (to, mut used, mut out) = (request.to, consumed, Vec::new());
        assert!(
            !request.quiet,
            "a server gets only requests that it answers"
        );
        match request.command {
            Command::Retrieve { key, .. } => {
                let wrong = ReplyTo {
                    opaque: to.opaque ^ 1,
                    ..to
                };
                let head = ItemHead {
                    key: b"",
                    flags: 0,
                    cas: 0,
                };
                match self.values.get(&(0, key.to_vec())) {
                    // A reply that belongs to another request looks right except for its opaque.
                    _ if self.behaviour == UpstreamBehaviour::Confused => {
                        reply::value(&mut out, wrong, &head, b"wrong");
                    }
                    Some(value) => reply::value(&mut out, to, &head, value),
                    None => reply::missing(&mut out, to, b""),
                }
            }
            Command::Store(store) => {
                let Some(value) = input.get(used..used + store.length) else {
                    return 0;
                };
                used += store.length;
                self.values.insert((0, store.key.to_vec()), value.to_vec());
                reply::done(&mut out, to, 0);
            }
            _ => reply::done(&mut out, to, 0),
        }
        if let Some(session) = self.sessions.get_mut(&key) {
            session.output.extend_from_slice(&out);
        }
        used
    }
}
