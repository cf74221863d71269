//! The login, the database and the TLS of an origin: real servers, and larder behind larder.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use larder::{Server, ServerTls};

use super::run::{FREE, Larder, Place};
use crate::origin_support::{Client, resp};
use crate::proxy_support::{Real, free_port};
use crate::support;
use crate::tls_support::Authority;

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain name")
}

/// A larder with this table, and a client of it.
fn front(place: &Place, table: &str) -> (Larder, Client) {
    let table = format!("[origin]\ntimeout = \"60s\"\n{table}\n");
    place.write("larder.toml", &table);
    let larder = place.serve(&FREE, 2);
    let address: SocketAddr = larder.address("memcached").parse().expect("an address");
    (larder, Client::connect(address))
}

/// A place with the files of a user.
fn place() -> Place {
    let place = Place::new();
    place.write("users", "app:secret\n");
    place.write("password", "secret\nnotes\n");
    place.write("wrong", "guess\n");
    place
}

/// Asks with the right password, and with a wrong one, which is in no line of the log.
fn right_and_wrong(place: &Place, table: &str, get: &str, reply: &str) {
    let (_larder, mut client) = front(place, &format!("{table}\npassword-file = \"password\""));
    client.ask(get, reply);
    let (mut larder, mut client) = front(place, &format!("{table}\npassword-file = \"wrong\""));
    client.ask(get, "END\r\n");
    assert_eq!(client.stat("origin_found"), 0);
    let logged = larder.logs("the key \"k\"");
    assert!(logged.contains("refused the login"), "{logged}");
    assert!(!logged.contains("guess"), "{logged}");
}

#[test]
fn memcached_is_logged_in_to_as_a_user() {
    let place = place();
    let users = place.path("users");
    let test = |address: SocketAddr| {
        let mut behind = Client::connect(address);
        behind.ask("set auth 0 0 10\r\napp secret\r\n", "STORED\r\n");
        behind.ask("set k 7 0 5\r\nvalue\r\n", "STORED\r\n");
        let table = format!("memcached = \"{address}\"\nuser = \"app\"");
        let reply = "VALUE k 7 5\r\nvalue\r\nEND\r\n";
        right_and_wrong(&place, &table, "get k\r\n", reply);
    };
    match Real::start_with("memcached", free_port(), &["-Y", text(&users)]) {
        Some(real) => test(real.address),
        None => support::skipped("memcached is not installed"),
    }
    let behind = Server::builder().auth_file(Some(users)).start();
    test(behind.expect("it starts").memcached_addr());
}

#[test]
fn redis_is_logged_in_to_and_asked_in_a_database() {
    let place = place();
    let test = |address: SocketAddr| {
        let mut behind = Client::connect(address);
        behind.ask(resp(&["AUTH", "secret"]), "+OK\r\n");
        let user = ["ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all"];
        behind.ask(resp(&user), "+OK\r\n");
        behind.ask(resp(&["SET", "k", "of 0"]), "+OK\r\n");
        behind.ask(resp(&["SELECT", "3"]), "+OK\r\n");
        behind.ask(resp(&["SET", "k", "of 3"]), "+OK\r\n");
        let table = format!("redis = \"{address}\"");
        let reply = |of: u8| format!("VALUE k 0 4\r\nof {of}\r\nEND\r\n");
        right_and_wrong(&place, &table, "get k\r\n", &reply(0));
        let table = format!("{table}\nuser = \"app\"\ndatabase = 3");
        right_and_wrong(&place, &table, "get k\r\n", &reply(3));
    };
    match Real::start_with("redis-server", free_port(), &["--requirepass", "secret"]) {
        Some(real) => test(real.address),
        None => support::skipped("redis-server is not installed"),
    }
    let behind = Server::builder()
        .password(Some("secret".to_owned()))
        .start();
    test(behind.expect("it starts").resp_addr());
}

#[test]
fn the_password_may_be_in_the_environment() {
    let behind = Server::builder()
        .password(Some("secret".to_owned()))
        .start();
    let behind = behind.expect("it starts");
    let address = behind.resp_addr();
    let mut other = Client::connect(address);
    other.ask(resp(&["AUTH", "secret"]), "+OK\r\n");
    other.ask(resp(&["SET", "k", "value"]), "+OK\r\n");
    let address = address.to_string();
    let options = [&FREE[..], &["--origin-redis", &address]].concat();
    let mut command = Place::new().command(&options);
    command
        .env("LARDER_ORIGIN_PASSWORD", "secret")
        .current_dir("/");
    let larder = Larder::spawn(command).ready(2);
    let address: SocketAddr = larder.address("memcached").parse().expect("an address");
    Client::connect(address).ask("get k\r\n", "VALUE k 0 5\r\nvalue\r\nEND\r\n");
}

#[test]
fn servers_with_tls_need_a_certificate_of_the_authorities() {
    let (authority, other) = (Authority::new(), Authority::new());
    let identity = authority.issue("server");
    let place = Place::new();
    let test = |kind: &str, address: SocketAddr| {
        let table = |authority: &Authority| {
            format!(
                "{kind} = \"{address}\"\ntls-ca = \"{}\"",
                text(&authority.ca())
            )
        };
        let (_larder, mut client) = front(&place, &table(&authority));
        client.ask("get k\r\n", "VALUE k 0 5\r\nvalue\r\nEND\r\n");
        let (mut larder, mut client) = front(&place, &table(&other));
        client.ask("get k\r\n", "END\r\n");
        assert_eq!(client.stat("origin_unavailable"), 1);
        let logged = larder.logs("the key \"k\" is unavailable");
        assert!(logged.contains("invalid peer certificate"), "{logged}");
    };
    let address = free_port();
    let port = address.port().to_string();
    let ca = authority.ca();
    let arguments = [
        "--port",
        "0",
        "--tls-port",
        &port,
        "--tls-cert-file",
        text(&identity.cert),
        "--tls-key-file",
        text(&identity.key),
        "--tls-ca-cert-file",
        text(&ca),
        "--tls-auth-clients",
        "no",
    ];
    match Real::start_with("redis-server", address, &arguments) {
        Some(real) => {
            let mut behind = crate::server_support::Client(authority.connect(real.address));
            behind.send(resp(&["SET", "k", "value"]).as_bytes());
            behind.expect(b"+OK\r\n");
            test("redis", real.address);
        }
        None => support::skipped("redis-server is not installed"),
    }
    let tls = ServerTls::new(&identity.cert, &identity.key, None).expect("files");
    let behind = Server::builder().tls(Some(Arc::new(tls))).start();
    let behind = behind.expect("it starts");
    let mut client = crate::server_support::Client(authority.connect(behind.memcached_addr()));
    client.send(b"set k 0 0 5\r\nvalue\r\n");
    client.expect(b"STORED\r\n");
    test("memcached", behind.memcached_addr());
    test("redis", behind.resp_addr());
}

#[test]
fn settings_of_another_kind_of_origin_and_half_a_login_are_refused() {
    let place = place();
    let memcached = ["--origin-memcached", "127.0.0.1:1"];
    let redis = ["--origin-redis", "127.0.0.1:1"];
    let socket = ["--origin-redis", "/run/redis.sock"];
    let ca = Authority::new();
    let ca = ca.ca();
    for (origin, options, problem) in [
        (
            &memcached[..],
            &["--origin-database", "1"][..],
            "--origin-database is a setting of --origin-redis",
        ),
        (
            &[],
            &["--origin-user", "app"],
            "--origin-user is a setting of --origin-memcached and --origin-redis",
        ),
        (
            &memcached,
            &["--origin-user", "app"],
            "--origin-user needs a password: --origin-password-file FILE, or LARDER_ORIGIN_PASSWORD",
        ),
        (
            &memcached,
            &["--origin-password-file", "password"],
            "give --origin-user NAME",
        ),
        (
            &redis,
            &["--origin-password-file", "nowhere"],
            "--origin-password-file nowhere: can't be read",
        ),
        (&redis, &["--origin-tls-cert", "a.pem"], "belong together"),
        (
            &redis,
            &["--origin-tls-cert", "a.pem", "--origin-tls-key", "a.key"],
            "--origin-tls-ca FILE",
        ),
        (&redis, &["--origin-tls-ca", "nowhere.pem"], "nowhere.pem"),
        (&socket, &["--origin-tls-ca", text(&ca)], "is a Unix socket"),
        (
            &["--origin-http", "http://a/{key}"],
            &["--origin-tls-ca", text(&ca)],
            "write https://",
        ),
        (
            &["--origin-http", "https://a/{key}"],
            &[],
            "--origin-tls-ca FILE",
        ),
    ] {
        let printed = place.run(&[&["serve"][..], origin, options].concat());
        assert_ne!(printed.code, Some(0));
        assert!(printed.err.contains(problem), "{problem}: {}", printed.err);
    }
}
