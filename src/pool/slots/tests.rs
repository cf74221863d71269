//! Maps of a cluster's slots as servers report them.

use super::*;

#[test]
fn keys_have_the_slots_that_redis_cluster_gives_them() {
    // Answers of redis-server to CLUSTER KEYSLOT.
    for (key, expected) in [
        ("", 0),
        ("foo", 12182),
        ("user42", 14710),
        ("{user42}.name", 14710),
        ("a{}b{c}", 7353),
        ("a{{b}}c", 6215),
        ("123456789", 12739),
        ("a{b", 13340),
    ] {
        assert_eq!(slot(key.as_bytes()), expected, "{key}");
    }
    assert_eq!(crc16(b"123456789"), 0x31c3);
}

#[test]
fn redirections_are_read_and_nothing_else_is() {
    for (line, expected) in [
        (
            "-MOVED 3999 127.0.0.1:6381\r\n",
            Some(Redirect::Moved(3999, "127.0.0.1:6381")),
        ),
        (
            "-ASK 16383 [::1]:6381",
            Some(Redirect::Ask(16383, "[::1]:6381")),
        ),
        ("-MOVED 0 :7000\r\n", Some(Redirect::Moved(0, ":7000"))),
        ("-MOVED 16384 a:1\r\n", None),
        ("-MOVED -1 a:1\r\n", None),
        ("-MOVED 1 a\r\n", None),
        ("-MOVED 1 a:0\r\n", None),
        ("-MOVED 1 a:1 b\r\n", None),
        ("-MOVED 1\r\n", None),
        ("-MOVED\r\n", None),
        ("-ERR MOVED 1 a:1\r\n", None),
        ("+MOVED 1 a:1\r\n", None),
    ] {
        assert_eq!(Redirect::read(line.as_bytes()), expected, "{line}");
    }
}

#[test]
fn a_redirection_is_known_by_its_start_and_leads_to_an_address() {
    for (start, may_be) in [
        ("-", true),
        ("-MOV", true),
        ("-ASK 1 a:1\r\n", true),
        ("-ASKING", false),
        ("-ERR", false),
        ("$5", false),
    ] {
        assert_eq!(Redirect::may_be(start.as_bytes()), may_be, "{start}");
    }
    let long = format!("-MOVED 1 {}:1", "a".repeat(Redirect::LONGEST));
    assert!(!Redirect::may_be(long.as_bytes()));
    for (address, asked, target) in [
        ("10.0.0.1:7000", "b:1", "10.0.0.1:7000"),
        (":7000", "b:1", "b:7000"),
        (":7000", "[::1]:1", "[::1]:7000"),
        ("::1:7000", "b:1", "[::1]:7000"),
    ] {
        assert_eq!(Redirect::Moved(1, address).target(asked), target);
    }
}

#[test]
fn a_map_knows_the_server_of_each_slot() {
    let mut map = SlotMap::default();
    assert_eq!(map.server(0), None);
    map.assign(0, 8191, "a:1");
    map.assign(8192, 16383, "b:1");
    map.assign(100, 100, "b:1");
    map.assign(16000, 65535, "c:1");
    map.assign(16384, 65535, "d:1");
    map.assign(5, 4, "d:1");
    let found: Vec<_> = [0, 99, 100, 101, 8191, 8192, 15999, 16000, 16383, 16384]
        .map(|slot| map.server(slot))
        .into();
    let (a, b, c) = (Some(0), Some(1), Some(2));
    assert_eq!(found, [a, a, b, a, a, b, b, c, c, None]);
    assert_eq!(map.servers()[..3], ["a:1", "b:1", "c:1"]);
}

#[test]
fn slots_without_a_server_keep_the_one_that_they_had() {
    let mut before = SlotMap::default();
    before.assign(0, 99, "a:1");
    before.assign(100, 199, "b:1");
    let mut map = SlotMap::default();
    map.assign(50, 149, "c:1");
    map.fill_from(&before);
    let found = [0, 49, 50, 149, 150, 199, 200].map(|slot| map.server(slot));
    let (a, b, c) = (Some(1), Some(2), Some(0));
    assert_eq!(found, [a, a, c, c, b, b, None]);
    assert_eq!(map.servers(), ["c:1", "a:1", "b:1"]);
}

/// As redis-server 7.0 writes it; the last server has no host configured.
const REPLY: &str = "*3\r\n\
    *4\r\n:0\r\n:5460\r\n\
    *4\r\n$9\r\n127.0.0.1\r\n:7001\r\n$2\r\nid\r\n*2\r\n$8\r\nhostname\r\n$1\r\na\r\n\
    *4\r\n$9\r\n127.0.0.1\r\n:7004\r\n$2\r\nid\r\n*0\r\n\
    *3\r\n:5461\r\n:5461\r\n*4\r\n$9\r\n127.0.0.2\r\n:7001\r\n$2\r\nid\r\n*0\r\n\
    *3\r\n:5463\r\n:16383\r\n*4\r\n$0\r\n\r\n:7003\r\n$2\r\nid\r\n*0\r\n";

#[test]
fn the_reply_to_cluster_slots_is_a_map() {
    let map = SlotMap::read(REPLY.as_bytes(), "10.0.0.1").unwrap();
    assert_eq!(
        map.servers(),
        ["127.0.0.1:7001", "127.0.0.2:7001", "10.0.0.1:7003"]
    );
    let found = [0, 5460, 5461, 5462, 5463, 16383].map(|slot| map.server(slot));
    assert_eq!(found, [Some(0), Some(0), Some(1), None, Some(2), Some(2)]);
    assert_eq!(SlotMap::read(b"*0\r\n", "a"), Some(SlotMap::default()));
}

#[test]
fn another_reply_is_no_map() {
    for end in 0..REPLY.len() {
        assert_eq!(SlotMap::read(&REPLY.as_bytes()[..end], "a"), None, "{end}");
    }
    for (from, to) in [
        (":16383", ":16384"),
        (":0\r", ":-1\r"),
        ("*3\r\n:5461", "*1\r\n:5461"),
        (":7001", ":70010"),
    ] {
        assert_eq!(
            SlotMap::read(REPLY.replacen(from, to, 1).as_bytes(), "a"),
            None,
            "{from}"
        );
    }
    assert_eq!(SlotMap::read(format!("{REPLY}x").as_bytes(), "a"), None);
    assert_eq!(
        SlotMap::read(b"-ERR This instance has cluster support disabled\r\n", "a"),
        None
    );
}
