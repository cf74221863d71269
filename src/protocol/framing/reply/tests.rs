use proptest::prelude::*;

use super::*;

/// Replies with their shapes, each complete.
const REPLIES: &[(ReplyShape, &[u8])] = &[
    (ReplyShape::Resp, b"+OK\r\n"),
    (ReplyShape::Resp, b"-ERR no\r\n"),
    (ReplyShape::Resp, b":-12\r\n"),
    (ReplyShape::Resp, b"$-1\r\n"),
    (ReplyShape::Resp, b"*-1\r\n"),
    (ReplyShape::Resp, b"$0\r\n\r\n"),
    (ReplyShape::Resp, b"$9\r\nEND\r\n$5\r\n\r\n"),
    (ReplyShape::Resp, b"*0\r\n"),
    (ReplyShape::Resp, b"*2\r\n*1\r\n$1\r\n*\r\n:1\r\n"),
    (
        ReplyShape::Resp,
        b"%2\r\n+a\r\n:1\r\n+b\r\n*2\r\n#t\r\n_\r\n",
    ),
    (ReplyShape::Resp, b"~2\r\n,1.5\r\n(123\r\n"),
    (ReplyShape::Resp, b"=7\r\ntxt:a\r\n\r\n"),
    (ReplyShape::Resp, b"!5\r\nERR a\r\n"),
    (ReplyShape::Resp, b"|1\r\n+ttl\r\n:3\r\n$1\r\na\r\n"),
    (ReplyShape::Resp, b"|0\r\n:1\r\n"),
    (
        ReplyShape::Resp,
        b"*2\r\n|1\r\n+a\r\n*1\r\n:1\r\n:2\r\n%0\r\n",
    ),
    (ReplyShape::Resp, b">2\r\n+invalidate\r\n*1\r\n$1\r\na\r\n"),
    (ReplyShape::Line, b"STORED\r\n"),
    (ReplyShape::Line, b"18446744073709551615\r\n"),
    (ReplyShape::Line, b"5 \r\n"),
    (ReplyShape::Line, b"VERSION 1.6.18\r\n"),
    (ReplyShape::Line, b"ERROR\r\n"),
    (
        ReplyShape::Line,
        b"SERVER_ERROR out of memory storing object\r\n",
    ),
    (ReplyShape::Values, b"END\r\n"),
    (ReplyShape::Values, b"VALUE a 0 5\r\nEND\r\n\r\nEND\r\n"),
    (
        ReplyShape::Values,
        b"VALUE a 4294967295 0\r\n\r\nVALUE b 1 2 77\r\n$5\r\nEND\r\n",
    ),
    (
        ReplyShape::Values,
        b"VALUE a 0 1\r\nx\r\nSERVER_ERROR out of memory writing get response\r\n",
    ),
    (
        ReplyShape::Stats,
        b"STAT pid 1\r\nSTAT version END\r\nEND\r\n",
    ),
    (ReplyShape::Stats, b"ITEM a [1 b; 0 s]\r\nEND\r\n"),
    (
        ReplyShape::Stats,
        b"PREFIX a get 1 hit 1 set 1 del 0\r\nEND\r\n",
    ),
    (ReplyShape::Stats, b"RESET\r\n"),
    (ReplyShape::Meta, b"VA 5 f0 k\r\nEND\r\n\r\n"),
    (ReplyShape::Meta, b"VA 0 s0 W\r\n\r\n"),
    (ReplyShape::Meta, b"HD ka O1\r\n"),
    (ReplyShape::Meta, b"EN\r\n"),
    (ReplyShape::Meta, b"ME a exp=-1 la=0\r\n"),
    (ReplyShape::Meta, b"CLIENT_ERROR invalid flag\r\n"),
    (ReplyShape::Fenced, b"MN\r\n"),
    (ReplyShape::Fenced, b"HD O1\r\nMN\r\n"),
    (ReplyShape::Fenced, b"VA 4 k\r\nMN\r\n\r\nMN\r\n"),
    (
        ReplyShape::Fenced,
        b"SERVER_ERROR object too large for cache\r\nMN\r\n",
    ),
];

const DONE: FrameState = FrameState::Done;

#[test]
fn every_split_of_a_reply_ends_it_at_the_same_byte() {
    for (shape, reply) in REPLIES {
        // Another reply behind it must not be touched.
        let bytes = [reply, &b"END\r\n"[..]].concat();
        let whole = ReplyFramer::new(*shape).feed(&bytes);
        let text = reply.escape_ascii();
        assert_eq!((whole.used, whole.state), (reply.len(), DONE), "{text}");
        for cut in 1..reply.len() {
            let mut framer = ReplyFramer::new(*shape);
            let first = framer.feed(&bytes[..cut]);
            assert_eq!(
                (first.used, first.state),
                (cut, FrameState::More),
                "{text} at {cut}"
            );
            let second = framer.feed(&bytes[cut..]);
            assert_eq!(
                (second.used, second.state),
                (reply.len() - cut, DONE),
                "{text} at {cut}"
            );
        }
        let mut framer = ReplyFramer::new(*shape);
        let states: Vec<FrameState> = reply
            .iter()
            .map(|byte| framer.feed(&[*byte]).state)
            .collect();
        let done = states.iter().position(|state| *state != FrameState::More);
        assert_eq!(done, Some(reply.len() - 1), "{text} byte by byte");
    }
}

#[test]
fn a_malformed_reply_is_found() {
    let rows: &[(ReplyShape, &[u8])] = &[
        (ReplyShape::Resp, b"\r\n"),
        (ReplyShape::Resp, b"HTTP/1.1 400 Bad Request\r\n"),
        (ReplyShape::Resp, b"+a\nb\r\n"),
        (ReplyShape::Resp, b"+a\rb\r\n"),
        (ReplyShape::Resp, b"$\r\n"),
        (ReplyShape::Resp, b"$-2\r\n"),
        (ReplyShape::Resp, b"$--1\r\n"),
        (ReplyShape::Resp, b"$1-\r\n"),
        (ReplyShape::Resp, b"$a\r\n"),
        (ReplyShape::Resp, b"$?\r\n"),
        (ReplyShape::Resp, b"$99999999999999999999\r\n"),
        (ReplyShape::Resp, b"$1099511627777\r\n"),
        (ReplyShape::Resp, b"*99999999999999999999\r\n"),
        (ReplyShape::Resp, b"*4294967297\r\n"),
        (ReplyShape::Resp, b"%-1\r\n"),
        (ReplyShape::Resp, b"$3\r\nabcd\r\n"),
        (ReplyShape::Resp, b"$3\r\nabc\rx"),
        (ReplyShape::Resp, b"$3\n"),
        (ReplyShape::Resp, b"*1\r\n>1\r\n:1\r\n"),
        (ReplyShape::Resp, b"STORED\r\n"),
        (ReplyShape::Line, b"+OK\r\n"),
        (ReplyShape::Line, b"VALUE a 0 1\r\nx\r\nEND\r\n"),
        (ReplyShape::Line, b"STORED\n"),
        (ReplyShape::Line, b"123456789012345678901\r\n"),
        (ReplyShape::Line, b"\r\n"),
        (ReplyShape::Values, b"STORED\r\n"),
        (ReplyShape::Values, b"VALUE a 0\r\n"),
        (ReplyShape::Values, b"VALUE a 0 -1\r\n"),
        (ReplyShape::Values, b"VALUE a 0 99999999999999999999\r\n"),
        (ReplyShape::Values, b"VALUE a 0 1 2 3\r\n"),
        (ReplyShape::Values, b"VALUE  0 1\r\n"),
        (ReplyShape::Values, b"VALUE a 0 1\r\nxyz"),
        (ReplyShape::Meta, b"VA\r\n"),
        (ReplyShape::Meta, b"VA x\r\n"),
        (ReplyShape::Meta, b"STORED\r\n"),
        (ReplyShape::Stats, b"VALUE a 0 1\r\n"),
    ];
    for (shape, bytes) in rows {
        let text = bytes.escape_ascii();
        assert_eq!(
            ReplyFramer::new(*shape).feed(bytes).state,
            FrameState::Garbage,
            "{text}"
        );
        let mut framer = ReplyFramer::new(*shape);
        let garbage = bytes
            .iter()
            .any(|byte| framer.feed(&[*byte]).state == FrameState::Garbage);
        assert!(garbage, "{text} byte by byte");
    }
    let endless = [b'S'; 3000];
    assert_eq!(
        ReplyFramer::new(ReplyShape::Line).feed(&endless).state,
        FrameState::Garbage
    );
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
    assert_eq!(
        ReplyFramer::new(ReplyShape::Resp).feed(&nested(256)).state,
        FrameState::Done
    );
    assert_eq!(
        ReplyFramer::new(ReplyShape::Resp).feed(&nested(257)).state,
        FrameState::Garbage
    );
    let endless = b"*1\r\n".repeat(1_000_000);
    assert_eq!(
        ReplyFramer::new(ReplyShape::Resp).feed(&endless).state,
        FrameState::Garbage
    );
}

#[test]
fn errors_and_pushes_are_distinguished_from_values() {
    let rows: &[(ReplyShape, &[u8], bool, bool)] = &[
        (ReplyShape::Resp, b"-ERR\r\n", true, false),
        (ReplyShape::Resp, b"!3\r\nERR\r\n", true, false),
        (ReplyShape::Resp, b"*1\r\n-ERR\r\n", false, false),
        (ReplyShape::Resp, b"|1\r\n+a\r\n-b\r\n:1\r\n", false, false),
        (ReplyShape::Resp, b">1\r\n:1\r\n", false, true),
        (
            ReplyShape::Line,
            b"CLIENT_ERROR bad data chunk\r\n",
            true,
            false,
        ),
        (ReplyShape::Line, b"STORED\r\n", false, false),
        (
            ReplyShape::Values,
            b"VALUE a 0 5\r\nERROR\r\nEND\r\n",
            false,
            false,
        ),
    ];
    for (shape, bytes, error, push) in rows {
        let mut framer = ReplyFramer::new(*shape);
        assert_eq!(framer.feed(bytes).state, DONE, "{}", bytes.escape_ascii());
        assert_eq!((framer.is_error(), framer.is_push()), (*error, *push));
    }
}

#[test]
fn a_large_value_is_framed_without_being_kept() {
    let length = 100 * 1024 * 1024;
    let chunk = b"END\r\n$5\r\n*1\r\nVALUE ".repeat(1000);
    for (shape, head, tail) in [
        (ReplyShape::Resp, format!("${length}\r\n"), &b"\r\n"[..]),
        (
            ReplyShape::Values,
            format!("VALUE a 0 {length}\r\n"),
            b"\r\nEND\r\n",
        ),
    ] {
        let mut framer = ReplyFramer::new(shape);
        assert_eq!(framer.feed(head.as_bytes()).state, FrameState::More);
        let mut left: usize = length;
        while left > 0 {
            let part = &chunk[..left.min(chunk.len())];
            let progress = framer.feed(part);
            assert_eq!(
                (progress.used, progress.state),
                (part.len(), FrameState::More)
            );
            left -= part.len();
        }
        match &framer {
            ReplyFramer::Resp(framer) => assert_eq!(framer.kept(), 0),
            ReplyFramer::Memcached(framer) => assert!(framer.kept() <= 64, "{}", framer.kept()),
            ReplyFramer::Binary(_) => {}
        }
        assert_eq!(framer.feed(tail).state, DONE);
    }
}

/// A value of RESP, nested at most three deep.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(prop::sample::select(&b"\r\n$*+-:5END"[..]), 0..12);
    let leaf = prop_oneof![
        Just(b"$-1\r\n".to_vec()),
        any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
        bytes.prop_map(|b| [format!("${}\r\n", b.len()).as_bytes(), &b, b"\r\n"].concat()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        (prop::collection::vec(inner, 0..4), prop::bool::ANY).prop_map(|(values, pairs)| {
            let head = match pairs && values.len() % 2 == 0 {
                true => format!("%{}\r\n", values.len() / 2),
                false => format!("*{}\r\n", values.len()),
            };
            [head.into_bytes(), values.concat()].concat()
        })
    })
}

proptest! {
    #[test]
    fn replies_are_found_one_after_another_in_any_pieces(
        values in prop::collection::vec(value(), 1..6),
        cuts in prop::collection::vec(1usize..9, 1..40),
    ) {
        let bytes = values.concat();
        let mut framer = ReplyFramer::new(ReplyShape::Resp);
        let (mut at, mut ends) = (0, Vec::new());
        for size in cuts.iter().cycle() {
            if at == bytes.len() {
                break;
            }
            let end = (at + size).min(bytes.len());
            let progress = framer.feed(&bytes[at..end]);
            prop_assert_ne!(progress.state, FrameState::Garbage);
            at += progress.used;
            if progress.state == FrameState::Done {
                ends.push(at);
            }
        }
        let expected: Vec<usize> = values
            .iter()
            .scan(0, |end, value| {
                *end += value.len();
                Some(*end)
            })
            .collect();
        prop_assert_eq!(ends, expected);
    }

    #[test]
    fn no_bytes_make_a_framer_fail_otherwise_than_as_garbage(
        bytes in prop::collection::vec(prop::sample::select(&b"\r\n$*%|>+-:019VALUEND S"[..]), 0..200),
        cut in 0usize..200,
    ) {
        for shape in [ReplyShape::Resp, ReplyShape::Line, ReplyShape::Values, ReplyShape::Stats, ReplyShape::Meta, ReplyShape::Fenced] {
            let whole = ReplyFramer::new(shape).feed(&bytes);
            let mut framer = ReplyFramer::new(shape);
            let cut = cut.min(bytes.len());
            let mut parts = framer.feed(&bytes[..cut]);
            if parts.state == FrameState::More {
                let second = framer.feed(&bytes[cut..]);
                parts = FrameProgress { used: parts.used + second.used, ..second };
            }
            prop_assert_eq!(parts.state, whole.state);
            if whole.state == FrameState::Done {
                prop_assert_eq!(parts.used, whole.used);
            }
        }
    }
}

proptest! {
    /// A string that has arrived whole is framed without steps, as the steps frame it.
    #[test]
    fn whole_strings_end_where_their_bytes_end_one_by_one(reply in "[+$:*-][-0-9ab\r\n]{0,12}\r\n[ab\r\n]{0,4}\r\n") {
        let reply = reply.as_bytes();
        let mut whole = ReplyFramer::new(ReplyShape::Resp);
        let at_once = whole.feed(reply);
        let mut slow = ReplyFramer::new(ReplyShape::Resp);
        let mut used = 0;
        let mut state = FrameState::More;
        while used < reply.len() && state == FrameState::More {
            let step = slow.feed(&reply[used..used + 1]);
            (used, state) = (used + step.used, step.state);
        }
        prop_assert_eq!(at_once.state, state);
        if state == DONE {
            prop_assert_eq!(at_once.used, used);
        }
        prop_assert_eq!(whole.is_error(), slow.is_error());
    }
}
