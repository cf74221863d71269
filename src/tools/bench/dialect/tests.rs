//! Requests and replies as bytes.

use super::*;

fn written(dialect: Dialect, action: Action, ttl: u32) -> String {
    let mut out = Vec::new();
    dialect.write(&mut out, action, b"k", b"abc", ttl);
    String::from_utf8(out).expect("text")
}

#[test]
fn requests_are_those_of_a_client() {
    use Action::{Delete, Get, Set};
    use Dialect::{Memcached, Resp};
    for (dialect, action, ttl, bytes) in [
        (Memcached, Get, 0, "get k\r\n"),
        (Memcached, Set, 7, "set k 0 7 3\r\nabc\r\n"),
        (Memcached, Set, 9_000_000, "set k 0 2592000 3\r\nabc\r\n"),
        (Memcached, Delete, 0, "delete k\r\n"),
        (Resp, Get, 0, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
        (Resp, Set, 0, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nabc\r\n"),
        (
            Resp,
            Set,
            7,
            "*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nabc\r\n$2\r\nEX\r\n$1\r\n7\r\n",
        ),
        (Resp, Delete, 0, "*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n"),
    ] {
        assert_eq!(written(dialect, action, ttl), bytes);
    }
}

#[test]
fn a_reply_is_a_value_only_if_it_is_that_of_the_key() {
    use Action::{Delete, Get, Set};
    use Dialect::{Memcached, Resp};
    let refused = |line: &'static str| Reply::Refused(line.as_bytes());
    for (dialect, action, reply, meaning) in [
        (Memcached, Get, "END\r\n", Reply::Miss),
        (
            Memcached,
            Get,
            "VALUE k 0 3\r\nabc\r\nEND\r\n",
            Reply::Value(b"abc"),
        ),
        (
            Memcached,
            Get,
            "VALUE k 0 5\r\na\r\nbc\r\nEND\r\n",
            Reply::Value(b"a\r\nbc"),
        ),
        (
            Memcached,
            Get,
            "VALUE x 0 3\r\nabc\r\nEND\r\n",
            refused("VALUE x 0 3"),
        ),
        (
            Memcached,
            Get,
            "VALUE k 0 1\r\na\r\nVALUE k 0 1\r\na\r\nEND\r\n",
            refused("VALUE k 0 1"),
        ),
        (Memcached, Set, "STORED\r\n", Reply::Done),
        (
            Memcached,
            Set,
            "SERVER_ERROR out of memory\r\n",
            refused("SERVER_ERROR out of memory"),
        ),
        (Memcached, Delete, "NOT_FOUND\r\n", Reply::Miss),
        (Resp, Get, "$-1\r\n", Reply::Miss),
        (Resp, Get, "_\r\n", Reply::Miss),
        (Resp, Get, "$3\r\nabc\r\n", Reply::Value(b"abc")),
        (Resp, Get, "$0\r\n\r\n", Reply::Value(b"")),
        (Resp, Get, "-ERR no\r\n", refused("-ERR no")),
        (Resp, Set, "+OK\r\n", Reply::Done),
        (Resp, Set, "$-1\r\n", refused("$-1")),
        (Resp, Delete, ":1\r\n", Reply::Done),
    ] {
        assert_eq!(
            dialect.read(action, b"k", reply.as_bytes()),
            meaning,
            "{reply:?}"
        );
    }
}
#[test]
fn a_multi_get_is_one_request_with_an_answer_for_each_key() {
    let keys: [&[u8]; 3] = [b"a", b"b", b"a"];
    let written = |dialect: Dialect| {
        let mut out = Vec::new();
        dialect.write_multi_get(&mut out, keys.into_iter());
        String::from_utf8(out).expect("text")
    };
    assert_eq!(written(Dialect::Memcached), "get a b a\r\n");
    let mget = "*4\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\na\r\n";
    assert_eq!(written(Dialect::Resp), mget);
    let read = |dialect: Dialect, reply: &'static str| {
        dialect.read_multi_get(keys.into_iter(), reply.as_bytes())
    };
    let value = |text: &'static str| Some(text.as_bytes());
    for (dialect, reply, values) in [
        (Dialect::Memcached, "END\r\n", [None; 3]),
        (
            Dialect::Memcached,
            "VALUE a 0 1\r\nx\r\nVALUE a 0 3\r\ny\r\n\r\nEND\r\n",
            [value("x"), None, value("y\r\n")],
        ),
        // A proxy answers in another order.
        (
            Dialect::Memcached,
            "VALUE b 0 1\r\nz\r\nVALUE a 0 1\r\nx\r\nVALUE a 0 0\r\n\r\nEND\r\n",
            [value(""), value("z"), value("x")],
        ),
        (
            Dialect::Resp,
            "*3\r\n$1\r\nx\r\n$-1\r\n_\r\n",
            [value("x"), None, None],
        ),
    ] {
        assert_eq!(read(dialect, reply), Ok(values.to_vec()), "{reply:?}");
    }
    for (dialect, reply, line) in [
        (
            Dialect::Memcached,
            "VALUE c 0 1\r\nx\r\nEND\r\n",
            "VALUE c 0 1",
        ),
        (
            Dialect::Memcached,
            "VALUE b 0 1\r\nx\r\nVALUE b 0 1\r\nx\r\nEND\r\n",
            "VALUE b 0 1",
        ),
        (Dialect::Memcached, "SERVER_ERROR no\r\n", "SERVER_ERROR no"),
        (Dialect::Resp, "*2\r\n$-1\r\n$-1\r\n", "*2"),
        (Dialect::Resp, "-ERR no\r\n", "-ERR no"),
    ] {
        assert_eq!(read(dialect, reply), Err(line.as_bytes()), "{reply:?}");
    }
}
