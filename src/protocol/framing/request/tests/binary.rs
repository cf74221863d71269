//! Requests of memcached's binary protocol.

use super::*;
use crate::protocol::framing::reply::BinaryReply;
use crate::protocol::memcached::binary::{
    self, Command, HEADER_LENGTH, Header, Parsed, REPLY_MAGIC, REQUEST_MAGIC, Status,
};

/// A request with these parts.
fn frame(opcode: u8, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    let header = Header {
        opaque: 7,
        ..Header::request(opcode, extras.len(), key.len(), value.len())
    };
    [&header.to_bytes()[..], extras, key, value].concat()
}

/// A frame in one line: of a request `route sent-opcode withheld consumed`, of an error `status consumed`.
fn line(found: &RequestFrame<'_>) -> String {
    match found {
        RequestFrame::Request(request, consumed) => {
            let ReplyShape::Binary(BinaryReply {
                sent_opcode,
                withheld,
                ..
            }) = request.shape
            else {
                panic!("{:?}", request.shape);
            };
            assert_eq!(request.bytes[1], sent_opcode);
            let safe = if request.repeat_safe { " safe" } else { "" };
            let route = route(&request.route);
            format!("{route} {sent_opcode:#04x} {withheld:?}{safe} {consumed}")
        }
        RequestFrame::Bad {
            reply,
            consumed,
            close,
        } => {
            let close = if *close { " close" } else { "" };
            let Some(header) = Header::read(reply) else {
                assert!(reply.is_empty());
                return format!("no answer {consumed}{close}");
            };
            assert_eq!((header.magic, header.opaque), (REPLY_MAGIC, 7));
            format!("{:#04x} {consumed}{close}", header.status)
        }
        found => summary(found),
    }
}

fn framed(input: &[u8]) -> String {
    line(&RequestFramer::memcached().frame(input, &mut RequestBuffers::default()))
}

#[test]
fn a_request_goes_to_the_server_of_its_key_under_an_opcode_that_is_always_answered() {
    let (none, eight, four, twenty) = (&b""[..], &[0; 8][..], &[0; 4][..], &[0; 20][..]);
    for (opcode, extras, value, expected) in [
        (0x00, none, none, "key k 0x00 None safe 25"),
        (0x09, none, none, "key k 0x00 Miss safe 25"),
        (0x0c, none, none, "key k 0x0c None safe 25"),
        (0x0d, none, none, "key k 0x0c Miss safe 25"),
        (0x01, eight, b"ab", "key k 0x01 None 35"),
        (0x11, eight, b"ab", "key k 0x01 Success 35"),
        (0x12, eight, none, "key k 0x02 Success 33"),
        (0x13, eight, none, "key k 0x03 Success 33"),
        (0x19, none, b"a", "key k 0x0e Success 26"),
        (0x1a, none, b"a", "key k 0x0f Success 26"),
        (0x04, none, none, "key k 0x04 None 25"),
        (0x14, none, none, "key k 0x04 Success 25"),
        (0x15, twenty, none, "key k 0x05 Success 45"),
        (0x16, twenty, none, "key k 0x06 Success 45"),
        (0x1c, four, none, "key k 0x1c None 29"),
        (0x1d, four, none, "key k 0x1d None 29"),
        (0x1e, four, none, "key k 0x1d Miss 29"),
        (0x24, four, none, "key k 0x23 Miss 29"),
    ] {
        let bytes = frame(opcode, extras, b"k", value);
        assert_eq!(framed(&bytes), expected, "{opcode:#04x}");
        assert_eq!(framed(&bytes[..bytes.len() - 1]), "incomplete");
    }
    for (opcode, extras, expected) in [
        (0x08, none, "every SameFrame 0x08 None 24"),
        (0x18, four, "every SameFrame 0x08 Success 28"),
        (0x0a, none, "local Noop 0x0a None 24"),
        (0x0b, none, "local Version 0x0b None 24"),
        (0x07, none, "local Quit 0x07 None 24"),
        (0x17, none, "local Quit 0x07 None 24"),
    ] {
        assert_eq!(framed(&frame(opcode, extras, b"", b"")), expected);
    }
    let key = [b'k'; 250];
    assert_eq!(
        framed(&frame(0, b"", &key, b"")),
        format!("key {} 0x00 None safe 274", "k".repeat(250))
    );
}

#[test]
fn a_request_that_memcached_refuses_is_refused_with_its_status() {
    let short = Header {
        body_length: 3,
        opaque: 7,
        ..Header::request(0x00, 0, 4, 0)
    };
    let huge = |opcode| Header {
        body_length: u32::MAX,
        opaque: 7,
        ..Header::request(opcode, 8, 1, 0)
    };
    let with = |header: Header, body: &[u8]| [&header.to_bytes()[..], body].concat();
    for (bytes, expected) in [
        // Lengths that the opcode can't have.
        (frame(0x00, b"", b"", b""), "0x04 24 close"),
        (frame(0x00, b"abcd", b"k", b""), "0x04 29 close"),
        (frame(0x01, b"", b"k", b"value"), "0x04 25 close"),
        (frame(0x0a, b"", b"k", b""), "0x04 25 close"),
        (frame(0x00, b"", &[b'k'; 251], b""), "0x04 275 close"),
        (with(short, b"long"), "0x81 28 close"),
        (with(huge(0x01), b"12345678k"), "0x04 33 close"),
        (with(huge(0x1b), b"12345678k"), "0x04 33 close"),
        // Unknown opcodes, and those of authentication.
        (frame(0x1b, b"abcd", b"", b""), "0x81 28"),
        (frame(0xff, b"", b"key", b"value"), "0x81 32"),
        (frame(0x20, b"", b"", b""), "0x81 24"),
        (frame(0x21, b"", b"PLAIN", b"\0a\0b"), "0x81 33"),
    ] {
        assert_eq!(framed(&bytes), expected, "{}", bytes.escape_ascii());
    }
    let mut framer = RequestFramer::memcached();
    let mut buffers = RequestBuffers::default();
    let first = frame(0x0a, b"", b"", b"");
    assert!(line(&framer.frame(&first, &mut buffers)).ends_with(" 24"));
    let foreign = line(&framer.frame(b"get a\r\n and more bytes\r\n", &mut buffers));
    assert_eq!(foreign, "no answer 24 close");
}

#[test]
fn the_body_of_a_refused_request_is_discarded_before_the_error() {
    let input = [
        frame(0xff, b"", b"key", &[0x80; 100]),
        frame(0, b"", b"k", b""),
    ]
    .concat();
    let mut framer = RequestFramer::memcached();
    let mut buffers = RequestBuffers::default();
    let mut find = |input: &[u8]| line(&framer.frame(input, &mut buffers));
    assert_eq!(find(&input[..50]), "nothing 50");
    assert_eq!(find(&input[50..60]), "nothing 10");
    assert_eq!(find(&input[60..]), "0x81 67");
    assert_eq!(find(&input[127..]), "key k 0x00 None safe 25");
}

#[test]
fn a_value_over_the_limit_is_streamed_behind_a_header_of_its_own() {
    for (opcode, sent) in [(0x01, 0x01), (0x11, 0x01), (0x19, 0x0e)] {
        let extras: &[u8] = if opcode == 0x19 { b"" } else { &[0; 8] };
        let value = vec![0x80; REQUEST_LIMIT];
        let bytes = frame(opcode, extras, b"k", &value);
        let input = [&bytes[..], &frame(0, b"", b"k", b"")].concat();
        let (mut framer, mut buffers) = (RequestFramer::memcached(), RequestBuffers::default());
        let RequestFrame::Large(mut large) = framer.frame(&input[..40], &mut buffers) else {
            panic!("it is held");
        };
        assert_eq!(route(&large.route), "key k");
        let head = [&[0x80, sent], &bytes[2..HEADER_LENGTH]].concat();
        assert_eq!(large.head, head);
        let left = bytes.len() - HEADER_LENGTH;
        assert_eq!(large.rest.feed(&input[HEADER_LENGTH..]), Some((left, true)));
    }
    let limit = frame(0x01, &[0; 8], b"k", &vec![0; REQUEST_LIMIT - 33]);
    assert_eq!(framed(&limit), format!("key k 0x01 None {REQUEST_LIMIT}"));
}

#[test]
fn a_quiet_read_of_a_missing_key_has_no_reply() {
    for (opcode, expected) in [
        (0x00, Some((Status::KeyNotFound, &b"Not found"[..]))),
        (0x0c, Some((Status::KeyNotFound, b"k"))),
        (0x0d, None),
    ] {
        let bytes = frame(opcode, b"", b"k", b"");
        let (mut framer, mut buffers) = (RequestFramer::memcached(), RequestBuffers::default());
        let RequestFrame::Request(request, _) = framer.frame(&bytes, &mut buffers) else {
            panic!("no request");
        };
        let miss = request.binary_miss().expect("it is a read");
        let header = Header::read(&miss);
        assert_eq!(
            header.map(|it| (it.opcode, it.opaque)),
            expected.map(|_| (opcode, 7))
        );
        let body = header.map(|it| (it.status, &miss[HEADER_LENGTH..]));
        assert_eq!(body, expected.map(|(status, text)| (status.code(), text)));
    }
}

/// Any requests, most of them with lengths that fit their opcode.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let extras = prop::sample::select(vec![0usize, 0, 4, 8, 20]);
    let one = (0u8..0x28, extras, 0usize..6, 0usize..6, 0u32..3, 0u8..30);
    let bytes = one.prop_map(|(opcode, extras, key, value, over, flaw)| {
        let header = Header {
            // Some announce a longer body than comes.
            body_length: (extras + key + value) as u32 + if flaw == 0 { over } else { 0 },
            opaque: 7,
            ..Header::request(opcode, extras, key, value)
        };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend((0..extras + key + value).map(|byte| byte as u8));
        bytes
    });
    prop::collection::vec(bytes, 1..8).prop_map(|all| all.concat())
}

/// All that a framer finds in an input that arrives in pieces, without the bytes that are discarded.
fn found(input: &[u8], piece: usize) -> Vec<(String, Vec<u8>)> {
    let (mut framer, mut buffers) = (RequestFramer::memcached(), RequestBuffers::default());
    let (mut start, mut arrived, mut found) = (0, 0, Vec::new());
    while arrived < input.len() {
        arrived = (arrived + piece).min(input.len());
        while start < arrived {
            let frame = framer.frame(&input[start..arrived], &mut buffers);
            let text = line(&frame);
            match frame {
                RequestFrame::Request(request, used) => {
                    found.push((text, request.bytes.to_vec()));
                    start += used;
                }
                RequestFrame::Bad {
                    reply,
                    consumed,
                    close,
                } => {
                    found.push((close.to_string(), reply.to_vec()));
                    start += consumed;
                    if close {
                        return found;
                    }
                }
                RequestFrame::Nothing(used) => start += used,
                RequestFrame::Incomplete => break,
                RequestFrame::Large(_) => panic!("{text}"),
            }
        }
    }
    found
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same_requests(input in requests(), piece in 1usize..60) {
        prop_assert_eq!(found(&input, piece), found(&input, input.len()));
    }

    #[test]
    fn a_server_reads_one_request_that_it_answers_in_the_bytes_of_each(input in requests()) {
        for (line, bytes) in found(&input, input.len()) {
            let is_sent = bytes.first() == Some(&REQUEST_MAGIC);
            if !is_sent || line.starts_with("local") {
                continue;
            }
            let Parsed::Done { request, consumed } = binary::parse(&bytes) else {
                panic!("{line}");
            };
            prop_assert!(!request.quiet);
            let value = match request.command {
                Command::Store(store) => store.length,
                _ => 0,
            };
            let header = Header::read(&bytes).expect("a header");
            prop_assert_eq!(consumed + value, bytes.len());
            prop_assert_eq!(header.body_length as usize, bytes.len() - HEADER_LENGTH);
        }
    }
}
