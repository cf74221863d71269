//! Clients of memcached's binary protocol that log in by SASL: to `larder proxy` and `larder invalidate`, which log in to
//! their servers in the same way.

#[path = "support/mod.rs"]
mod support;

mod binary_support;
mod invalidate_support;
mod proxy_support;

use std::net::SocketAddr;

use binary_support::*;
use invalidate_support::{Invalidator, directory, pool, settings as invalidator_settings};
use larder::Server;
use larder::invalidate::{ReadPolicy, Settings};
use larder::pool::Placement;
use larder::proxy::{Protocol, Proxy};
use larder::server::Listen;
use proxy_support::{Client, TestProxy, eventually, list, settings};
use tempfile::TempDir;

const SASL_LIST: u8 = 0x20;
const SASL_AUTH: u8 = 0x21;
const SASL_STEP: u8 = 0x22;

const GOOD: &[u8] = b"\0app\0secret";
const ACCEPTED: &str = "0x21 0 0x0 Authenticated";
const REFUSED: &str = "0x21 0 0x20 Auth failure.";

/// A larder whose clients have to log in, and the directory of its file of users.
fn server() -> (Server, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("users");
    std::fs::write(&file, "app:secret\nother:else\n").expect("it is written");
    let server = Server::builder().auth_file(Some(file)).start();
    (server.expect("free ports"), directory)
}

fn proxy(address: SocketAddr, password: &str) -> TestProxy {
    let servers = list(&[address]);
    let proxy = Proxy::new(settings(Protocol::Memcached), servers, Placement::Ketama)
        .user(Some("app".to_owned()))
        .password(Some(password.to_owned()));
    let (running, control) = proxy
        .start(Listen::Tcp("127.0.0.1:0".into()))
        .expect("a free port");
    TestProxy { running, control }
}

fn auth(data: &[u8]) -> Ask {
    Ask::new(SASL_AUTH, "PLAIN").value(data)
}

/// Sends a request; its reply as a line.
#[track_caller]
fn ask(client: &mut Client, request: &Ask) -> String {
    client.send(request.bytes());
    reply_line(client)
}

#[test]
fn a_binary_client_logs_in_to_the_proxy_as_to_the_server() {
    let (server, _directory) = server();
    let proxy = proxy(server.memcached_addr(), "secret");
    for connect in [
        &(|| Client::connect(server.memcached_addr())) as &dyn Fn() -> Client,
        &|| proxy.connect(),
    ] {
        let mut client = connect();
        let version = ask(&mut client, &Ask::new(VERSION, ""));
        assert!(
            version.starts_with("0x0b 0 0x0 1.6.45-larder-"),
            "{version}"
        );
        assert_eq!(
            ask(&mut client, &Ask::new(SASL_LIST, "")),
            "0x20 0 0x0 PLAIN"
        );
        for wrong in [
            auth(b"\0app\0wrong"),
            auth(b"\0other\0secret"),
            auth(b"other\0app\0secret"),
            auth(b"app secret"),
            auth(&[b'x'; 20_000]),
            Ask::new(SASL_AUTH, "CRAM-MD5"),
        ] {
            assert_eq!(ask(&mut client, &wrong), REFUSED, "{wrong:?}");
        }
        let unasked = Ask::new(SASL_STEP, "PLAIN").value(GOOD);
        assert_eq!(ask(&mut client, &unasked), "0x22 0 0x20 Auth failure.");
        let long_name = Ask::new(SASL_AUTH, [b'M'; 33]).value(GOOD);
        assert_eq!(ask(&mut client, &long_name), "0x21 0 0x4 Invalid arguments");
        assert_eq!(ask(&mut client, &auth(b"")), "0x21 0 0x21 ");
        let step = Ask::new(SASL_STEP, "PLAIN").value(GOOD);
        assert_eq!(ask(&mut client, &step), "0x22 0 0x0 Authenticated");
        assert_eq!(
            conversation(&mut client, &Ask::new(SET, "k").value("v").bytes()),
            ["0x01 0 0x0 cas "]
        );
        // A further attempt that fails takes the first back.
        assert_eq!(ask(&mut client, &auth(b"\0app\0wrong")), REFUSED);
        assert_eq!(
            ask(&mut client, &Ask::new(GET, "k")),
            "0x00 0 0x20 Auth failure."
        );
        client.expect_end();
    }
}

#[test]
fn any_other_request_before_that_ends_the_connection() {
    let (server, _directory) = server();
    let proxy = proxy(server.memcached_addr(), "secret");
    for request in [
        Ask::new(GET, "k"),
        Ask::new(SETQ, "k").value("v"),
        Ask::new(NOOP, ""),
        Ask::new(QUIT, ""),
        Ask::new(STAT, ""),
        Ask::new(FLUSH, ""),
        Ask::new(0x77, "unknown"),
        // Malformed.
        Ask::new(GET, ""),
    ] {
        for mut client in [Client::connect(server.memcached_addr()), proxy.connect()] {
            let refused = format!("{:#04x} 0 0x20 Auth failure.", request.opcode);
            assert_eq!(ask(&mut client, &request), refused);
            client.expect_end();
        }
    }
    // The value of a large request is not waited for.
    let mut client = proxy.connect();
    let large = Ask::new(SET, "k").value(vec![b'x'; 3 << 20]).bytes();
    client.send(&large[..50]);
    assert_eq!(reply_line(&mut client), "0x01 0 0x20 Auth failure.");
    client.expect_end();
}

#[test]
fn requests_behind_a_login_are_served_however_they_are_cut() {
    let (server, _directory) = server();
    let proxy = proxy(server.memcached_addr(), "secret");
    let bytes = [
        auth(GOOD).bytes(),
        Ask::new(SET, "k").value("v").bytes(),
        Ask::new(GETK, "k").bytes(),
        auth(GOOD).bytes(),
        Ask::new(GETKQ, "none").bytes(),
    ]
    .concat();
    let answers = [
        ACCEPTED,
        "0x01 0 0x0 cas ",
        "0x0c 0 0x0 cas [0, 0, 0, 5] key=k v",
        ACCEPTED,
    ];
    for size in [1, 7, bytes.len()] {
        let mut client = proxy.connect();
        for piece in bytes.chunks(size) {
            client.send(piece);
        }
        assert_eq!(conversation(&mut client, b""), answers, "pieces of {size}");
    }
    // A value that is streamed has a connection of its own, which logs in, too.
    let mut client = proxy.connect();
    assert_eq!(ask(&mut client, &auth(GOOD)), ACCEPTED);
    let large = Ask::new(SET, "large").value(vec![b'x'; 1 << 20]);
    let too_large = "0x01 0 0x3 Too large.";
    assert_eq!(conversation(&mut client, &large.bytes()), [too_large]);
    // Clients of both protocols share the items, and the first byte decides.
    let mut text = proxy.connect();
    text.ask("set any 0 0 10\r\napp secret\r\n", "STORED\r\n");
    text.ask("get k\r\n", "VALUE k 5 1\r\nv\r\nEND\r\n");
    text.send(Ask::new(NOOP, "").bytes());
    text.expect("CLIENT_ERROR bad command line format\r\n");
    let mut text = proxy.connect();
    text.ask("get k\r\n", "CLIENT_ERROR unauthenticated\r\n");
    text.send(auth(GOOD).bytes());
    text.send("\n");
    assert!(text.line().starts_with("CLIENT_ERROR"));
}

#[test]
fn a_login_that_the_server_refuses_is_named_in_the_error() {
    let (server, _directory) = server();
    let proxy = proxy(server.memcached_addr(), "stale");
    let mut client = proxy.connect();
    assert_eq!(ask(&mut client, &auth(b"\0app\0stale")), ACCEPTED);
    let answer = ask(&mut client, &Ask::new(GET, "k"));
    assert!(
        answer.starts_with("0x00 0 0x86 upstream ") && answer.ends_with("the login: Auth failure."),
        "{answer}"
    );
}

#[test]
fn without_users_the_commands_of_sasl_are_unknown() {
    let server = Server::start().expect("free ports");
    let proxy = proxy_support::proxy(settings(Protocol::Memcached), &[server.memcached_addr()]);
    let mut client = proxy.connect();
    assert_eq!(ask(&mut client, &auth(GOOD)), "0x21 0 0x81 Unknown command");
    assert_eq!(
        ask(&mut client, &Ask::new(GET, "k")),
        "0x00 0 0x1 Not found"
    );
}

#[test]
fn a_binary_client_that_reads_through_invalidate_logs_in() {
    let (server, _directory) = server();
    let spool = directory();
    let settings = Settings {
        reads: ReadPolicy::Forward,
        ..invalidator_settings(spool.path())
    };
    let mut target = pool(&[server.memcached_addr()]);
    target.user = Some("app".to_owned());
    target.password = Some("secret".to_owned());
    let larder = Invalidator::start(settings, vec![target]);
    let mut client = larder.client();
    assert_eq!(ask(&mut client, &auth(b"\0app\0wrong")), REFUSED);
    assert_eq!(ask(&mut client, &auth(GOOD)), ACCEPTED);
    let mut direct = Client::connect(server.memcached_addr());
    assert_eq!(ask(&mut direct, &auth(GOOD)), ACCEPTED);
    let stored = conversation(&mut direct, &Ask::new(SET, "k").value("v").bytes());
    assert_eq!(stored, ["0x01 0 0x0 cas "]);
    assert_eq!(
        ask(&mut client, &Ask::new(GET, "k")),
        "0x00 0 0x0 cas [0, 0, 0, 5] v"
    );
    assert_eq!(ask(&mut client, &Ask::new(DELETE, "k")), "0x04 0 0x0 ");
    eventually("the delete", || {
        ask(&mut direct, &Ask::new(GET, "k")) == "0x00 0 0x1 Not found"
    });
    let mut hasty = larder.client();
    assert_eq!(
        ask(&mut hasty, &Ask::new(DELETE, "k")),
        "0x04 0 0x20 Auth failure."
    );
    hasty.expect_end();
}
