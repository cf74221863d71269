//! Requests over the limit: streamed, or held whole up to a limit of their own.

use super::*;

/// Streams a large request; returns its route and its end.
fn stream(
    mut framer: RequestFramer,
    input: &[u8],
    arrived: usize,
    chunk: usize,
) -> (String, usize) {
    let mut scratch = RequestBuffers::default();
    let cut = framer.frame(&input[..arrived], &mut scratch);
    let route = summary(&cut);
    let RequestFrame::Large(mut large) = cut else {
        panic!("{route}");
    };
    let mut at = 0;
    for part in input.chunks(chunk) {
        let (used, done) = large.rest.feed(part).unwrap();
        at += used;
        if done {
            break;
        }
    }
    (route, at)
}

#[test]
fn a_request_over_the_limit_is_streamed_from_its_first_bytes() {
    let large = b"*1\r\nEND\r\n".repeat(300_000);
    for (words, arrived, expected) in [
        (&[&b"SET"[..], b"a", &large][..], 40, "large key a"),
        (&[b"MSET", b"a", &large], 40, "large key a"),
        (&[b"MSET", b"a", &large, b"b", b"c"], 40, "large only"),
        (&[b"RENAME", b"a", &large], 40, "large only"),
        (&[b"EVAL", &large, b"1", b"a"], 40, "large only"),
        (&[b"EVAL", b"x", b"1", b"a", &large], 60, "large key a"),
        (&[b"PING", &large], 40, "large refused"),
        (&[&large, b"a"], 40, "large only"),
    ] {
        let bytes = array(words);
        let input = [&bytes[..], b"*1\r\n$4\r\nPING\r\n"].concat();
        for chunk in [1000, 4096, input.len()] {
            let found = stream(RequestFramer::resp(), &input, arrived, chunk);
            assert_eq!(found, (expected.to_owned(), bytes.len()));
        }
    }
    let head = format!("set a 0 0 {}\r\n", large.len());
    let bytes = [head.as_bytes(), &large, b"\r\n"].concat();
    let input = [&bytes[..], b"get b\r\n"].concat();
    let found = stream(RequestFramer::memcached(), &input, head.len(), 5000);
    assert_eq!(found, ("large key a".to_owned(), bytes.len()));
}

#[test]
fn a_request_that_is_held_whole_has_a_limit_of_its_own() {
    let mset = |over: usize| {
        let head = "*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$67108816\r\n";
        format!(
            "{}{}\r\n",
            &head[..head.len() - 10],
            WHOLE_LIMIT - head.len() + over
        )
    };
    for (over, expected) in [(0, "incomplete"), (1, "large only")] {
        let (mut framer, mut buffers) = (RequestFramer::resp(), RequestBuffers::default());
        let input = mset(over);
        let first = summary(&framer.frame(input.as_bytes(), &mut buffers));
        assert_eq!((&first[..], framer.hold_whole()), ("large only", true));
        let second = summary(&framer.frame(input.as_bytes(), &mut buffers));
        assert_eq!(second, expected, "{input}");
        if over > 0 {
            assert!(!framer.hold_whole());
        }
    }
    // The next request has the lower limit again.
    let (mut framer, mut buffers) = (RequestFramer::resp(), RequestBuffers::default());
    let value = vec![b'v'; 2 * REQUEST_LIMIT];
    let input = array(&[b"MSET", b"a", &value, b"b", b"1"]);
    for _ in 0..2 {
        assert_eq!(summary(&framer.frame(&input, &mut buffers)), "large only");
        assert!(framer.hold_whole());
        let whole = summary(&framer.frame(&input, &mut buffers));
        assert_eq!(whole, format!("split Same a b {}", input.len()));
    }
}

#[test]
fn the_limit_itself_is_no_large_request() {
    for (over, expected) in [(0, "key a 1048576"), (1, "large key a")] {
        let head = "set a 0 0 1048555\r\n".len();
        let length = REQUEST_LIMIT - head - 2 + over;
        let input = format!("set a 0 0 {length}\r\n{}\r\n", "x".repeat(length));
        let cut = summary(
            &RequestFramer::memcached().frame(input.as_bytes(), &mut RequestBuffers::default()),
        );
        assert_eq!(cut, expected);
    }
}
