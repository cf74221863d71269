//! Items over memcached's 1 MiB: RESP takes them by default, memcached's clients where the limit allows.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use larder::Server;
use larder::server::Model;

const MIB: usize = 1 << 20;
const TOO_LARGE: &str = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";

struct Client(TcpStream);

impl Client {
    fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("connect");
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("a socket");
        Client(stream)
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("send");
    }

    fn expect(&mut self, reply: impl AsRef<[u8]>) {
        let reply = reply.as_ref();
        let mut arrived = vec![0; reply.len()];
        self.0.read_exact(&mut arrived).expect("a reply");
        let shown =
            |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(99)]).into_owned();
        assert!(arrived == reply, "{} for {}", shown(&arrived), shown(reply));
    }

    fn ask(&mut self, request: impl AsRef<[u8]>, reply: impl AsRef<[u8]>) {
        self.send(request);
        self.expect(reply);
    }
}

/// A request, or the array of a reply, with these words.
fn words(words: &[&[u8]]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend(bulk(word));
    }
    request
}

fn bulk(word: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", word.len()).as_bytes(), word, b"\r\n"].concat()
}

/// Bytes whose place in the value can be found, because they repeat after a prime number.
fn value(number: usize, size: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..251).map(|at| ((at + number) % 251) as u8).collect();
    let mut value = period.repeat(size / 251 + 1);
    value.truncate(size);
    value
}

fn both_models(test: impl Fn(Server)) {
    for model in [Model::Turns, Model::Threads] {
        let server = Server::builder().model(model).start();
        test(server.expect("a server on free ports"));
    }
}

#[test]
fn redis_clients_store_values_over_a_mebibyte_by_default() {
    both_models(|server| {
        let mut client = Client::connect(server.resp_addr());
        for (number, size) in [MIB, MIB + 1, 5 * MIB, 20 * MIB].into_iter().enumerate() {
            let value = value(number, size);
            client.ask(words(&[b"SET", b"k", &value]), "+OK\r\n");
            client.ask(words(&[b"GET", b"k"]), bulk(&value));
            client.ask(words(&[b"SETEX", b"x", b"100", &value]), "+OK\r\n");
            client.ask(words(&[b"GETDEL", b"x"]), bulk(&value));
        }
        let (a, b) = (value(1, 2 * MIB), value(2, 3 * MIB));
        client.ask(words(&[b"MSET", b"a", &a, b"b", &b]), "+OK\r\n");
        client.ask(words(&[b"MGET", b"a", b"b"]), words(&[&a, &b]));
        client.ask(words(&[b"HSET", b"h", b"f", &a, b"g", &b]), ":2\r\n");
        client.ask(words(&[b"HMGET", b"h", b"f", b"g"]), words(&[&a, &b]));
        client.ask(words(&[b"APPEND", b"a", &b]), format!(":{}\r\n", 5 * MIB));
        client.ask(words(&[b"GET", b"a"]), bulk(&[a, b].concat()));
        client.ask(
            words(&[b"SETRANGE", b"z", b"4000000", b"z"]),
            ":4000001\r\n",
        );
        client.ask("GETRANGE z 3999999 -1\r\n", "$2\r\n\0z\r\n");
    });
}

#[test]
fn half_of_the_memory_is_the_limit_of_a_redis_value() {
    both_models(|server| {
        let mut client = Client::connect(server.resp_addr());
        let limit = "*2\r\n$18\r\nproto-max-bulk-len\r\n$8\r\n33554432\r\n";
        client.ask("CONFIG GET proto-max-bulk-len\r\n", limit);
        // Key and value together.
        let most = value(0, 32 * MIB - 1);
        client.ask(words(&[b"SET", b"k", &most]), "+OK\r\n");
        client.ask(words(&[b"GET", b"k"]), bulk(&most));
        // It is replaced by another of its size.
        client.ask(words(&[b"SET", b"k", &most]), "+OK\r\n");
        client.ask(words(&[b"SET", b"kk", &most]), TOO_LARGE);
        let more = value(0, 32 * MIB + 1);
        client.ask(words(&[b"SET", b"k", &more]), TOO_LARGE);
        client.ask(words(&[b"SETEX", b"k", b"100", &more]), TOO_LARGE);
        client.ask("APPEND k x\r\n", TOO_LARGE);
        client.ask("SETRANGE k 33554432 x\r\n", TOO_LARGE);
        client.ask("STRLEN k\r\n", format!(":{}\r\n", most.len()));
        // The limit follows the memory, and can be set.
        client.ask("CONFIG SET maxmemory 16mb\r\n", "+OK\r\n");
        client.ask(words(&[b"SET", b"k", &value(0, 8 * MIB)]), TOO_LARGE);
        client.ask(words(&[b"SET", b"k", &value(0, 7 * MIB)]), "+OK\r\n");
        client.ask("CONFIG SET proto-max-bulk-len 2mb\r\n", "+OK\r\n");
        client.ask(words(&[b"SET", b"k", &value(0, 3 * MIB)]), TOO_LARGE);
        client.ask("STRLEN k\r\n", format!(":{}\r\n", 7 * MIB));
    });
}

#[test]
fn memcached_clients_keep_their_limit_and_read_larger_items() {
    both_models(|server| {
        let value = value(0, 3 * MIB);
        let mut redis = Client::connect(server.resp_addr());
        redis.ask(words(&[b"SET", b"k", &value]), "+OK\r\n");
        let mut client = Client::connect(server.memcached_addr());
        let found = [b"VALUE k 0 3145728\r\n", &value[..], b"\r\nEND\r\n"].concat();
        client.ask("get k\r\n", &found);
        // A refused change leaves it, except for `set`.
        client.ask("append k 0 0 1\r\nx\r\n", "NOT_STORED\r\n");
        client.ask("prepend k 0 0 1\r\nx\r\n", "NOT_STORED\r\n");
        let store = |verb: &str| {
            let line = format!("{verb} k 0 0 {}\r\n", value.len());
            [line.as_bytes(), &value, b"\r\n"].concat()
        };
        let refused = "SERVER_ERROR object too large for cache\r\n";
        client.ask(store("replace"), refused);
        client.ask("get k\r\n", &found);
        client.ask(store("set"), refused);
        client.ask("get k\r\n", "END\r\n");
    });
}

#[test]
fn an_item_of_80_mib_goes_in_by_one_protocol_and_out_by_the_other() {
    let server = Server::builder().memory(256 << 20);
    let server = server.max_item_size(100 << 20).start();
    let server = server.expect("a server on free ports");
    let value = value(0, 80 * MIB);
    let mut redis = Client::connect(server.resp_addr());
    let mut memcached = Client::connect(server.memcached_addr());
    redis.ask(words(&[b"SET", b"k", &value]), "+OK\r\n");
    let item = [b" k 0 83886080\r\n", &value[..], b"\r\n"].concat();
    memcached.ask("get k\r\n", [b"VALUE", &item[..], b"END\r\n"].concat());
    memcached.ask("set k 0 0 1\r\nx\r\n", "STORED\r\n");
    memcached.ask(format!("set k 0 0 {}\r\n", value.len()), "");
    memcached.ask([&value[..], b"\r\n"].concat(), "STORED\r\n");
    redis.ask(words(&[b"GET", b"k"]), bulk(&value));
}

#[test]
fn a_reply_is_of_the_value_that_was_there_whatever_happens_while_it_is_read() {
    both_models(|server| {
        let values = [0, 1, 2].map(|number| value(number, 20 * MIB));
        let changes: [(Vec<u8>, &str); 5] = [
            (words(&[b"SET", b"k", &values[1]]), "+OK\r\n"),
            (b"SETRANGE k 0 changed\r\n".to_vec(), ":20971520\r\n"),
            (b"APPEND k more\r\n".to_vec(), ":20971524\r\n"),
            (b"EXPIRE k 100\r\n".to_vec(), ":1\r\n"),
            (b"DEL k\r\n".to_vec(), ":1\r\n"),
        ];
        let line = format!("VALUE k 0 {}\r\n", values[0].len());
        let item = [line.as_bytes(), &values[0], b"\r\nEND\r\n"].concat();
        for (change, reply) in changes {
            let mut writer = Client::connect(server.resp_addr());
            writer.ask(words(&[b"SET", b"k", &values[0]]), "+OK\r\n");
            // The sockets don't hold the whole reply, so it is being written until its client reads.
            let mut redis = Client::connect(server.resp_addr());
            redis.send(words(&[b"MGET", b"k", b"none"]));
            redis.expect("*2\r\n$20971520\r\n");
            let mut memcached = Client::connect(server.memcached_addr());
            memcached.send("get k none\r\n");
            memcached.expect(&item[..10]);
            writer.ask(change, reply);
            redis.expect(&values[0]);
            redis.expect("\r\n$-1\r\n");
            memcached.expect(&item[10..]);
            redis.ask("PING\r\n", "+PONG\r\n");
            memcached.ask("get none\r\n", "END\r\n");
        }
        assert_eq!(server.store().len(0), 0);
    });
}

#[test]
fn pipelined_reads_of_large_and_small_values_are_answered_in_order() {
    both_models(|server| {
        let (large, small) = (value(0, 300_000), value(1, 10));
        let mut redis = Client::connect(server.resp_addr());
        redis.ask(words(&[b"MSET", b"a", &large, b"b", &small]), "+OK\r\n");
        let requests = b"GET a\r\nGET b\r\nMGET b a b a\r\nGET a\r\nPING\r\n".repeat(20);
        redis.send(requests);
        for _ in 0..20 {
            redis.expect([bulk(&large), bulk(&small)].concat());
            redis.expect(words(&[&small, &large, &small, &large]));
            redis.expect([&bulk(&large)[..], b"+PONG\r\n"].concat());
        }
        let mut memcached = Client::connect(server.memcached_addr());
        memcached.send("get b a b a\r\ngets none\r\nget a\r\nversion\r\n".repeat(20));
        let item = |key: &str, value: &[u8]| {
            let line = format!("VALUE {key} 0 {}\r\n", value.len());
            [line.as_bytes(), value, b"\r\n"].concat()
        };
        for _ in 0..20 {
            for _ in 0..2 {
                memcached.expect(item("b", &small));
                memcached.expect(item("a", &large));
            }
            memcached.expect("END\r\nEND\r\n");
            memcached.expect([&item("a", &large)[..], b"END\r\nVERSION "].concat());
            let mut rest = [0; 1];
            while rest != *b"\n" {
                memcached.0.read_exact(&mut rest).expect("a version");
            }
        }
        redis.send("MULTI\r\nGET a\r\nEXEC\r\nCLIENT REPLY SKIP\r\nGET a\r\nGET b\r\n");
        redis.expect("+OK\r\n+QUEUED\r\n*1\r\n");
        redis.expect([bulk(&large), bulk(&small)].concat());
    });
}
