//! `larder invalidate` in front of caches that speak only memcached's binary protocol: a memcached with `-B binary`, and a
//! larder whose users log in by SASL.

mod invalidate_support;
mod proxy_support;
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use invalidate_support::{Program, directory};
use larder::SpokenProtocol;
use larder::server::Listen;
use proxy_support::{Real, eventually, free_port};
use support::binary::binary_request;

/// A connection in the binary protocol.
struct Binary(TcpStream);

impl Binary {
    fn connect(address: SocketAddr) -> Binary {
        let stream = TcpStream::connect(address).unwrap();
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).unwrap();
        Binary(stream)
    }

    /// The status and the body of the reply to a request.
    fn ask(&mut self, opcode: u8, extras: &[u8], key: &[u8], value: &[u8]) -> (u8, Vec<u8>) {
        let request = binary_request(opcode, extras, key, value);
        self.0.write_all(&request).unwrap();
        let mut header = [0; 24];
        self.0.read_exact(&mut header).unwrap();
        let length = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        let mut body = vec![0; length as usize];
        self.0.read_exact(&mut body).unwrap();
        (header[7], body)
    }

    fn log_in(&mut self) {
        assert_eq!(self.ask(0x21, &[], b"PLAIN", b"\0ada\0secret").0, 0);
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        assert_eq!(self.ask(0x01, &[0; 8], key, value).0, 0);
    }

    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let (status, body) = self.ask(0x00, &[], key, &[]);
        (status == 0).then(|| body[4..].to_vec())
    }
}

fn write_table(home: &Path, address: SocketAddr, more: &str) {
    let table = format!(
        "[[target]]\nname = \"caches\"\nservers = [\"{address}\"]\nprotocol = \"binary\"\n{more}"
    );
    std::fs::write(home.join("larder.toml"), table).unwrap();
}

#[test]
fn a_kill_loses_no_delete_for_a_memcached_that_speaks_binary_only() {
    let start = || Real::start_with("memcached", free_port(), &["-B", "binary"]);
    let Some(cache) = start() else {
        support::skip!("there is no memcached to keep true");
    };
    let home = directory();
    write_table(home.path(), cache.address, "");
    let arguments = ["--timeout", "1"];
    let keys: Vec<String> = (0..300).map(|number| format!("k{number}")).collect();
    let mut client = Binary::connect(cache.address);
    for round in 0..2 {
        keys.iter()
            .for_each(|key| client.set(key.as_bytes(), b"old"));
        client.set(b"stays", b"old");
        cache.signal("-STOP");
        let mut larder = Program::start(home.path(), &arguments);
        let mut reporter = larder.client();
        for key in &keys {
            reporter.ask(format!("delete {key}\r\n"), "DELETED\r\n");
        }
        larder.child.kill().unwrap();
        larder.child.wait().unwrap();
        cache.signal("-CONT");
        let larder = Program::start(home.path(), &arguments);
        for key in &keys {
            eventually("the delete", || client.get(key.as_bytes()).is_none());
        }
        eventually("their removal", || larder.stat("pending") == 0);
        assert!(client.get(b"stays").is_some(), "round {round}");
        // Keys that no line of text has are deleted, too; a report names them in base64.
        client.set(b"a b\n", b"old");
        larder.client().ask("md YSBiCg== b\r\n", "HD\r\n");
        eventually("the delete", || client.get(b"a b\n").is_none());
        larder.client().ask("flush_all\r\n", "OK\r\n");
        eventually("the flush", || client.get(b"stays").is_none());
        larder.signal("-TERM");
        larder.ended();
    }
}

#[test]
fn new_values_are_written_in_binary_and_those_that_do_not_fit_are_deleted() {
    let small = ["-B", "binary", "-I", "1m"];
    let Some(cache) = Real::start_with("memcached", free_port(), &small) else {
        support::skip!("there is no memcached to keep true");
    };
    let home = directory();
    write_table(home.path(), cache.address, "forget = \"update\"\n");
    let larder = Program::start(home.path(), &[]);
    let mut client = Binary::connect(cache.address);
    client.set(b"k", b"old");
    larder
        .client()
        .ask("set k 7 100 3\r\nnew\r\n", "STORED\r\n");
    eventually("the value", || client.get(b"k").as_deref() == Some(b"new"));
    let (_, body) = client.ask(0x00, &[], b"k", &[]);
    assert_eq!(body[..4], [0, 0, 0, 7], "the flags");
    let large = 2_000_000;
    let set = format!("set k 0 0 {large}\r\n{}\r\n", "x".repeat(large));
    larder.client().ask(&set, "STORED\r\n");
    eventually("the delete", || client.get(b"k").is_none());
    larder.client().ask("delete k\r\n", "DELETED\r\n");
    eventually("all are delivered", || larder.stat("pending") == 0);
}

#[test]
fn a_cache_with_users_is_logged_in_to_by_sasl() {
    let home = directory();
    std::fs::write(home.path().join("users"), "ada:secret\n").unwrap();
    std::fs::write(home.path().join("password"), "secret\n").unwrap();
    let cache = larder::Server::builder()
        .memcached(Some(Listen::Tcp("127.0.0.1:0".into())))
        .resp(None)
        .memcached_protocol(SpokenProtocol::Binary)
        .auth_file(Some(home.path().join("users")))
        .start()
        .unwrap();
    let address = cache.memcached_addr();
    let login = "user = \"ada\"\npassword-file = \"password\"\n";
    write_table(home.path(), address, login);
    let mut client = Binary::connect(address);
    client.log_in();
    client.set(b"k", b"old");
    let larder = Program::start(home.path(), &[]);
    larder.client().ask("delete k\r\n", "DELETED\r\n");
    eventually("the delete", || client.get(b"k").is_none());
    larder.signal("-TERM");
    larder.ended();

    // A wrong password deletes nothing, and loses nothing.
    std::fs::write(home.path().join("password"), "wrong\n").unwrap();
    client.set(b"k", b"old");
    let larder = Program::start(home.path(), &[]);
    larder.client().ask("delete k\r\n", "DELETED\r\n");
    eventually("the failure", || {
        let states = larder.stats("state");
        states.iter().any(|(_, state)| state == "down")
    });
    assert!(client.get(b"k").is_some() && larder.stat("pending") == 1);
}
