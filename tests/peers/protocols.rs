//! Meta commands, the binary protocol, RESP and UDP through a node that isn't the owner.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};

use crate::group::{Group, LONG, found, get, set};
use crate::run::{PATIENCE, until};
use crate::support::binary::binary_request;

const OPTIONS: [&str; 4] = ["--peer-copy-ttl", LONG, "--peer-timeout", LONG];

fn resp(words: &[&str]) -> String {
    let words = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()));
    let words: Vec<String> = words.collect();
    format!("*{}\r\n{}", words.len(), words.concat())
}

#[test]
fn meta_commands_are_answered_as_by_the_owner() {
    let group = Group::start(&OPTIONS);
    for owner in [0, 1] {
        let key = group.key_of(owner);
        let mut talk = group.talk(0);
        let conversation = [
            ("mg K v\r\n", "EN\r\n"),
            ("mg K v q\r\nmn\r\n", "MN\r\n"),
            ("ms K 2 T100 F5 O9 k E70\r\nab\r\n", "HD O9 kK\r\n"),
            ("mg K v f O1 k c\r\n", "VA 2 f5 O1 kK c70\r\nab\r\n"),
            ("mg K O1 t s v\r\n", "VA 2 O1 t100 s2\r\nab\r\n"),
            ("ms K 1 C69\r\nx\r\n", "EX\r\n"),
            ("ms K 1 ME\r\nx\r\n", "NS\r\n"),
            ("ms K 1 MA q\r\nc\r\nmn\r\n", "MN\r\n"),
            ("md K I T30\r\n", "HD\r\n"),
            ("mg K t v\r\n", "VA 3 t30 X W\r\nabc\r\n"),
            ("mg K t\r\n", "HD t30 Z X\r\n"),
            ("md K\r\n", "HD\r\n"),
            ("md K q\r\nmd K O2\r\n", "NF\r\nNF O2\r\n"),
            ("ma K N60 J13 v t\r\n", "VA 2 t60\r\n13\r\n"),
            ("ma K D7 v\r\n", "VA 2\r\n20\r\n"),
            ("ma K MD q\r\nmg K v\r\n", "VA 2\r\n19\r\n"),
            ("mg K N30 v\r\n", "VA 2\r\n19\r\n"),
        ];
        for (request, reply) in conversation {
            talk.ask(request.replace('K', &key), &reply.replace('K', &key));
        }
    }
}

#[test]
fn a_mark_is_read_only_from_peers_and_other_flags_p_are_ignored() {
    let group = Group::start(&OPTIONS);
    let key = group.key_of(1);
    let mut other = group.talk(0);
    other.ask(set(&key, "v"), "STORED\r\n");
    other.ask(format!("mg {key} v P\r\n"), "VA 1\r\nv\r\n");
    other.ask(format!("mg {key} v Pproxy\r\n"), "VA 1\r\nv\r\n");
    assert_eq!(other.stat("peer_loops"), 0);
}

#[test]
fn the_binary_protocol_reaches_the_owner() {
    let status = |reply: &[u8]| u16::from_be_bytes([reply[6], reply[7]]);
    let group = Group::start(&OPTIONS);
    let key = group.key_of(1);
    let mut stream = TcpStream::connect(&group.addresses[0]).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let count = [&1u64.to_be_bytes()[..], &5u64.to_be_bytes(), &[0; 4]].concat();
    for (opcode, extras, value, expected, body) in [
        (0x02, &[0; 8][..], "7", 0, ""),
        (0x00, &[], "", 0, "\0\0\0\x007"),
        (0x05, &count, "", 0, "\0\0\0\0\0\0\0\x08"),
        (0x0e, &[], "x", 0, ""),
        (
            0x05,
            &count,
            "",
            6,
            "Non-numeric server-side value for incr or decr",
        ),
        (0x04, &[], "", 0, ""),
        (0x04, &[], "", 1, "Not found"),
        (0x1c, &[0; 4], "", 1, "Not found"),
    ] {
        let request = binary_request(opcode, extras, key.as_bytes(), value.as_bytes());
        stream.write_all(&request).expect("it is sent");
        let mut head = [0; 24];
        stream.read_exact(&mut head).expect("a header");
        let length = u32::from_be_bytes(head[8..12].try_into().expect("four bytes"));
        let mut got = vec![0; length as usize];
        stream.read_exact(&mut got).expect("a body");
        assert_eq!((head[0], head[1], status(&head)), (0x81, opcode, expected));
        assert_eq!(String::from_utf8_lossy(&got), body, "{opcode}");
    }
}

#[test]
fn redis_clients_read_through_set_and_delete_and_other_commands_are_refused() {
    let group = Group::start(&OPTIONS);
    let keys = [0, 1, 2].map(|node| group.key_of(node));
    let far = &keys[1];
    let mut redis = group.resp(0);
    let mut owner = group.talk(1);
    redis.ask(resp(&["SET", far, "v", "EX", "100"]), "+OK\r\n");
    owner.ask(format!("mg {far} v t\r\n"), "VA 1 t100\r\nv\r\n");
    redis.ask(resp(&["GET", far]), "$1\r\nv\r\n");
    redis.ask(resp(&["SET", far, "w", "NX"]), "$-1\r\n");
    redis.ask(resp(&["SETNX", far, "w"]), ":0\r\n");
    redis.ask(resp(&["SETEX", far, "50", "w"]), "+OK\r\n");
    redis.ask(resp(&["GET", far]), "$1\r\nw\r\n");
    redis.ask(resp(&["SET", &keys[0], "a"]), "+OK\r\n");
    redis.ask(resp(&["SET", &keys[2], "c"]), "+OK\r\n");
    redis.ask(
        resp(&["MGET", &keys[0], &keys[1], &keys[2]]),
        "*3\r\n$1\r\na\r\n$1\r\nw\r\n$1\r\nc\r\n",
    );
    redis.ask(
        resp(&["SET", far, "w", "GET", "EX"]),
        "-ERR syntax error\r\n",
    );
    let address = &group.addresses[1];
    for words in [
        &["SET", far, "w", "PX", "1500"][..],
        &["SET", far, "w", "KEEPTTL"],
        &["SET", far, "w", "GET"],
        &["HSET", far, "f", "v"],
        &["HGETALL", far],
        &["EXISTS", &keys[0], far],
        &["INCR", far],
        &["EXPIRE", far, "5"],
        &["RENAME", &keys[0], far],
    ] {
        let name = words[0].to_ascii_lowercase();
        redis.ask(
            resp(words),
            &format!(
                "-ERR the key of this '{name}' command belongs to the peer {address}, which has to be asked itself\r\n"
            ),
        );
    }
    redis.ask(resp(&["MULTI"]), "+OK\r\n");
    redis.ask(resp(&["SET", far, "x"]), "+QUEUED\r\n");
    redis.ask(
        resp(&["EXEC"]),
        &format!("*1\r\n-ERR the key of this 'set' command belongs to the peer {address}, which has to be asked itself\r\n"),
    );
    redis.ask(
        resp(&["DEL", &keys[0], &keys[1], &keys[2], "none"]),
        ":3\r\n",
    );
    for key in &keys {
        owner.ask(get(key), "END\r\n");
    }
    // Another database is this node's alone.
    redis.ask(resp(&["SELECT", "1"]), "+OK\r\n");
    redis.ask(resp(&["HSET", far, "f", "v"]), ":1\r\n");
    redis.ask(
        resp(&["SWAPDB", "0", "1"]),
        "-ERR SWAPDB is not possible with peers, which share database 0\r\n",
    );
}

#[test]
fn flushall_and_a_hash_of_redis_reach_the_peers() {
    let group = Group::start(&OPTIONS);
    let key = group.key_of(1);
    let (mut owner, mut other) = (group.resp(1), group.resp(0));
    owner.ask(resp(&["HSET", &key, "f", "1"]), ":1\r\n");
    other.ask(resp(&["HGET", &key, "f"]), "$1\r\n1\r\n");
    owner.ask(resp(&["HSET", &key, "f", "2"]), ":0\r\n");
    until("the copy is dropped", || {
        other.say(resp(&["HGET", &key, "f"]));
        other.hear("$1\r\n");
        other.until_end("\r\n") == "2\r\n"
    });
    other.ask(resp(&["FLUSHALL"]), "+OK\r\n");
    owner.ask(resp(&["EXISTS", &key]), ":0\r\n");
    let mut memcached = group.talk(0);
    memcached.ask(set(&key, "v"), "STORED\r\n");
    memcached.ask(get(&key), &found(&key, "v"));
}

#[test]
fn a_datagram_cannot_wait_for_a_peer() {
    let group = Group::start(&[&OPTIONS[..], &["--udp", "127.0.0.1:0"]].concat());
    let key = group.key_of(1);
    let udp = group.nodes[0]
        .as_ref()
        .expect("it runs")
        .address("udp")
        .to_owned();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.set_read_timeout(Some(PATIENCE)).expect("not zero");
    for (request, reply) in [
        (
            set(&key, "v"),
            "SERVER_ERROR the key is a peer's, and a command in a datagram can't wait for it\r\n",
        ),
        (get(&key), "END\r\n"),
    ] {
        let datagram = [b"\0\x07\0\0\0\x01\0\0", request.as_bytes()].concat();
        socket.send_to(&datagram, &udp).expect("it is sent");
        let mut got = [0; 1500];
        let length = socket.recv(&mut got).expect("a reply");
        assert_eq!(String::from_utf8_lossy(&got[8..length]), reply);
    }
}
