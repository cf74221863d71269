use proptest::prelude::*;

use super::*;
use crate::protocol::memcached::text::StoreVerb;

/// A request's bytes: the header with the lengths of the parts.
fn request(opcode: u8, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    let header = Header {
        opaque: 0xdead_beef,
        cas: 7,
        ..Header::request(opcode, extras.len(), key.len(), value.len())
    };
    [&header.to_bytes()[..], extras, key, value].concat()
}

fn command(bytes: &[u8]) -> Command<'_> {
    match parse(bytes) {
        Parsed::Done { request, .. } => request.command,
        other => panic!("{other:?}"),
    }
}

fn refused(bytes: &[u8]) -> (Status, AfterBadRequest) {
    match parse(bytes) {
        Parsed::Bad { bad, .. } => (bad.status, bad.then),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_opcode_is_found_by_its_code_and_no_code_is_given_twice() {
    for opcode in opcodes::OPCODES {
        let found = Opcode::from_code(opcode.code).expect("it is in the table");
        assert!(
            std::ptr::eq(found, opcode),
            "{} is there twice",
            opcode.name
        );
        assert_eq!(
            opcode.is_quiet(),
            opcode.name.ends_with('q'),
            "{}",
            opcode.name
        );
    }
    let known = (0..=u8::MAX).filter(|code| Opcode::from_code(*code).is_some());
    assert_eq!(known.count(), opcodes::OPCODES.len());
}

#[test]
fn a_get_is_read() {
    let bytes = request(0x0d, b"", b"key", b"");
    let Parsed::Done { request, consumed } = parse(&bytes) else {
        panic!("{:?}", parse(&bytes));
    };
    assert_eq!(consumed, 27);
    assert_eq!(
        request,
        Request {
            to: ReplyTo {
                opcode: 0x0d,
                opaque: 0xdead_beef
            },
            quiet: true,
            cas: 7,
            command: Command::Retrieve {
                key: b"key",
                exptime: None,
                with_key: true
            },
        }
    );
}

#[test]
fn extras_are_in_network_byte_order() {
    let bytes = request(0x01, &[0, 0, 1, 2, 0, 0, 3, 4], b"key", b"value");
    assert_eq!(
        command(&bytes),
        Command::Store(Store {
            verb: StoreVerb::Set,
            key: b"key",
            flags: 0x0102,
            exptime: 0x0304,
            length: 5
        })
    );
    let mut extras = [0; 20];
    (extras[7], extras[15], extras[19]) = (1, 2, 3);
    let bytes = request(0x06, &extras, b"n", b"");
    let count = Count {
        key: b"n",
        down: true,
        delta: 1,
        initial: Some((2, 3)),
    };
    assert_eq!(command(&bytes), Command::Count(count));
    extras[16..].fill(0xff);
    let bytes = request(0x06, &extras, b"n", b"");
    let initial = None;
    assert_eq!(command(&bytes), Command::Count(Count { initial, ..count }));
}

#[test]
fn lengths_that_an_opcode_cannot_have_close_the_connection() {
    let close = (Status::InvalidArguments, AfterBadRequest::Close);
    for bytes in [
        request(0x00, b"", b"", b""),
        request(0x00, b"1234", b"key", b""),
        request(0x00, b"", b"key", b"value"),
        request(0x01, b"", b"key", b"value"),
        request(0x01, b"12345678", b"", b"value"),
        request(0x04, b"", b"key", b"value"),
        request(0x05, b"12345678", b"key", b""),
        request(0x05, &[0; 20], b"key", b"value"),
        request(0x07, b"", b"key", b""),
        request(0x08, b"123", b"", b""),
        request(0x08, b"", b"key", b""),
        request(0x0a, b"", b"", b"x"),
        request(0x0b, b"x", b"", b""),
        request(0x0e, b"12345678", b"key", b"value"),
        request(0x10, b"x", b"", b""),
        request(0x1c, b"", b"key", b""),
        request(0x1d, b"1234", b"", b""),
        request(0x20, b"", b"PLAIN", b""),
        request(0x21, b"", b"", b"data"),
        request(0x00, b"", &[b'k'; 251], b""),
        request(0xff, b"", &[b'k'; 251], b""),
    ] {
        assert_eq!(refused(&bytes), close, "{bytes:?}");
    }
    assert_eq!(command(&request(0x00, b"", &[b'k'; 250], b"")), {
        Command::Retrieve {
            key: &[b'k'; 250],
            exptime: None,
            with_key: false,
        }
    });
}

/// A header with these lengths, and the extras and the key.
fn with_body_length(opcode: u8, extras: u8, key: u16, body: u32) -> Vec<u8> {
    let mut bytes = request(
        opcode,
        &vec![0; extras.into()],
        &vec![b'k'; key.into()],
        b"",
    );
    bytes[8..12].copy_from_slice(&body.to_be_bytes());
    bytes
}

#[test]
fn a_body_is_checked_against_its_parts_and_against_its_limit() {
    use AfterBadRequest::Close;
    let inconsistent = (Status::UnknownCommand, Close);
    assert_eq!(refused(&with_body_length(0x01, 8, 3, 10)), inconsistent);
    assert_eq!(refused(&with_body_length(0x00, 0, 3, 2)), inconsistent);
    assert_eq!(refused(&with_body_length(0xff, 0, 251, 250)), inconsistent);
    let too_long = (Status::InvalidArguments, Close);
    for length in [BODY_LIMIT + 1, u32::MAX] {
        assert_eq!(refused(&with_body_length(0x01, 8, 3, length)), too_long);
        assert_eq!(refused(&with_body_length(0xff, 0, 0, length)), too_long);
    }
    let bytes = with_body_length(0x01, 8, 3, BODY_LIMIT);
    let Command::Store(store) = command(&bytes) else {
        panic!("{:?}", parse(&bytes));
    };
    assert_eq!(store.length, (1 << 30) - 11);
}

#[test]
fn the_body_of_an_unknown_opcode_is_discarded() {
    let discard = AfterBadRequest::Continue { discard: 5 };
    for opcode in [0x1b, 0x1f, 0x25, 0x30, 0xff] {
        let bytes = request(opcode, b"1234", b"key", b"value");
        assert_eq!(refused(&bytes), (Status::UnknownCommand, discard));
    }
}

#[test]
fn other_protocols_are_not_answered() {
    assert_eq!(
        parse(b"get a key of the text protocol\r\n"),
        Parsed::Foreign
    );
    let mut reply = Vec::new();
    let to = ReplyTo {
        opcode: 0,
        opaque: 0,
    };
    reply::done(&mut reply, to, 0);
    assert_eq!(parse(&reply), Parsed::Foreign);
}

#[test]
fn replies_have_the_lengths_of_their_parts() {
    let to = ReplyTo {
        opcode: 0x0c,
        opaque: 9,
    };
    let head = reply::ItemHead {
        key: b"key",
        flags: 0x01020304,
        cas: 5,
    };
    let mut out = Vec::new();
    reply::value(&mut out, to, &head, b"value");
    assert_eq!(
        out,
        b"\x81\x0c\0\x03\x04\0\0\0\0\0\0\x0c\0\0\0\x09\0\0\0\0\0\0\0\x05\x01\x02\x03\x04keyvalue"
    );
    out.clear();
    reply::stat(&mut out, to, "pid", 12);
    assert_eq!(
        out,
        b"\x81\x0c\0\x03\0\0\0\0\0\0\0\x05\0\0\0\x09\0\0\0\0\0\0\0\0pid12"
    );
    out.clear();
    reply::error(&mut out, to, Status::NonNumeric);
    assert_eq!(out[6..8], [0, 6]);
    assert_eq!(out[11], 46);
    assert_eq!(out.len(), HEADER_LENGTH + 46);
}

prop_compose! {
    fn headers()(
        (magic, opcode, extras_length) in any::<(u8, u8, u8)>(),
        (key_length, status) in any::<(u16, u16)>(),
        (body_length, opaque, cas) in any::<(u32, u32, u64)>(),
    ) -> Header {
        Header { magic, opcode, key_length, extras_length, status, body_length, opaque, cas }
    }
}

proptest! {
    #[test]
    fn a_header_is_read_as_it_was_written(header in headers()) {
        prop_assert_eq!(Header::read(&header.to_bytes()), Some(header));
    }

    /// Any opcode with parts of any length: the parts come back, or the request is refused; no bytes behind it matter, and
    /// of fewer bytes it asks for more.
    #[test]
    fn a_request_is_read_the_same_however_it_arrives(
        opcode in 0u8..0x40,
        extras in prop_oneof![Just(0usize), Just(4), Just(8), Just(20), 0usize..256],
        key in prop_oneof![0usize..4, 0usize..300],
        value in 0usize..50,
        behind in proptest::collection::vec(any::<u8>(), 0..30),
    ) {
        let (extras, key, value) = (vec![1; extras], vec![b'k'; key], vec![b'v'; value]);
        let bytes = [&request(opcode, &extras, &key, &value)[..], &behind].concat();
        let head = HEADER_LENGTH + extras.len() + key.len();
        let whole = parse(&bytes);
        match whole {
            Parsed::Done { request, consumed } => {
                prop_assert_eq!(consumed, head);
                prop_assert_eq!(request.to, ReplyTo { opcode, opaque: 0xdead_beef });
                if let Command::Store(store) = request.command {
                    prop_assert_eq!((store.key, store.length), (&key[..], value.len()));
                }
            }
            Parsed::Bad { bad, consumed } => {
                prop_assert_eq!(consumed, head);
                if let AfterBadRequest::Continue { discard } = bad.then {
                    prop_assert_eq!(discard, value.len());
                }
            }
            other => prop_assert!(false, "{other:?}"),
        }
        prop_assert_eq!(parse(&bytes[..head]), whole);
        for arrived in 0..head {
            let Parsed::More { needed } = parse(&bytes[..arrived]) else {
                return Err(TestCaseError::fail(format!("{arrived} bytes are not enough")));
            };
            prop_assert!(arrived < needed && needed <= head);
        }
    }

    /// No bytes make it fail, and it never consumes more than it got.
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..100), magic: bool) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut().filter(|_| magic) {
            *first = REQUEST_MAGIC;
        }
        if let Parsed::Done { consumed, .. } | Parsed::Bad { consumed, .. } = parse(&bytes) {
            prop_assert!(consumed <= bytes.len());
        }
    }
}
