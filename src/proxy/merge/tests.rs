use proptest::prelude::*;

use super::*;

/// Feeds the parts' replies by turns, `chunk` bytes at a time, each until it is read; the reply to the client.
fn join(mut merge: ReplyMerge, replies: &[&[u8]], chunk: usize) -> String {
    let (mut out, mut at) = (Vec::new(), vec![0; replies.len()]);
    let mut moved = true;
    while moved {
        moved = false;
        for (part, reply) in replies.iter().enumerate().rev() {
            let rest = &reply[at[part]..];
            if rest.is_empty() || !merge.has_room(part) {
                continue;
            }
            let progress = merge.feed(part, &rest[..rest.len().min(chunk)], &mut out);
            assert_ne!(progress.state, FrameState::Garbage);
            at[part] += progress.used;
            moved |= progress.used > 0;
            assert_eq!(progress.state == FrameState::Done, at[part] == reply.len());
        }
    }
    assert!(merge.is_complete(), "{}", out.escape_ascii());
    assert!(replies.iter().zip(at).all(|(reply, at)| at == reply.len()));
    String::from_utf8(out).unwrap()
}

fn keyed(kind: MergeRule, order: &[u32]) -> ReplyMerge {
    ReplyMerge::keyed(
        kind,
        *order.iter().max().unwrap() as usize + 1,
        order.to_vec(),
    )
}

fn values(keys: &[&str], order: &[u32]) -> ReplyMerge {
    let keys = keys.iter().map(|key| key.as_bytes());
    ReplyMerge::values(
        *order.iter().max().unwrap() as usize + 1,
        order.to_vec(),
        keys,
    )
}

#[test]
fn replies_come_in_the_order_of_the_keys_however_they_arrive() {
    for chunk in [1, 2, 7, 1000] {
        let replies: [&[u8]; 2] = [b"*2\r\n$1\r\nA\r\n$-1\r\n", b"*1\r\n$5\r\n*1\r\nX\r\n"];
        let expected = "*3\r\n$1\r\nA\r\n$5\r\n*1\r\nX\r\n$-1\r\n";
        assert_eq!(
            join(keyed(MergeRule::Array, &[0, 1, 0]), &replies, chunk),
            expected
        );

        let replies: [&[u8]; 2] = [
            b"VALUE a 0 5\r\nEND\r\n\r\nVALUE c 1 0\r\n\r\nVALUE a 0 1\r\nx\r\nEND\r\n",
            b"VALUE d 7 9 3\r\nVALUE b 0\r\nEND\r\n",
        ];
        let expected = "VALUE a 0 5\r\nEND\r\n\r\nVALUE c 1 0\r\n\r\nVALUE d 7 9 3\r\nVALUE b 0\r\n\
                        VALUE a 0 1\r\nx\r\nEND\r\n";
        let merge = values(&["a", "b", "c", "d", "a"], &[0, 1, 0, 1, 0]);
        assert_eq!(join(merge, &replies, chunk), expected);
        let misses: [&[u8]; 2] = [b"END\r\n", b"END\r\n"];
        assert_eq!(
            join(values(&["a", "b"], &[0, 1]), &misses, chunk),
            "END\r\n"
        );

        let replies: [&[u8]; 2] = [b":2\r\n", b":40\r\n"];
        assert_eq!(
            join(keyed(MergeRule::Sum, &[0, 1]), &replies, chunk),
            ":42\r\n"
        );
        let replies: [&[u8]; 2] = [b"+OK\r\n", b"+OK\r\n"];
        assert_eq!(
            join(keyed(MergeRule::Same, &[0, 1, 1]), &replies, chunk),
            "+OK\r\n"
        );
        let replies: [&[u8]; 2] = [b"$2\r\nab\r\n", b"$2\r\nab\r\n"];
        let merge = ReplyMerge::every(MergeRule::Same, ReplyShape::Resp, 2);
        assert_eq!(join(merge, &replies, chunk), "$2\r\nab\r\n");
        let replies: [&[u8]; 2] = [b"*1\r\n$1\r\na\r\n", b"*0\r\n"];
        let merge = ReplyMerge::every(MergeRule::Concat, ReplyShape::Resp, 2);
        assert_eq!(join(merge, &replies, chunk), "*1\r\n$1\r\na\r\n");
        let replies: [&[u8]; 2] = [b"OK\r\n", b"OK\r\n"];
        let merge = ReplyMerge::every(MergeRule::Same, ReplyShape::Line, 2);
        assert_eq!(join(merge, &replies, chunk), "OK\r\n");
    }
}

#[test]
fn the_error_of_a_part_is_the_answer_to_all() {
    for chunk in [1, 1000] {
        let replies: [&[u8]; 2] = [b"*1\r\n$1\r\nA\r\n", b"-LOADING wait\r\n"];
        assert_eq!(
            join(keyed(MergeRule::Array, &[0, 1]), &replies, chunk),
            "-LOADING wait\r\n"
        );
        let replies: [&[u8]; 2] = [b"-ERR a\r\n", b"-ERR b\r\n"];
        assert_eq!(
            join(keyed(MergeRule::Sum, &[0, 1]), &replies, chunk),
            "-ERR a\r\n"
        );
        let replies: [&[u8]; 2] = [b"VALUE a 0 1\r\nx\r\nEND\r\n", b"SERVER_ERROR b\r\n"];
        assert_eq!(
            join(values(&["a", "b"], &[0, 1]), &replies, chunk),
            "SERVER_ERROR b\r\n"
        );
        let replies: [&[u8]; 2] = [b"VALUE a 0 1\r\nx\r\nSERVER_ERROR c\r\n", b"END\r\n"];
        let expected = "VALUE a 0 1\r\nx\r\nSERVER_ERROR c\r\n";
        assert_eq!(
            join(values(&["a", "c", "b"], &[0, 0, 1]), &replies, chunk),
            expected
        );
    }
}

#[test]
fn another_number_of_values_than_was_asked_for_is_an_error() {
    let replies: [&[u8]; 2] = [b"*1\r\n:1\r\n", b"*2\r\n:1\r\n:1\r\n"];
    let reply = join(keyed(MergeRule::Array, &[0, 1, 0]), &replies, 1000);
    assert!(
        reply.starts_with("-ERR upstream sent a wrong number of values"),
        "{reply}"
    );
    let replies: [&[u8]; 2] = [b":1\r\n", b"+OK\r\n"];
    let reply = join(keyed(MergeRule::Sum, &[0, 1]), &replies, 1000);
    assert!(
        reply.starts_with("-ERR upstream sent a reply that doesn't fit"),
        "{reply}"
    );
}

#[test]
fn a_part_that_fails_is_reported_as_long_as_nothing_was_sent() {
    let mut out = Vec::new();
    let mut merge = keyed(MergeRule::Array, &[0, 1]);
    merge.feed(0, b"*1\r\n:1\r\n", &mut out);
    assert_eq!(
        merge.fail(1, b"-ERR upstream is down\r\n", &mut out),
        Ok(())
    );
    assert_eq!(out, b"-ERR upstream is down\r\n");
    assert!(merge.is_complete());

    let mut merge = keyed(MergeRule::Array, &[0, 1]);
    merge.feed(0, b"*1\r\n:1\r\n", &mut out);
    merge.feed(1, b"*1\r\n$9\r\n", &mut out);
    assert_eq!(merge.fail(0, b"-ERR\r\n", &mut out), Ok(()), "it had ended");
    assert_eq!(merge.fail(1, b"-ERR\r\n", &mut out), Err(BrokenReply));
}

#[test]
fn a_part_without_a_server_misses() {
    let mut out = Vec::new();
    let mut merge = keyed(MergeRule::Array, &[1, 0, 1]);
    merge.miss(1, &mut out);
    merge.feed(0, b"*1\r\n:1\r\n", &mut out);
    assert_eq!(out, b"*3\r\n$-1\r\n:1\r\n$-1\r\n");
    out.clear();
    let mut merge = values(&["a", "b"], &[0, 1]);
    merge.feed(0, b"VALUE a 0 1\r\nx\r\nEND\r\n", &mut out);
    merge.miss(1, &mut out);
    assert_eq!(out, b"VALUE a 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn bytes_that_wait_for_their_turn_are_bounded() {
    let mut out = Vec::new();
    let mut merge = keyed(MergeRule::Array, &[0, 1]);
    let value = vec![b'x'; 1_000_000];
    let reply = [b"*1\r\n$1000000\r\n", &value[..], b"\r\n"].concat();
    let held = merge.feed(1, &reply, &mut out);
    // The head, four bytes, is read and doesn't wait.
    let held = (held.used, held.state);
    assert_eq!(held, (PART_LIMIT + 4, FrameState::More));
    assert!(!merge.has_room(1) && out.is_empty());
    assert_eq!(merge.feed(1, &reply[PART_LIMIT + 4..], &mut out).used, 0);
    let first = merge.feed(0, &reply, &mut out);
    assert_eq!((first.used, first.state), (reply.len(), FrameState::Done));
    assert!(merge.has_room(1));
    let rest = merge.feed(1, &reply[PART_LIMIT + 4..], &mut out);
    assert_eq!(rest.state, FrameState::Done);
    assert_eq!(out.len(), 2 * (reply.len() - 4) + 4);
}

#[test]
fn the_reply_that_tells_the_end_is_kept_from_the_client() {
    for (replies, expected) in [
        ("MN\r\n", ""),
        ("NS O1\r\nMN\r\n", "NS O1\r\n"),
        ("VA 4 k\r\nMN\r\n\r\nMN\r\n", "VA 4 k\r\nMN\r\n\r\n"),
        (
            "CLIENT_ERROR invalid flag\r\nMN\r\n",
            "CLIENT_ERROR invalid flag\r\n",
        ),
        // A server that takes the block for commands.
        ("ERROR\r\nERROR\r\nMN\r\n", "ERROR\r\n"),
    ] {
        for chunk in 1..replies.len() {
            assert_eq!(
                join(ReplyMerge::fenced(), &[replies.as_bytes()], chunk),
                expected
            );
        }
    }
}

#[test]
fn an_eager_array_begins_when_a_part_is_full_and_ends_broken_when_a_later_one_is_an_error() {
    let value = vec![b'x'; 2 * PART_LIMIT];
    let big = [
        format!("*1\r\n${}\r\n", value.len()).as_bytes(),
        &value,
        b"\r\n",
    ]
    .concat();
    // The second part begins only when the first has been read to its end.
    let mut out = Vec::new();
    let mut merge = keyed(MergeRule::Array, &[0, 1]).eager();
    assert_eq!(merge.feed(0, &big, &mut out).state, FrameState::Done);
    assert!(out.starts_with(b"*2\r\n$"));
    assert_eq!(
        merge.feed(1, b"*1\r\n:1\r\n", &mut out).state,
        FrameState::Done
    );
    assert!(out.ends_with(b"x\r\n:1\r\n") && merge.is_complete());

    let mut merge = keyed(MergeRule::Array, &[0, 1]).eager();
    merge.feed(0, &big, &mut out);
    merge.feed(1, b"-ERR no\r\n", &mut out);
    assert!(merge.is_broken() && !merge.is_complete());

    // Nothing is full: an error is still the answer to the whole.
    out.clear();
    let mut merge = keyed(MergeRule::Array, &[0, 1]).eager();
    merge.feed(0, b"*1\r\n:1\r\n", &mut out);
    merge.feed(1, b"-ERR no\r\n", &mut out);
    assert_eq!(out, b"-ERR no\r\n");
}

proptest! {
    #[test]
    fn joined_values_are_those_of_one_server(
        keys in prop::collection::vec((0u32..3, prop::option::of("[\r\nEND0-9*$]{0,9}")), 1..8),
        chunk in 1usize..20,
    ) {
        // Every upstream is asked, and none answers an error.
        let all = (0..3).map(|part| (part, None)).chain(keys).collect::<Vec<_>>();
        let order: Vec<u32> = all.iter().map(|(part, _)| *part).collect();
        let names: Vec<String> = (0..all.len()).map(|at| format!("key{at}")).collect();
        let block = |at: usize, value: &Option<String>| match value {
            Some(value) => format!("VALUE key{at} 0 {}\r\n{value}\r\n", value.len()),
            None => String::new(),
        };
        let element = |value: &Option<String>| match value {
            Some(value) => format!("${}\r\n{value}\r\n", value.len()),
            None => "$-1\r\n".into(),
        };
        let of = |part: u32| all.iter().enumerate().filter(move |(_, (of, _))| *of == part);
        let blocks: Vec<String> = (0..3)
            .map(|part| of(part).map(|(at, (_, v))| block(at, v)).collect::<String>() + "END\r\n")
            .collect();
        let arrays: Vec<String> = (0..3)
            .map(|part| {
                let elements: String = of(part).map(|(_, (_, v))| element(v)).collect();
                format!("*{}\r\n{elements}", of(part).count())
            })
            .collect();
        let bytes = |replies: &[String]| replies.iter().map(|r| r.clone().into_bytes()).collect::<Vec<_>>();
        let whole: String = all.iter().enumerate().map(|(at, (_, v))| block(at, v)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let parts = bytes(&blocks);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(join(values(&names, &order), &parts, chunk), whole + "END\r\n");
        let whole: String = all.iter().map(|(_, v)| element(v)).collect();
        let parts = bytes(&arrays);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let expected = format!("*{}\r\n{whole}", all.len());
        prop_assert_eq!(join(keyed(MergeRule::Array, &order), &parts, chunk), expected);
    }
}
