//! A store that is full and refuses: memcached's clients and Redis's clients get the replies of memcached -M and of a Redis with
//! noeviction, the items stay, and the memory stays within its bound. The real servers answer the same.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder::Server;
use larder::server::{Listen, Model};
use larder::store::WhenFull;
use support::binary::binary_request;
use support::{Kind, Peer};
use tempfile::TempDir;

const VALUE: usize = 8192;
const NO_MEMORY: &str = "SERVER_ERROR out of memory storing object\r\n";
const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

/// larder in this process, with memcached's protocols and RESP on two sockets.
struct Full {
    server: Server,
    directory: TempDir,
}

impl Full {
    fn new(model: Model) -> Full {
        let directory = tempfile::tempdir().unwrap();
        let socket = |name| Some(Listen::Unix(directory.path().join(name)));
        let builder = Server::builder().memory(2 << 20).model(model);
        let builder = builder.memcached(socket("memcached")).resp(socket("resp"));
        let builder = builder.when_full(WhenFull::Refuse);
        Full {
            server: builder.max_item_size(1 << 20).start().unwrap(),
            directory,
        }
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn check(&self) {
        let stats = self.server.store().stats();
        assert!(stats.bytes <= stats.limit);
        assert_eq!(stats.evictions, 0);
    }
}

struct Client(BufReader<UnixStream>);

impl Client {
    fn connect(path: &Path) -> Client {
        let stream = UnixStream::connect(path).unwrap();
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).unwrap();
        Client(BufReader::new(stream))
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// Sends a line and returns the first line of the reply.
    fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.line()
    }

    /// The reply to a storage command of memcached.
    fn store(&mut self, verb: &str, key: &str, length: usize) -> String {
        let value = "v".repeat(length);
        self.send(format!("{verb} {key} 0 0 {length}\r\n{value}\r\n").as_bytes());
        self.line()
    }

    /// Whether memcached has an item of this length.
    fn has(&mut self, key: &str, length: usize) -> bool {
        let first = self.ask(&format!("get {key}"));
        if first == "END\r\n" {
            return false;
        }
        assert_eq!(first, format!("VALUE {key} 0 {length}\r\n"));
        self.skip(length + "\r\nEND\r\n".len());
        true
    }

    fn skip(&mut self, bytes: usize) {
        self.0.read_exact(&mut vec![0; bytes]).unwrap();
    }

    /// The value of a line of statistics.
    fn stat(&mut self, command: &str, name: &str) -> String {
        let mut value = String::new();
        let mut line = self.ask(command);
        while line != "END\r\n" {
            if let Some(found) = line.strip_prefix(&format!("STAT {name} ")) {
                value = found.trim_end().to_owned();
            }
            line = self.line();
        }
        value
    }
}

/// larder takes a value that is as long as the old one, in its place; memcached needs new room for it.
fn talk_to_memcached(path: &Path, refused_length: usize) {
    let mut client = Client::connect(path);
    let mut count = 0;
    let refusal = loop {
        match client.store("set", &format!("k{count}"), VALUE) {
            stored if stored == "STORED\r\n" => count += 1,
            refusal => break refusal,
        }
    };
    assert_eq!(refusal, NO_MEMORY);
    assert!(count > 100, "{count} items");
    // The parts of larder's store may need a few bytes more or less for one more item.
    let mut names = (0..100).map(|number| format!("new{number}"));
    let new = names.find(|key| client.store("set", key, VALUE) == NO_MEMORY);
    let new = &new.expect("the store is full");
    for verb in ["set", "add", "cas"] {
        let key = if verb == "cas" { "k1" } else { new };
        let line = format!(
            "{verb} {key} 0 0 {VALUE}{}",
            if verb == "cas" { " 1" } else { "" }
        );
        client.send(format!("{line}\r\n{}\r\n", "v".repeat(VALUE)).as_bytes());
        let reply = client.line();
        // larder looks at the cas unique first.
        assert!(
            reply == NO_MEMORY || verb == "cas" && reply == "EXISTS\r\n",
            "{verb}: {reply}"
        );
    }
    assert_eq!(client.store("append", "k0", VALUE), NO_MEMORY);
    assert_eq!(client.store("replace", "k0", refused_length), NO_MEMORY);
    assert!((0..count).all(|number| client.has(&format!("k{number}"), VALUE)));
    assert_eq!(client.ask("touch k0 1000"), "TOUCHED\r\n");
    // A set that is refused leaves no old value, which its client would take for the new one.
    assert_eq!(client.store("set", "k0", refused_length), NO_MEMORY);
    assert!(!client.has("k0", VALUE));
    for number in 1..8 {
        assert_eq!(client.ask(&format!("delete k{number}")), "DELETED\r\n");
    }
    assert_eq!(client.store("set", new, VALUE), "STORED\r\n");
    assert!(client.has(new, VALUE));
    assert_eq!(client.stat("stats", "evictions"), "0");
    assert_eq!(client.stat("stats settings", "evictions"), "off");
    assert_ne!(client.stat("stats", "store_no_memory"), "0");
}

#[test]
fn memcached_clients_of_a_full_store_get_the_replies_of_memcached() {
    for model in [Model::Turns, Model::Threads] {
        let full = Full::new(model);
        talk_to_memcached(&full.socket("memcached"), 2 * VALUE);
        full.check();
    }
    let options = ["-M", "-m", "2", "-o", "slab_automove=0"].map(str::to_owned);
    for kind in [Kind::Memcached, Kind::NewMemcached] {
        match Peer::start(kind, &options).unwrap() {
            Some(peer) => talk_to_memcached(peer.socket(), VALUE),
            None => support::skipped_without(kind, "-M was not compared"),
        }
    }
}

/// The commands that Redis refuses when it is full.
const REFUSED: [&str; 20] = [
    "SET k0 x",
    "SET new x",
    "SETNX new x",
    "SETEX new 10 x",
    "PSETEX new 10 x",
    "GETSET k0 x",
    "INCR new",
    "DECRBY new 2",
    "INCRBYFLOAT new 1.5",
    "APPEND k0 x",
    "SETRANGE k0 0 x",
    "MSET k0 1 new 2",
    "MSETNX new 1 more 2",
    "HSET h f w",
    "HSET h f w g x",
    "HMSET h g w",
    "HSETNX h g w",
    "HINCRBY h n 1",
    "HINCRBYFLOAT h n 1",
    "COPY k0 copy",
];

/// Commands that it runs, and the first lines of their replies.
const ANSWERED: [(&str, &str); 14] = [
    ("PING", "+PONG\r\n"),
    ("STRLEN k0", ":8192\r\n"),
    ("EXISTS new more copy", ":0\r\n"),
    ("HLEN h", ":1\r\n"),
    ("EXPIRE k0 1000", ":1\r\n"),
    ("PERSIST k0", ":1\r\n"),
    ("RENAME k0 r", "+OK\r\n"),
    ("RENAME r k0", "+OK\r\n"),
    (
        "SET new",
        "-ERR wrong number of arguments for 'set' command\r\n",
    ),
    ("MULTI", "+OK\r\n"),
    ("GET k0", OOM),
    (
        "EXEC",
        "-EXECABORT Transaction discarded because of previous errors.\r\n",
    ),
    ("MULTI", "+OK\r\n"),
    ("EXEC", "*0\r\n"),
];

fn talk_to_redis(path: &Path, mebibytes: usize) {
    let mut client = Client::connect(path);
    let memory = format!("CONFIG SET maxmemory {mebibytes}mb maxmemory-policy noeviction");
    assert_eq!(client.ask(&memory), "+OK\r\n");
    client.send(b"CONFIG GET maxmemory-policy\r\n");
    let lines = ["*2", "$16", "maxmemory-policy", "$10", "noeviction"];
    assert!(
        lines
            .iter()
            .all(|line| client.line() == format!("{line}\r\n"))
    );
    assert_eq!(client.ask("HSET h f v"), ":1\r\n");
    let value = "v".repeat(VALUE);
    let mut count = 0;
    let refusal = loop {
        match client.ask(&format!("SET k{count} {value}")) {
            stored if stored == "+OK\r\n" => count += 1,
            refusal => break refusal,
        }
    };
    assert_eq!(refusal, OOM);
    assert!(count > 100, "{count} keys");
    // Redis's buffers come and go, and in larder a small value may still fit. Now the memory is over the limit for sure.
    let less = format!("CONFIG SET maxmemory {}kb", (mebibytes << 10) - 100);
    assert_eq!(client.ask(&less), "+OK\r\n");
    for command in REFUSED {
        assert_eq!(client.ask(command), OOM, "{command}");
    }
    for (command, reply) in ANSWERED {
        assert_eq!(client.ask(command), reply, "{command}");
    }
    for number in 0..count {
        assert_eq!(client.ask(&format!("STRLEN k{number}")), ":8192\r\n");
    }
    let keys: String = (0..40).map(|number| format!(" k{number}")).collect();
    assert_eq!(client.ask(&format!("DEL{keys}")), ":40\r\n");
    assert_eq!(client.ask(&format!("SET new {value}")), "+OK\r\n");
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    assert_eq!(client.ask("SET k0 1"), "+QUEUED\r\n");
    let mut other = Client::connect(path);
    assert_eq!(other.ask("CONFIG SET maxmemory 1mb"), "+OK\r\n");
    let aborted = format!("-EXECABORT Transaction discarded because of: {}", &OOM[1..]);
    assert_eq!(client.ask("EXEC"), aborted);
    assert_eq!(client.ask("EXISTS k0 new"), ":1\r\n");
}

#[test]
fn redis_clients_of_a_full_store_get_the_replies_of_redis() {
    for model in [Model::Turns, Model::Threads] {
        let full = Full::new(model);
        talk_to_redis(&full.socket("resp"), 2);
        assert_eq!(full.server.store().stats().evictions, 0);
        let mut client = Client::connect(&full.socket("resp"));
        let evict = "CONFIG SET maxmemory-policy allkeys-s3fifo";
        assert_eq!(client.ask(evict), "+OK\r\n");
        assert_eq!(client.ask("SET more x"), "+OK\r\n");
        assert!(
            full.server.store().stats().evictions > 0,
            "to the limit of 1mb"
        );
    }
    match Peer::start(Kind::Redis, &[]).unwrap() {
        Some(peer) => talk_to_redis(peer.socket(), 4),
        None => support::skipped_without(Kind::Redis, "noeviction was not compared"),
    }
}

/// memcached's clients fill the store with numbers, which can't grow any more, and with empty room for nothing else.
#[test]
fn the_other_protocols_of_memcached_answer_a_full_store_as_memcached_does() {
    let full = Full::new(Model::Turns);
    let mut client = Client::connect(&full.socket("memcached"));
    let mut count = 0;
    while client.ask(&format!("set n{count} 0 0 7\r\n9999999")) == "STORED\r\n" {
        count += 1;
    }
    assert!(count > 10_000, "{count} numbers");
    // Some parts of the store need a few bytes more or less for one more item; now none has them.
    full.server.store().set_memory((2 << 20) - (64 << 10));
    assert_eq!(client.ask("incr n0 1"), "10000000\r\n", "in the same room");
    assert_eq!(
        client.ask("incr n1 99999999999999"),
        "SERVER_ERROR out of memory\r\n"
    );
    assert_eq!(
        client.ask("ma n1 D99999999999999"),
        "SERVER_ERROR out of memory\r\n"
    );
    assert_eq!(
        client.ask("ma new N0 J5"),
        "SERVER_ERROR Out of memory allocating new item\r\n"
    );
    assert_eq!(client.ask("mg new N30 v"), "EN\r\n");
    assert_eq!(
        client.ask("ms n1 30 q\r\n012345678901234567890123456789"),
        NO_MEMORY
    );
    assert_eq!(client.ask("mg n1 v"), "EN\r\n");
    assert_eq!(client.ask("md n2"), "HD\r\n");
    let binary = |opcode: u8, extras: &[u8], key: &str, value: &str| {
        binary_request(opcode, extras, key.as_bytes(), value.as_bytes())
    };
    let number = [&1u64.to_be_bytes()[..], &5u64.to_be_bytes(), &[0; 4]].concat();
    let large = [&(1u64 << 60).to_be_bytes()[..], &[0; 12]].concat();
    for (request, text) in [
        (
            binary(0x01, &[0; 8], "n3", &"x".repeat(30)),
            "Out of memory allocating item",
        ),
        (
            binary(0x0e, &[], "n4", &"x".repeat(30)),
            "Out of memory allocating item",
        ),
        (
            binary(0x05, &large, "n5", ""),
            "Out of memory incrementing value",
        ),
        (
            binary(0x05, &number, "new", ""),
            "Out of memory allocating new item",
        ),
    ] {
        let mut client = Client::connect(&full.socket("memcached"));
        client.send(&request);
        let mut header = [0; 24];
        client.0.read_exact(&mut header).unwrap();
        assert_eq!(header[6..8], [0, 0x82]);
        let mut body = vec![0; text.len()];
        client.0.read_exact(&mut body).unwrap();
        assert_eq!(String::from_utf8_lossy(&body), text);
    }
    assert!(!client.has("n3", 7), "a refused set removes the old value");
    assert!(client.has("n4", 7) && client.has("n5", 7));
    assert_eq!(full.server.store().stats().evictions, 0);
}
