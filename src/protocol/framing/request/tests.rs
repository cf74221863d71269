mod binary;
mod large;
mod refused;

use proptest::prelude::*;

use super::frame::{REQUEST_LIMIT, WHOLE_LIMIT};
use super::*;
use crate::protocol::framing::reply::ReplyShape;

/// The frame in one line: `route keys [safe] bytes`.
fn summary(frame: &RequestFrame<'_>) -> String {
    match frame {
        RequestFrame::Request(request, consumed) => {
            let safe = if request.repeat_safe { " safe" } else { "" };
            let shape = match request.shape {
                ReplyShape::Resp | ReplyShape::Line => String::new(),
                shape => format!(" {shape:?}"),
            };
            format!("{}{shape}{safe} {consumed}", route(&request.route))
        }
        RequestFrame::Nothing(consumed) => format!("nothing {consumed}"),
        RequestFrame::Incomplete => "incomplete".into(),
        RequestFrame::Large(large) => format!("large {}", route(&large.route)),
        RequestFrame::Bad {
            reply,
            consumed,
            close,
        } => {
            let close = if *close { " close" } else { "" };
            format!("bad {} {consumed}{close}", reply.escape_ascii())
        }
    }
}

fn route(route: &Route<'_>) -> String {
    let list = |keys: &RequestKeys<'_>| -> String {
        keys.iter()
            .map(|key| format!(" {}", key.escape_ascii()))
            .collect()
    };
    match route {
        Route::Key(key) => format!("key {}", key.escape_ascii()),
        Route::Together(keys) => format!("together{}", list(keys)),
        Route::Split(join, keys) => format!("split {join:?}{}", list(keys)),
        Route::Any => "any".into(),
        Route::Only => "only".into(),
        Route::Every(join) => format!("every {join:?}"),
        Route::Scan => "scan".into(),
        Route::Local(LocalCommand::Resp(command, _)) => format!("local {command:?}"),
        Route::Local(LocalCommand::Memcached(command)) => format!("local {command:?}"),
        Route::Local(LocalCommand::Binary(request)) => format!("local {:?}", request.command),
        Route::Dedicated(why, keys) => format!("detach {why:?}{}", list(keys)),
        Route::Refused => "refused".into(),
    }
}

fn array(words: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    crate::protocol::resp::write_request(&mut out, words.iter().copied());
    out
}

/// The route of a command, its words between spaces; `""` is an empty one.
fn routed(command: &str) -> String {
    let words: Vec<&[u8]> = command
        .split(' ')
        .map(|word| {
            if word == "\"\"" {
                &b""[..]
            } else {
                word.as_bytes()
            }
        })
        .collect();
    let bytes = array(&words);
    let line = summary(&RequestFramer::resp().frame(&bytes, &mut RequestBuffers::default()));
    let (line, consumed) = line.rsplit_once(' ').unwrap();
    assert_eq!(consumed, bytes.len().to_string());
    line.to_owned()
}

#[test]
fn commands_of_redis_go_to_the_servers_of_their_keys() {
    for (command, expected) in [
        ("GET a", "key a safe"),
        ("get a", "key a safe"),
        ("SET a b EX 10", "key a"),
        ("MGET a", "key a safe"),
        ("MGET a b c", "split Array a b c safe"),
        ("MSET a 1 b 2", "split Same a b"),
        ("MSET a 1", "key a"),
        ("MSET a 1 b", "any"),
        ("MSETNX a 1 b 2", "together a b"),
        ("DEL a b", "split Sum a b"),
        ("EXISTS a a", "split Sum a a safe"),
        ("GET", "any safe"),
        ("RENAME a b", "together a b"),
        ("RENAME a", "any"),
        ("BITOP AND d a b", "together d a b"),
        ("EVAL x 0 a", "any"),
        ("EVAL x 1 a b", "key a"),
        ("EVAL x 2 a b c", "together a b"),
        ("EVAL x 3 a b", "any"),
        ("EVAL x -1 a b", "any"),
        ("EVAL x 99999999999999999999 a", "any"),
        ("EVAL x 9223372036854775807 a", "any"),
        ("ZUNIONSTORE d 2 a b WEIGHTS 1 2", "together d a b"),
        ("SORT a", "key a"),
        ("SORT a BY x STORE d STORE e", "together a e"),
        ("SORT a STORE", "key a"),
        ("GEORADIUS k 1 2 3 m STOREDIST e", "together k e"),
        ("MIGRATE h 1 k 0 5", "key k"),
        ("MIGRATE h 1 \"\" 0 5 KEYS a b", "together a b"),
        ("XREAD COUNT 1 STREAMS a b 0 0", "together a b safe"),
        (
            "XREAD COUNT 1 BLOCK 0 STREAMS a 0",
            "detach Blocking a safe",
        ),
        ("XREAD STREAMS block 0", "key block safe"),
        ("XREADGROUP GROUP streams c STREAMS a 0", "key a"),
        ("OBJECT ENCODING a", "key a"),
        ("OBJECT HELP", "any"),
        ("BLPOP a b 0", "detach Blocking a b"),
        ("MULTI", "detach Transaction"),
        ("WATCH a b", "detach Transaction a b"),
        ("SUBSCRIBE a b", "detach Subscribe a b"),
        ("CLIENT TRACKING on", "detach Tracking"),
        ("CLIENT SETNAME a", "local Client"),
        ("PUBLISH a b", "key a"),
        ("HELLO 3", "local Hello"),
        ("PING", "local Ping"),
        ("SCAN 0", "scan safe"),
        ("KEYS *", "every Concat safe"),
        ("DBSIZE", "every Sum safe"),
        ("FLUSHALL ASYNC", "every Same"),
        ("SCRIPT LOAD x", "every Same"),
        ("SCRIPT DEBUG YES", "refused"),
        ("SCRIPT EXISTS x", "every And"),
        ("SCRIPT KILL", "every OneSucceeded"),
        ("SCRIPT NOSUCH x", "any"),
        ("SCRIPT", "any"),
        ("config SET maxmemory 1", "every Same"),
        ("CONFIG GET maxmemory", "any"),
        ("ACL LOG RESET", "every Same"),
        ("ACL LOG 5", "every Concat"),
        ("ACL WHOAMI", "local WhoAmI"),
        ("PUBSUB NUMSUB a", "every PairSums"),
        ("MEMORY USAGE a", "key a"),
        ("MEMORY DOCTOR", "only"),
        ("SHUTDOWN", "only"),
        ("SYNC", "refused"),
        ("ASKING", "refused"),
        ("MODULE.COMMAND a b", "key a"),
        ("NOSUCH", "any"),
        ("AVERYLONGNAMEOFACOMMANDTHATNOBODYHAS a", "key a"),
    ] {
        assert_eq!(routed(command), expected, "{command}");
    }
}

/// The first frame of the input, read in one piece and byte by byte; both must agree.
fn both(new: fn() -> RequestFramer, input: &[u8]) -> String {
    let whole = summary(&new().frame(input, &mut RequestBuffers::default()));
    let (mut framer, mut scratch) = (new(), RequestBuffers::default());
    for end in 1..=input.len() {
        match framer.frame(&input[..end], &mut scratch) {
            RequestFrame::Incomplete => {}
            cut => {
                assert_eq!(summary(&cut), whole, "{} at {end}", input.escape_ascii());
                return whole;
            }
        }
    }
    assert_eq!(whole, "incomplete", "{}", input.escape_ascii());
    whole
}

#[test]
fn requests_in_resp_end_where_their_lengths_say() {
    for (input, expected) in [
        (
            &b"*2\r\n$3\r\nGET\r\n$9\r\nEND\r\n$5\r\n\r\n+more"[..],
            "key END\\r\\n$5\\r\\n safe 28",
        ),
        (b"GET a\r\nGET b\r\n", "key a safe 7"),
        (b"\r\nGET a\r\n", "nothing 2"),
        (b"*0\r\nGET", "nothing 4"),
        (b"*-1\r\n", "nothing 5"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nDEL a\r\n", "bad  17 close"),
        (b"host: a\r\nDEL a\r\n", "bad  9 close"),
        (b"*2\r\n$3\r\nGET\r\n", "incomplete"),
        (
            b"*1\r\n:1\r\n",
            "bad -ERR Protocol error: expected \\'$\\', got \\':\\'\\r\\n 0 close",
        ),
        (
            b"*x\r\n",
            "bad -ERR Protocol error: invalid multibulk length\\r\\n 0 close",
        ),
        (
            b"*1\r\n$99999999999999999999\r\n",
            "bad -ERR Protocol error: invalid bulk length\\r\\n 0 close",
        ),
        (
            b"SET a \"b\r\n",
            "bad -ERR Protocol error: unbalanced quotes in request\\r\\n 0 close",
        ),
    ] {
        assert_eq!(both(RequestFramer::resp, input), expected);
    }
}

#[test]
fn a_line_typed_by_hand_is_sent_on_as_an_array() {
    let mut scratch = RequestBuffers::default();
    let RequestFrame::Request(request, 20) =
        RequestFramer::resp().frame(b"set \"a b\" 'x\\'\" y'\r\n", &mut scratch)
    else {
        panic!("no request");
    };
    assert_eq!(request.bytes, array(&[b"set", b"a b", b"x'\" y"]));
}

#[test]
fn requests_of_memcached_end_where_their_lengths_say() {
    for (input, expected) in [
        (&b"get a\r\nget b\r\n"[..], "key a Values safe 7"),
        (b"gets a b a\r\n", "split Values a b a Values safe 12"),
        (b"gat 10 a\r\n", "key a Values 10"),
        (b"set a 0 0 9\r\nEND\r\nget \r\nmore", "key a 24"),
        (b"set a 0 0 1 noreply\r\nx\r\n", "key a Nothing 24"),
        (
            b"set a 0 0 1\r\nxy\r\n",
            "bad CLIENT_ERROR bad data chunk\\r\\n 16",
        ),
        (b"set a 0 0 1 noreply\r\nxyz", "bad  24"),
        (b"cas a 0 0 0 7\r\n\r\n", "key a 17"),
        (b"set a 0 0 5\r\nabc", "incomplete"),
        (b"incr a 1\r\n", "key a 10"),
        (b"delete a noreply\r\n", "key a Nothing 18"),
        (b"touch a 0\r\n", "key a 11"),
        (b"flush_all\r\n", "every Same 11"),
        (b"flush_all noreply\r\n", "every Same Nothing 19"),
        (b"version\r\n", "local Admin(Version) Nothing 9"),
        (b"nonsense\r\n", "bad ERROR\\r\\n 10"),
        (
            b"set a 0 0 -1\r\n",
            "bad CLIENT_ERROR bad command line format\\r\\n 14",
        ),
        (
            b"set a 0 0 99999999999999999999\r\n",
            "bad CLIENT_ERROR bad command line format\\r\\n 32",
        ),
        (
            b"get\r\n",
            "bad CLIENT_ERROR bad command line format\\r\\n 5",
        ),
        (b"mg a v\r\nmg b\r\n", "key a Meta safe 8"),
        (b"mg a v N30\r\n", "key a Meta 12"),
        (b"  mg  a  q  k\r\n", "bad ERROR\\r\\n 15"),
        (b"mg  a  q  k\r\n", "key a Fenced safe 13"),
        // The key that the base64 stands for; a text that is no base64 is the key itself.
        (b"md Zm9v b q\r\n", "key foo Fenced 13"),
        (b"md Zm9v! b\r\n", "key foo Meta 12"),
        (b"ms a 9 T5\r\nms b 1\r\n\n\r\nmore", "key a Meta 22"),
        (b"ms a 3 q\r\nabc\r\n", "key a Fenced 15"),
        (b"ms a 3\r\nab", "incomplete"),
        (
            b"ms a 3\r\nabcd\r\n",
            "bad CLIENT_ERROR bad data chunk\\r\\n 13",
        ),
        (
            b"ms a\r\n",
            "bad CLIENT_ERROR bad command line format\\r\\n 6",
        ),
        (
            b"ms a 99999999999\r\nabc\r\n",
            "bad CLIENT_ERROR bad command line format\\r\\n 18",
        ),
        (
            b"ms a 1 k k k k k k k k k k k k k k k k k\r\nx\r\n",
            "bad CLIENT_ERROR options flags are too long\\r\\n 42",
        ),
        // Every version of memcached reads the block behind these.
        (b"ms a 1 1 _\r\nx\r\n", "key a Meta 15"),
        (
            b"ms a 1 !\r\nx\r\n",
            "bad CLIENT_ERROR bad command line format\\r\\n 10",
        ),
        (
            b"ms a\0 3\r\nabc\r\n",
            "bad CLIENT_ERROR bad command line format\\r\\n 9",
        ),
        (b"mg \r\n", "any Meta safe 5"),
        (b"mn\r\n", "local Admin(MetaNoop) Nothing 4"),
        (b"mx a\r\n", "bad ERROR\\r\\n 6"),
    ] {
        assert_eq!(both(RequestFramer::memcached, input), expected);
    }
}

proptest! {
    #[test]
    fn requests_are_found_one_after_another_in_any_pieces(
        values in prop::collection::vec("[\r\n$*5END ]{0,12}", 1..6),
        size in 1usize..30,
        memcached in any::<bool>(),
    ) {
        let requests: Vec<Vec<u8>> = values
            .iter()
            .map(|value| match memcached {
                true => format!("set k 0 0 {}\r\n{value}\r\n", value.len()).into_bytes(),
                false => array(&[b"SET", b"k", value.as_bytes()]),
            })
            .collect();
        let bytes = requests.concat();
        let mut framer = if memcached { RequestFramer::memcached() } else { RequestFramer::resp() };
        let (mut scratch, mut start, mut found) = (RequestBuffers::default(), 0, Vec::new());
        let mut arrived = 0;
        while arrived < bytes.len() {
            arrived = (arrived + size).min(bytes.len());
            while start < arrived {
                match framer.frame(&bytes[start..arrived], &mut scratch) {
                    RequestFrame::Request(request, consumed) => {
                        prop_assert!(matches!(request.route, Route::Key(b"k")));
                        found.push(request.bytes.to_vec());
                        start += consumed;
                    }
                    RequestFrame::Incomplete => break,
                    cut => prop_assert!(false, "{}", summary(&cut)),
                }
            }
        }
        prop_assert_eq!(found, requests);
    }

    #[test]
    fn no_bytes_make_a_framer_fail(
        input in prop::collection::vec(prop::sample::select(&b"\r\n$*-0129 \"'getsETMVALmnS"[..]), 0..120),
    ) {
        for mut framer in [RequestFramer::resp(), RequestFramer::memcached()] {
            if let RequestFrame::Request(_, consumed) = framer.frame(&input, &mut RequestBuffers::default()) {
                prop_assert!(0 < consumed && consumed <= input.len());
            }
        }
    }
}
