//! One store behind two protocols: Redis's clients read the items of memcached's clients, and the other way round.
//!
//! Both services run without sockets, on one store, with a clock that the test moves.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use larder::Server;
use larder::server::{Connections, Peer, Service, Session};
use larder::service::memcached::{self, Memcached};
use larder::service::resp::{self, Resp};
use larder::store::{Clock, Config, Store};

/// A client of each kind, on one store.
struct Both {
    memcached: Box<dyn Session>,
    redis: Box<dyn Session>,
    clock: Clock,
}

fn both() -> Both {
    let clock = Clock::manual(1_795_000_000_000);
    let store = Arc::new(Store::new(Config::default(), clock.clone()));
    let connections = Connections::new();
    let memcached = memcached::Settings::default();
    let memcached = Memcached::new(store.clone(), connections.clone(), memcached);
    let redis = Resp::new(store, connections, resp::Settings::default());
    Both {
        memcached: memcached.open(Peer::detached()),
        redis: redis.open(Peer::detached()),
        clock,
    }
}

/// Sends lines, ended by CRLF, and returns the reply with its line ends as spaces.
fn ask(session: &mut dyn Session, lines: &str) -> String {
    let input = format!("{lines}\r\n").into_bytes();
    let mut output = Vec::new();
    let turn = session.turn(&input, &mut output);
    assert_eq!(turn.consumed, input.len(), "all of {lines:?} is a request");
    let reply = String::from_utf8(output).expect("these replies are text");
    reply.replace("\r\n", " ").trim_end().to_owned()
}

impl Both {
    fn memcached(&mut self, lines: &str, reply: &str) -> &mut Both {
        assert_eq!(
            ask(&mut *self.memcached, lines),
            reply,
            "memcached: {lines}"
        );
        self
    }

    fn redis(&mut self, line: &str, reply: &str) -> &mut Both {
        assert_eq!(ask(&mut *self.redis, line), reply, "redis: {line}");
        self
    }
}

#[test]
fn a_memcached_item_is_a_redis_string() {
    both()
        .memcached("set a 7 0 5\r\nhello", "STORED")
        .redis("GET a", "$5 hello")
        .redis("TYPE a", "+string")
        .redis("APPEND a !", ":6")
        .memcached("get a", "VALUE a 7 6 hello! END")
        .redis("SET a 41", "+OK")
        .memcached("get a", "VALUE a 0 2 41 END")
        .memcached("incr a 1", "42")
        .redis("INCR a", ":43")
        .memcached("delete a", "DELETED")
        .redis("EXISTS a", ":0");
}

#[test]
fn memcached_is_database_number_0() {
    both()
        .redis("SELECT 1", "+OK")
        .redis("SET a 1", "+OK")
        .memcached("get a", "END")
        .redis("MOVE a 0", ":1")
        .memcached("get a", "VALUE a 0 1 1 END")
        .redis("GET a", "$-1")
        .redis("SWAPDB 0 1", "+OK")
        .redis("GET a", "$1 1")
        .memcached("get a", "END");
}

#[test]
fn a_child_is_a_field() {
    both()
        .memcached("set user 0 0 5\r\nusers", "STORED")
        .redis("TYPE user", "+string")
        .memcached("set user name 0 0 3\r\nann", "STORED")
        .redis("TYPE user", "+hash")
        .redis("HGET user name", "$3 ann")
        .redis("HSET user age 42", ":1")
        .redis("HGETALL user", "*4 $4 name $3 ann $3 age $2 42")
        .memcached("getn user age", "VALUE user age 0 2 42 END")
        .memcached("getch user", "VALUE user 0 14 [\"name\",\"age\"] END");
}

#[test]
fn a_redis_hash_is_an_item_without_a_value() {
    both()
        .redis("HSET user name ann", ":1")
        .memcached("get user", "END")
        .memcached("getn user name", "VALUE user name 0 3 ann END")
        .memcached("getch user", "VALUE user 0 8 [\"name\"] END")
        .memcached("set user name 5 0 3\r\nbob", "STORED")
        .redis("HGET user name", "$3 bob")
        .memcached("deln user name", "DELETED")
        .redis("EXISTS user", ":0");
}

#[test]
fn an_item_with_a_value_and_fields_is_both() {
    both()
        .memcached("set user 0 0 5\r\nusers", "STORED")
        .memcached("set user name 0 0 3\r\nann", "STORED")
        .redis("GET user", "$5 users")
        .redis("HLEN user", ":1")
        .redis("HDEL user name", ":1")
        .redis("TYPE user", "+string")
        .redis(
            "HSET user name bob",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        )
        .redis("GET user", "$5 users");
}

#[test]
fn set_replaces_an_item_with_its_fields_over_either_protocol() {
    both()
        .redis("HSET user name ann", ":1")
        .memcached("set user 0 0 1\r\nx", "STORED")
        .memcached("getn user name", "END")
        .memcached("set user name 0 0 3\r\nann", "STORED")
        .redis("SET user y", "+OK")
        .memcached("getn user name", "END")
        .redis("GET user", "$1 y");
}

#[test]
fn fields_that_memcached_lets_expire_go_from_the_hash_and_the_hash_with_the_last() {
    let mut both = both();
    both.redis("HSET user name ann", ":1")
        .memcached("set user session 0 10 1\r\nx", "STORED")
        .memcached("set user name 0 20 3\r\nann", "STORED")
        .redis("HLEN user", ":2");
    both.clock.advance(Duration::from_secs(10));
    both.redis("HKEYS user", "*1 $4 name")
        .redis("HGET user session", "$-1")
        .redis("HSCAN user 0", "*2 $1 0 *2 $4 name $3 ann");
    both.clock.advance(Duration::from_secs(10));
    both.redis("EXISTS user", ":0").redis("TYPE user", "+none");
}

#[test]
fn a_field_that_is_stored_by_redis_no_longer_expires() {
    let mut both = both();
    both.redis("HSET user name ann", ":1")
        .memcached("set user n 0 10 1\r\n1", "STORED")
        .memcached("set user m 0 10 1\r\n1", "STORED")
        .redis("HINCRBY user n 1", ":2")
        .redis("HSET user m 2", ":0");
    both.clock.advance(Duration::from_secs(10));
    both.redis("HGET user m", "$1 2")
        .redis("HGET user n", "$-1");
}

#[test]
fn expiry_is_one_time_for_both() {
    let mut both = both();
    both.memcached("set a 0 100 1\r\nx", "STORED")
        .redis("TTL a", ":100")
        .redis("EXPIRE a 10", ":1");
    both.clock.advance(Duration::from_secs(10));
    both.memcached("get a", "END");
}

#[test]
fn a_nested_tree_is_renamed_copied_and_moved_whole() {
    both()
        .memcached("set a 0 0 1\r\n1", "STORED")
        .memcached("set a b 3 0 1\r\n2", "STORED")
        .memcached("set a b c 4 0 1\r\n3", "STORED")
        .redis("RENAME a x", "+OK")
        .memcached("getn x b c", "VALUE x b c 4 1 3 END")
        .memcached("getn a b c", "END")
        .redis("COPY x y", ":1")
        .memcached("getn y b c", "VALUE y b c 4 1 3 END")
        .redis("MOVE x 1", ":1")
        .memcached("getn x b", "END")
        .redis("SELECT 1", "+OK")
        .redis("HGET x b", "$1 2");
}

#[test]
fn a_transaction_sees_memcacheds_changes_in_a_hash() {
    both()
        .redis("HSET user name ann", ":1")
        .redis("WATCH user", "+OK")
        .memcached("set user name 0 0 3\r\nbob", "STORED")
        .redis("MULTI", "+OK")
        .redis("HSET user name eve", "+QUEUED")
        .redis("EXEC", "*-1")
        .redis("HGET user name", "$3 bob");
}

#[test]
fn memcached_s_commands_change_a_watched_key_also_if_they_undo_it() {
    let mut both = both();
    both.redis("WATCH a", "+OK")
        .memcached("set a 0 0 1\r\n1", "STORED")
        .memcached("delete a", "DELETED")
        .redis("MULTI\r\nPING\r\nEXEC", "+OK +QUEUED *-1")
        .memcached("set user 0 0 5\r\nusers", "STORED")
        .redis("WATCH user", "+OK")
        .memcached("set user name 0 0 3\r\nann", "STORED")
        .memcached("deln user name", "DELETED")
        .redis("MULTI\r\nPING\r\nEXEC", "+OK +QUEUED *-1")
        .redis("WATCH a", "+OK")
        .memcached("get a", "END")
        .redis("MULTI\r\nPING\r\nEXEC", "+OK +QUEUED *1 +PONG");
}

/// Connects, sends a line, and returns the reply with the connection.
fn connect_and_ask(address: SocketAddr, line: &str, reply: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).expect("connected");
    client.write_all(line.as_bytes()).expect("sent");
    let mut read = vec![0; reply.len()];
    client.read_exact(&mut read).expect("a reply");
    assert_eq!(String::from_utf8_lossy(&read), reply);
    client
}

/// These counts were left as they were. With sockets, because the server around the services has them.
#[test]
fn both_resets_set_the_counts_of_connections_and_bytes_to_zero() {
    let server = Server::start().expect("a server on free ports");
    let (memcached, redis) = (server.memcached_addr(), server.resp_addr());
    let resets = [
        (memcached, "stats reset\r\n", "RESET\r\n"),
        (redis, "CONFIG RESETSTAT\r\n", "+OK\r\n"),
    ];
    // A reply is counted after it is written, so its client may have it before.
    let await_written = |bytes: usize| {
        let begun = Instant::now();
        while server.connections().bytes_written() != bytes as u64 {
            assert!(begun.elapsed() < Duration::from_secs(60), "{bytes} bytes");
            thread::sleep(Duration::from_millis(1));
        }
    };
    let mut written = 0;
    for (address, reset, answer) in resets {
        let _other = connect_and_ask(memcached, "mn\r\n", "MN\r\n");
        await_written(written + "MN\r\n".len());
        assert!(server.connections().bytes_read() >= 4);
        assert!(server.connections().total() > 0);
        let _client = connect_and_ask(address, reset, answer);
        assert_eq!(server.connections().bytes_read(), 0);
        assert_eq!(server.connections().total(), 0);
        // The answer to the reset is counted after the reset.
        await_written(answer.len());
        written = answer.len();
    }
}
