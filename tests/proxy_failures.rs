//! The effects of a failed upstream on a client: an error in its protocol within the deadline,
//! never another client's bytes, and service as before once the upstream is up again.

mod proxy_support;
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use larder::proxy::{OnFailure, Protocol, Settings};
use proxy_support::{
    Client, IMPATIENCE, answerer, eventually, free_port, impatient, peer, proxy, settings, sleeper,
};

const EXECABORT: &str = "-EXECABORT Transaction discarded because of previous errors.\r\n";

/// The answer to a client of either protocol from an upstream with this fault.
#[track_caller]
fn says(with: fn(Protocol) -> Settings, address: SocketAddr, what: &str) {
    for (protocol, request, error) in [
        (Protocol::Resp, "GET a\r\n", "-ERR"),
        (Protocol::Memcached, "get a\r\n", "SERVER_ERROR"),
    ] {
        let proxy = proxy(with(protocol), &[address]);
        let mut client = proxy.connect();
        client.ask(request, format!("{error} upstream {address} {what}\r\n"));
        // The connection is as it was.
        let (ping, pong) = match protocol {
            Protocol::Resp => ("PING\r\n", "+PONG\r\n"),
            Protocol::Memcached => ("mn\r\n", "MN\r\n"),
        };
        client.ask(ping, pong);
    }
}

#[test]
fn a_refuser_is_named_with_its_fault() {
    says(settings, free_port(), "refused the connection");
}

#[test]
fn a_sleeper_is_given_up_at_the_deadline() {
    says(impatient, sleeper(), "did not answer within 2s");
}

#[test]
fn a_closer_is_named_with_its_fault() {
    let closed = "closed the connection before it had answered";
    says(settings, answerer(b"", true), closed);
    // In the middle of a line, so that nothing has gone to the client yet that could be taken for
    // the whole.
    says(
        settings,
        peer(|mut stream| {
            let mut bin = [0; 64];
            let _ = stream.read(&mut bin);
        }),
        closed,
    );
}

#[test]
fn a_garbler_is_detected_and_its_bytes_reach_no_client() {
    says(
        settings,
        answerer(b"\x16\x03\x01 what is this?\r\n", false),
        "sent bytes that don't follow the protocol",
    );
}

#[test]
fn an_answer_without_a_request_reaches_no_client() {
    // Two answers for each request: the second would be the next client's.
    let twice = answerer(b"$3\r\none\r\n$3\r\ntwo\r\n", false);
    let proxy = proxy(
        Settings {
            connections: 1,
            ..settings(Protocol::Resp)
        },
        &[twice],
    );
    for _ in 0..5 {
        let mut client = proxy.connect();
        client.ask("GET a\r\n", "$3\r\none\r\n");
    }
}

#[test]
fn a_half_closer_in_the_middle_of_a_value_ends_the_client_it_was_for_and_no_other() {
    let half = peer(|mut stream| {
        let mut bin = [0; 4096];
        while let Ok(n) = stream.read(&mut bin) {
            if n == 0 {
                return;
            }
            if bin[..n].windows(4).any(|word| word == b"half") {
                let _ = stream.write_all(b"$10\r\nabc");
                return;
            }
            let _ = stream.write_all(b"$5\r\nwhole\r\n");
        }
    });
    let proxy = proxy(settings(Protocol::Resp), &[half]);
    let mut other = proxy.connect();
    other.ask("GET a\r\n", "$5\r\nwhole\r\n");
    let mut client = proxy.connect();
    client.send("GET half\r\n");
    client.expect("$10\r\nabc");
    client.expect_end();
    other.ask("GET a\r\n", "$5\r\nwhole\r\n");
}

#[test]
fn requests_behind_the_one_that_failed_get_errors_in_their_turn() {
    let address = sleeper();
    let proxy = proxy(impatient(Protocol::Resp), &[address]);
    let mut client = proxy.connect();
    let error = format!("-ERR upstream {address} did not answer within 2s\r\n");
    client.ask(
        "GET a\r\nPING\r\nGET b\r\nPING\r\n",
        format!("{error}+PONG\r\n{error}+PONG\r\n"),
    );
}

#[test]
fn an_upstream_that_starts_late_and_one_that_comes_back_are_used() {
    let address = free_port();
    let proxy = proxy(settings(Protocol::Resp), &[address]);
    let mut client = proxy.connect();
    client.ask(
        "GET a\r\n",
        format!("-ERR upstream {address} refused the connection\r\n"),
    );
    for _ in 0..2 {
        let server = larder::Server::builder()
            .resp(Some(larder::server::Listen::Tcp(address.to_string())))
            .start()
            .expect("the port is free");
        eventually("an answer", || {
            client.send("SET a b\r\n");
            client.line() == "+OK"
        });
        drop(server);
        eventually("the ejection", || {
            client.send("GET a\r\n");
            client.line()
                == format!(
                    "-ERR upstream {address} is ejected after consecutive errors; it is probed"
                )
        });
    }
}

/// A pool with one server that is down, and a key that belongs to it.
fn broken_pool(
    on_failure: OnFailure,
) -> (larder::Server, proxy_support::TestProxy, Client, String) {
    let server = larder::Server::start().expect("it starts");
    let gone = free_port();
    let proxy = proxy(
        Settings {
            failures: 1,
            on_failure,
            ..settings(Protocol::Memcached)
        },
        &[server.memcached_addr(), gone],
    );
    let mut client = proxy.connect();
    for number in 0.. {
        client.send(format!("set k{number} 0 0 1\r\nx\r\n"));
        let line = client.line();
        if line != "STORED" {
            assert_eq!(
                line,
                format!("SERVER_ERROR upstream {gone} refused the connection")
            );
            return (server, proxy, client, format!("k{number}"));
        }
    }
    unreachable!("one of the keys belongs to the server that is not there")
}

#[test]
fn keys_of_an_ejected_server_get_an_error_the_next_server_or_a_miss() {
    let (_server, _proxy, mut client, key) = broken_pool(OnFailure::Error);
    client.send(format!("get {key}\r\n"));
    assert!(
        client
            .line()
            .ends_with("is ejected after consecutive errors; it is probed")
    );

    let (_server, _proxy, mut client, key) = broken_pool(OnFailure::Next);
    client.ask(format!("set {key} 0 0 1\r\ny\r\n"), "STORED\r\n");
    client.ask(
        format!("get {key}\r\n"),
        format!("VALUE {key} 0 1\r\ny\r\nEND\r\n"),
    );

    let (_server, _proxy, mut client, key) = broken_pool(OnFailure::Miss);
    client.ask(format!("get {key}\r\n"), "END\r\n");
    let there = (0..).map(|number| format!("there{number}")).find(|there| {
        client.send(format!("set {there} 0 0 2\r\nhi\r\n"));
        client.line() == "STORED"
    });
    let there = there.expect("one of the keys belongs to the server that is there");
    client.ask(
        format!("get {key} {there}\r\n"),
        format!("VALUE {there} 0 2\r\nhi\r\nEND\r\n"),
    );
    client.send(format!("set {key} 0 0 1\r\ny\r\n"));
    assert!(client.line().starts_with("SERVER_ERROR "));
}

// The answer had one null, however many keys the request had.
#[test]
fn all_keys_of_an_mget_to_an_ejected_server_are_misses() {
    let settings = Settings {
        failures: 1,
        on_failure: OnFailure::Miss,
        ..settings(Protocol::Resp)
    };
    let proxy = proxy(settings, &[free_port()]);
    let mut client = proxy.connect();
    client.send("SET a x\r\n");
    assert!(client.line().ends_with("refused the connection"));
    client.ask("MGET a b c\r\n", "*3\r\n$-1\r\n$-1\r\n$-1\r\n");
    client.ask("MGET a\r\n", "*1\r\n$-1\r\n");
}

#[test]
fn a_client_that_does_not_read_is_closed_and_holds_up_the_others_no_longer() {
    let server = larder::Server::builder()
        .memory(256 << 20)
        .max_item_size(16 << 20)
        .start()
        .expect("it starts");
    let proxy = proxy(
        Settings {
            connections: 1,
            write_timeout: IMPATIENCE,
            ..settings(Protocol::Resp)
        },
        &[server.resp_addr()],
    );
    let mut direct = Client::connect(server.resp_addr());
    let size = 12 << 20;
    direct.send(format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${size}\r\n"));
    direct.send(vec![b'x'; size]);
    direct.ask("\r\n", "+OK\r\n");
    let mut greedy = proxy.connect();
    greedy.send("GET big\r\nGET big\r\nGET big\r\n");
    greedy.expect(format!("${size}\r\n"));
    let mut other = proxy.connect();
    other.ask("SET a 1\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n");
}

#[test]
fn connections_of_their_own_are_bounded() {
    let server = larder::Server::start().expect("it starts");
    let address = server.resp_addr();
    let proxy = proxy(
        Settings {
            detached: 1,
            ..settings(Protocol::Resp)
        },
        &[address],
    );
    let (mut one, mut two) = (proxy.connect(), proxy.connect());
    one.ask("MULTI\r\nSET a 1\r\n", "+OK\r\n+QUEUED\r\n");
    let full =
        format!("-ERR upstream {address} can't get a dedicated connection: all 1 are in use\r\n");
    // None of it is executed, then, as if the server had refused the command.
    two.ask(
        "MULTI\r\nSET b 1\r\nSET b 2\r\nEXEC\r\n",
        format!("+OK\r\n{full}+QUEUED\r\n{EXECABORT}"),
    );
    one.ask("EXEC\r\nEXISTS a b\r\n", "*1\r\n+OK\r\n:1\r\n");
    eventually("the connection", || {
        two.send("WATCH b\r\n");
        two.line() == "+OK"
    });
}

#[test]
fn a_transaction_whose_connection_breaks_ends_its_client() {
    let address = peer(|mut stream| {
        let mut bin = [0; 4096];
        let _ = stream.read(&mut bin);
        let _ = stream.write_all(b"+OK\r\n+QUEUED\r\n");
        let _ = stream.read(&mut bin);
    });
    let proxy = proxy(settings(Protocol::Resp), &[address]);
    let mut client = proxy.connect();
    client.ask("MULTI\r\nSET a 1\r\n", "+OK\r\n+QUEUED\r\n");
    client.ask(
        "SET b 1\r\n",
        format!("-ERR upstream {address} closed the connection before it had answered\r\n"),
    );
    // The following commands must not be executed outside of the transaction.
    client.expect_end();
}

#[test]
fn clients_need_the_upstreams_password_too() {
    let server = larder::Server::builder()
        .password(Some("secret".into()))
        .start()
        .expect("it starts");
    let start = |password: &str| {
        larder::proxy::Proxy::new(
            settings(Protocol::Resp),
            proxy_support::list(&[server.resp_addr()]),
            larder::pool::Placement::Ketama,
        )
        .password(Some(password.into()))
        .start(larder::server::Listen::Tcp("127.0.0.1:0".into()))
        .expect("a free port")
    };
    let (running, _control) = start("secret");
    let mut client = Client::connect(running.addresses()[0].tcp().expect("TCP"));
    client.ask("GET a\r\n", "-NOAUTH Authentication required.\r\n");
    client.send("AUTH wrong\r\n");
    assert!(client.line().starts_with("-WRONGPASS"));
    client.ask(
        "AUTH secret\r\nSET a b\r\nGET a\r\n",
        "+OK\r\n+OK\r\n$1\r\nb\r\n",
    );

    let (running, _control) = start("stale");
    let mut client = Client::connect(running.addresses()[0].tcp().expect("TCP"));
    client.send("AUTH stale\r\nGET a\r\n");
    assert_eq!(client.line(), "+OK");
    assert!(client.line().contains("refused the login: WRONGPASS"));
}

#[test]
fn a_database_that_is_not_there_is_no_reason_to_eject_an_upstream() {
    let address = peer(|mut stream| {
        let mut bin = [0; 4096];
        while let Ok(n) = stream.read(&mut bin) {
            let answer: &[u8] = match bin[..n].windows(6).any(|word| word == b"SELECT") {
                _ if n == 0 => return,
                true => b"-ERR DB index is out of range\r\n",
                false => b"$1\r\nx\r\n",
            };
            let _ = stream.write_all(answer);
        }
    });
    let proxy = proxy(
        Settings {
            failures: 1,
            ..settings(Protocol::Resp)
        },
        &[address],
    );
    let (mut one, mut two) = (proxy.connect(), proxy.connect());
    one.ask("SELECT 16\r\n", "-ERR DB index is out of range\r\n");
    one.ask("SELECT 5\r\n", "+OK\r\n");
    let said = "refused the login: ERR DB index is out of range";
    for _ in 0..3 {
        one.ask("GET a\r\n", format!("-ERR upstream {address} {said}\r\n"));
        two.ask("GET a\r\n", "$1\r\nx\r\n");
    }
}

#[test]
fn the_end_of_the_proxy_answers_requests_in_flight() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let proxy = proxy(
        Settings {
            ..settings(Protocol::Resp)
        },
        &[address],
    );
    let mut client = proxy.connect();
    client.send("GET a\r\n");
    let (mut upstream, _) = listener.accept().expect("the proxy connects");
    let mut request = [0; 20];
    upstream.read_exact(&mut request).expect("the request");
    proxy
        .running
        .handle()
        .begin_shutdown(proxy_support::PATIENCE);
    upstream.write_all(b"$1\r\nx\r\n").expect("the answer");
    client.expect("$1\r\nx\r\n");
    client.expect_end();
    proxy.running.join();
}
