//! Redis servers with users: the proxy logs in as one of them, on every kind of connection, and its clients have to give
//! that user's password. Real servers decide what the user may do.

#[path = "support/mod.rs"]
mod support;

mod cluster_support;
mod proxy_support;

use std::io::Read;
use std::time::Instant;

use larder::pool::Placement;
use larder::proxy::{Protocol, Proxy};
use larder::server::Listen;

use cluster_support::{Cluster, Said};
use proxy_support::{Client, Real, TestProxy, eventually, free_port, list, settings};
use support::skip;

const NOAUTH: &str = "-NOAUTH Authentication required.\r\n";
const WRONGPASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";

/// A Redis whose default user is off. `app` may read everything and write keys that begin with `app:`; its password is
/// `secret`.
fn redis() -> Option<Real> {
    let users = "--user app on >secret ~app:* %R~* &* +@all -@dangerous -lpush +info \
                 --user admin on >root ~* &* +@all --user default off";
    let users: Vec<&str> = users.split_whitespace().collect();
    Real::start_with("redis-server", free_port(), &users)
}

fn proxy(redis: &Real, user: Option<&str>, password: &str) -> TestProxy {
    let servers = list(&[redis.address]);
    let proxy = Proxy::new(settings(Protocol::Resp), servers, Placement::Ketama)
        .user(user.map(str::to_owned))
        .password(Some(password.to_owned()));
    let listen = Listen::Tcp("127.0.0.1:0".into());
    let (running, control) = proxy.start(listen).expect("a free port");
    TestProxy { running, control }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

#[test]
fn a_client_gives_the_users_password_with_or_without_its_name() {
    let Some(redis) = redis() else {
        skip!("redis-server is not installed, so the proxy has not logged in to one with users");
    };
    let proxy = proxy(&redis, Some("app"), "secret");
    for login in ["AUTH app secret", "AUTH secret", "AUTH default secret"] {
        let mut client = proxy.connect();
        client.ask("GET a\r\n", NOAUTH);
        client.ask("ACL WHOAMI\r\n", NOAUTH);
        client.ask("CLIENT LIST\r\n", NOAUTH);
        client.ask(format!("{login}\r\n"), "+OK\r\n");
        client.ask("SET app:a 1\r\n", "+OK\r\n");
        client.ask("GET app:a\r\n", bulk("1"));
        client.ask("ACL WHOAMI\r\n", bulk("app"));
    }
    for (login, refused) in [
        ("AUTH app wrong", WRONGPASS),
        ("AUTH admin root", WRONGPASS),
        ("AUTH nobody secret", WRONGPASS),
        ("HELLO 3 AUTH app wrong", WRONGPASS),
        (
            "HELLO 3 AUTH app",
            "-ERR Syntax error in HELLO option 'AUTH'\r\n",
        ),
        (
            "AUTH",
            "-ERR wrong number of arguments for 'auth' command\r\n",
        ),
        (
            "AUTH a b c",
            "-ERR wrong number of arguments for 'auth' command\r\n",
        ),
    ] {
        let mut client = proxy.connect();
        client.ask(format!("{login}\r\n"), refused);
        client.ask("GET app:a\r\n", NOAUTH);
    }
    for login in ["HELLO 3 AUTH app secret", "HELLO 3 AUTH default secret"] {
        let mut client = proxy.connect();
        client.send(format!("{login}\r\n"));
        assert_eq!(client.line(), "%7");
        while client.line() != "*0" {}
        client.ask("GET none\r\n", "_\r\n");
    }
}

#[test]
fn a_refusal_of_the_server_reaches_the_client_unchanged() {
    let Some(redis) = redis() else {
        skip!("redis-server is not installed, so the proxy has not logged in to one with users");
    };
    let proxy = proxy(&redis, Some("app"), "secret");
    let (mut direct, mut client) = (Client::connect(redis.address), proxy.connect());
    for one in [&mut direct, &mut client] {
        one.ask("AUTH app secret\r\n", "+OK\r\n");
        for (request, reply) in [
            (
                "SET other 1\r\n",
                "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n",
            ),
            (
                "LPUSH app:l 1\r\n",
                "-NOPERM this user has no permissions to run the 'lpush' command\r\n",
            ),
            (
                "MSET app:a 1 other 2\r\n",
                "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n",
            ),
            (
                "FLUSHALL\r\n",
                "-NOPERM this user has no permissions to run the 'flushall' command\r\n",
            ),
            ("GET other\r\n", "$-1\r\n"),
            // On the connection of a transaction, too.
            ("MULTI\r\n", "+OK\r\n"),
            ("SET app:t 1\r\n", "+QUEUED\r\n"),
            (
                "SET other 1\r\n",
                "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n",
            ),
            (
                "EXEC\r\n",
                "-EXECABORT Transaction discarded because of previous errors.\r\n",
            ),
            ("SET app:a 1\r\n", "+OK\r\n"),
        ] {
            one.ask(request, reply);
        }
    }
}

#[test]
fn every_kind_of_connection_is_the_users() {
    let Some(redis) = redis() else {
        skip!("redis-server is not installed, so the proxy has not logged in to one with users");
    };
    let mut admin = Client::connect(redis.address);
    admin.ask("AUTH admin root\r\n", "+OK\r\n");
    let proxy = proxy(&redis, Some("app"), "secret");
    let mut client = proxy.connect();
    client.ask("AUTH app secret\r\n", "+OK\r\n");
    // A shared one, one of another database, one of a transaction, and one of a subscriber.
    client.ask(
        "SET app:a 1\r\nSELECT 3\r\nSET app:a 3\r\n",
        "+OK\r\n+OK\r\n+OK\r\n",
    );
    client.ask(
        "WATCH app:a\r\nMULTI\r\nGET app:a\r\nEXEC\r\n",
        "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n$1\r\n3\r\n",
    );
    let mut subscriber = proxy.connect();
    subscriber.ask("AUTH app secret\r\n", "+OK\r\n");
    subscriber.ask(
        "SUBSCRIBE c\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
    );
    admin.ask("PUBLISH c hi\r\n", ":1\r\n");
    subscriber.expect("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n");
    let mut blocked = proxy.connect();
    blocked.ask("AUTH app secret\r\n", "+OK\r\n");
    blocked.send("BLPOP app:list 0\r\n");
    eventually("it is blocked", || {
        admin.send("CLIENT LIST\r\n");
        let length: usize = admin.line()[1..].parse().expect("a length");
        let mut text = vec![0; length + 2];
        admin.0.read_exact(&mut text).expect("a text");
        String::from_utf8_lossy(&text).contains("cmd=blpop")
    });
    admin.ask("RPUSH app:list x\r\n", ":1\r\n");
    blocked.expect("*2\r\n$8\r\napp:list\r\n$1\r\nx\r\n");

    // New connections log in anew.
    admin.send("CLIENT KILL TYPE normal SKIPME yes\r\n");
    assert!(admin.line().starts_with(':'));
    eventually("a new connection", || {
        client.send("GET app:a\r\n");
        let first = client.line();
        first == "$1" && client.line() == "3"
    });
}

#[test]
fn the_servers_of_a_cluster_are_used_as_the_user() {
    let Some(cluster) = Cluster::start(3, false) else {
        skip!(
            "redis-server is not installed, so the proxy has not logged in to a cluster with users"
        );
    };
    for node in cluster.nodes() {
        node.talk().must("ACL SETUSER app on >secret ~* &* +@all");
    }
    let seeds = list(&[cluster.masters[0].address]);
    let (running, control) = Proxy::cluster(settings(Protocol::Resp), seeds)
        .user(Some("app".into()))
        .password(Some("secret".into()))
        .start(Listen::Tcp("127.0.0.1:0".into()))
        .expect("a free port");
    let proxy = TestProxy { running, control };
    let mut client = proxy.talk();
    assert_eq!(client.must("AUTH app secret"), Said::from("OK"));
    for key in 0..60 {
        let key = format!("key:{key}");
        assert_eq!(client.call(&["SET", &key, "1"]), Said::from("OK"));
    }
    for node in cluster.nodes() {
        let clients = node.talk().must("CLIENT LIST");
        let is_ours = |line: &&str| line.contains(" cmd=set ");
        let ours: Vec<&str> = clients.text().lines().filter(is_ours).collect();
        let all = ours.iter().all(|line| line.contains(" user=app "));
        assert!(all && !ours.is_empty(), "{clients:?}");
    }
}

#[test]
fn a_login_that_the_server_refuses_is_named_in_the_error() {
    let Some(redis) = redis() else {
        skip!("redis-server is not installed, so the proxy has not logged in to one with users");
    };
    for (user, password) in [
        (Some("app"), "stale"),
        (Some("nobody"), "secret"),
        (None, "secret"),
    ] {
        let proxy = proxy(&redis, user, password);
        let mut client = proxy.connect();
        client.ask(format!("AUTH {password}\r\n"), "+OK\r\n");
        client.send("GET app:a\r\n");
        let line = client.line();
        assert!(
            line.contains("refused the login: WRONGPASS"),
            "{user:?}: {line}"
        );
    }
}

#[test]
fn wrong_passwords_are_answered_late_and_unauthenticated_requests_are_small() {
    let server = larder::Server::builder().password(Some("secret".into()));
    let server = server.start().expect("free ports");
    let proxy = Proxy::new(
        settings(Protocol::Resp),
        list(&[server.resp_addr()]),
        Placement::Ketama,
    )
    .password(Some("secret".into()));
    let listen = Listen::Tcp("127.0.0.1:0".into());
    let (running, control) = proxy.start(listen).expect("a free port");
    let proxy = TestProxy { running, control };
    let mut client = proxy.connect();
    let begin = Instant::now();
    client.ask(
        "AUTH a\r\nHELLO 3 AUTH default b\r\nPING\r\n",
        [WRONGPASS, WRONGPASS, NOAUTH].concat(),
    );
    // Two delays of a quarter of a second, of which a busy proxy may have counted the start early.
    assert!(begin.elapsed().as_millis() > 100, "{:?}", begin.elapsed());
    for (request, error) in [
        (
            "*11\r\n",
            "-ERR Protocol error: unauthenticated multibulk length\r\n",
        ),
        (
            "*1\r\n$16385\r\n",
            "-ERR Protocol error: unauthenticated bulk length\r\n",
        ),
    ] {
        let mut client = proxy.connect();
        client.ask(request, error);
        client.expect_end();
    }
    client.ask("AUTH secret\r\n", "+OK\r\n");
    let words = "*12\r\n$4\r\nMGET\r\n".to_owned() + &bulk("a").repeat(11);
    client.ask(words, "*11\r\n".to_owned() + &"$-1\r\n".repeat(11));
}
