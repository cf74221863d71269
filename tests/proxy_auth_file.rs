//! memcached servers with ASCII authentication (`-Y`): the proxy logs in on every connection, and its clients have to give
//! the same user and password.

#[path = "support/mod.rs"]
mod support;

mod proxy_support;

use larder::pool::Placement;
use larder::proxy::{Protocol, Proxy};
use larder::server::Listen;

use proxy_support::{Client, Real, TestProxy, eventually, free_port, list, settings};
use support::skip;

const UNAUTHENTICATED: &str = "CLIENT_ERROR unauthenticated\r\n";
const FAILURE: &str = "CLIENT_ERROR authentication failure\r\n";

/// The file of users, in a directory of its own.
fn users() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("users");
    std::fs::write(&file, "app:secret-word\nother:else\n").expect("it is written");
    let path = file.display().to_string();
    (directory, path)
}

fn proxy(memcached: &Real, password: &str) -> TestProxy {
    let servers = list(&[memcached.address]);
    let proxy = Proxy::new(settings(Protocol::Memcached), servers, Placement::Ketama)
        .user(Some("app".to_owned()))
        .password(Some(password.to_owned()));
    let listen = Listen::Tcp("127.0.0.1:0".into());
    let (running, control) = proxy.start(listen).expect("a free port");
    TestProxy { running, control }
}

fn login(user: &str, password: &str) -> String {
    let token = format!("{user} {password}");
    format!("set any 0 0 {}\r\n{token}\r\n", token.len())
}

#[test]
fn clients_and_proxy_give_the_same_user_and_password() {
    let (_directory, file) = users();
    let Some(memcached) = Real::start_with("memcached", free_port(), &["-Y", &file]) else {
        skip!("memcached is not installed, so the proxy has not logged in to one with users");
    };
    let proxy = proxy(&memcached, "secret-word");
    let (mut direct, mut client) = (Client::connect(memcached.address), proxy.connect());
    for one in [&mut direct, &mut client] {
        for request in ["get a\r\n", "version\r\n", "stats\r\n", "mg a v\r\n"] {
            one.ask(request, UNAUTHENTICATED);
        }
        one.ask(login("app", "wrong"), FAILURE);
        one.ask(login("nobody", "secret-word"), FAILURE);
        one.ask(
            "set any 0 0 9\r\nappsecret\r\n",
            "CLIENT_ERROR bad authentication token format\r\n",
        );
        one.ask("get a\r\n", UNAUTHENTICATED);
        one.ask(login("app", "secret-word"), "STORED\r\n");
        one.ask("get none\r\nmn\r\n", "END\r\nMN\r\n");
    }
    client.ask("set a 0 0 1\r\nx\r\n", "STORED\r\n");
    direct.ask("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n");
    client.ask("ms b 1\r\ny\r\nmg b v\r\n", "HD\r\nVA 1\r\ny\r\n");
    // A value that is streamed has a connection of its own.
    let value = "z".repeat(2 << 20);
    client.ask(
        format!("set c 0 0 {}\r\n{value}\r\n", value.len()),
        "STORED\r\n",
    );
    direct.ask("mg c s\r\n", format!("HD s{}\r\n", value.len()));

    // The other user of the server is not the proxy's.
    let mut other = proxy.connect();
    other.ask(login("other", "else"), FAILURE);

    // Byte by byte, with the first request behind it.
    let mut slow = proxy.connect();
    for byte in (login("app", "secret-word") + "get a\r\n").bytes() {
        slow.send([byte]);
    }
    slow.expect("STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn new_connections_log_in_anew() {
    let (_directory, file) = users();
    let Some(memcached) = Real::start_with("memcached", free_port(), &["-Y", &file]) else {
        skip!("memcached is not installed, so the proxy has not logged in to one with users");
    };
    let proxy = proxy(&memcached, "secret-word");
    let mut client = proxy.connect();
    client.ask(
        login("app", "secret-word") + "get a\r\n",
        "STORED\r\nEND\r\n",
    );
    let address = memcached.address;
    drop(memcached);
    let _again = Real::start_with("memcached", address, &["-Y", &file]).expect("it starts");
    eventually("the server has returned", || {
        client.send("set a 0 0 1\r\nx\r\n");
        client.line() == "STORED"
    });
}

#[test]
fn a_login_that_the_server_refuses_is_named_in_the_error() {
    let (_directory, file) = users();
    let Some(memcached) = Real::start_with("memcached", free_port(), &["-Y", &file]) else {
        skip!("memcached is not installed, so the proxy has not logged in to one with users");
    };
    let proxy = proxy(&memcached, "stale");
    let mut client = proxy.connect();
    client.ask(login("app", "stale"), "STORED\r\n");
    client.send("get a\r\n");
    let line = client.line();
    // memcached sends only the last of its answers if a request has come behind a wrong password.
    let refused = ["authentication failure", "unauthenticated"]
        .map(|text| format!("refused the login: CLIENT_ERROR {text}"));
    assert!(refused.iter().any(|text| line.ends_with(text)), "{line}");
}
