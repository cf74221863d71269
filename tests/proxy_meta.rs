//! memcached's meta commands through the proxy: the bytes that a real memcached answers, with one
//! upstream and with a pool, and no client's order is lost by a missing reply.

mod proxy_support;
mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use larder::proxy::{OnFailure, Protocol, Settings};
use proxy_support::{Client, Real, eventually, free_port, proxy, settings};
use support::skip;

/// Requests, and memcached's answers. The answer to `mn` shows that no other answer comes.
const CONVERSATION: &[(&str, &str)] = &[
    ("ms foo 3 T0\r\nabc\r\n", "HD\r\n"),
    ("mg foo\r\n", "HD\r\n"),
    ("mg foo v s k O7\r\n", "VA 3 s3 kfoo O7\r\nabc\r\n"),
    ("mg foo q v\r\n", "VA 3\r\nabc\r\n"),
    ("mg foo q\r\n", "HD\r\n"),
    ("mg none v k O1\r\n", "EN knone O1\r\n"),
    ("mg none q v k O1\r\n", ""),
    ("ms foo 3 q\r\nMN\n\r\n", ""),
    ("mg foo v\r\n", "VA 3\r\nMN\n\r\n"),
    ("ms foo 3 q ME\r\nabc\r\n", "NS\r\n"),
    ("ms none 3 MR O2\r\nabc\r\n", "NS O2\r\n"),
    ("ms foo 3 q C1 O3\r\nabc\r\n", "EX O3\r\n"),
    ("ms none 3 q C1\r\nabc\r\n", "NF\r\n"),
    (
        "ms foo 3 q\r\nabcde, and more\r\n",
        "CLIENT_ERROR bad data chunk\r\nERROR\r\n",
    ),
    (
        "ms foo 3 q Tx\r\nabc\r\n",
        "CLIENT_ERROR bad token in command line format\r\n",
    ),
    ("ms foo abc\r\n", "CLIENT_ERROR bad command line format\r\n"),
    ("ms foo\r\n", "CLIENT_ERROR bad command line format\r\n"),
    ("ms foo 3 q\r\nEN\r\r\n", ""),
    ("md foo q\r\n", ""),
    ("md foo q\r\n", "NF\r\n"),
    ("md foo\r\n", "NF\r\n"),
    ("ma n N0 J5 v\r\n", "VA 1\r\n5\r\n"),
    ("ma n MD D2 v t\r\n", "VA 1 t-1\r\n3\r\n"),
    ("ma n q v\r\n", ""),
    ("ma none q\r\n", "NF\r\n"),
    (
        "ms text 1\r\nx\r\nma text q\r\n",
        "HD\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
    ),
    ("ms Zm9vYg== 2 b k\r\nhi\r\n", "HD kZm9vYg== b\r\n"),
    ("mg foob v\r\n", "VA 2\r\nhi\r\n"),
    ("mg Zm9vYg== v b k\r\n", "VA 2 kZm9vYg== b\r\nhi\r\n"),
    ("get foob\r\n", "VALUE foob 0 2\r\nhi\r\nEND\r\n"),
    ("mg Zm9vYg v b\r\n", "CLIENT_ERROR error decoding key\r\n"),
    (
        "ms AAEC 2 b q\r\nhi\r\nmg AAEC b v k\r\n",
        "VA 2 kAAEC b\r\nhi\r\n",
    ),
    ("me none\r\n", "EN\r\n"),
    ("mx foo\r\n", "ERROR\r\n"),
    ("mn\r\n", "MN\r\n"),
    (
        "md n q\r\nmd none q\r\nmg none q\r\nget none\r\n",
        "NF\r\nEND\r\n",
    ),
];

fn memcacheds<const N: usize>() -> Option<([Real; N], [SocketAddr; N])> {
    let servers: Vec<Real> = (0..N).map_while(|_| Real::start("memcached")).collect();
    let servers: [Real; N] = servers.try_into().ok()?;
    let addresses = servers.each_ref().map(|server| server.address);
    Some((servers, addresses))
}

#[test]
fn the_proxy_answers_meta_commands_with_the_bytes_of_memcached() {
    let Some((_servers, [alone, single, one, two, three])) = memcacheds() else {
        skip!("there is no memcached");
    };
    let single = proxy(settings(Protocol::Memcached), &[single]);
    let pool = proxy(settings(Protocol::Memcached), &[one, two, three]);
    for mut client in [Client::connect(alone), single.connect(), pool.connect()] {
        for (ask, answer) in CONVERSATION {
            client.ask(format!("{ask}mn\r\n"), format!("{answer}MN\r\n"));
        }
    }
    // All of it at once, and byte by byte.
    let asks: String = CONVERSATION.iter().map(|(ask, _)| *ask).collect();
    let answers: String = CONVERSATION.iter().map(|(_, answer)| *answer).collect();
    for proxy in [&single, &pool] {
        let mut client = proxy.connect();
        client.ask("flush_all\r\n", "OK\r\n");
        client.ask(&asks, &answers);
        client.ask("flush_all\r\n", "OK\r\n");
        for byte in asks.as_bytes() {
            client.send([*byte]);
        }
        client.expect(&answers);
    }
}

#[test]
fn quiet_requests_of_many_clients_keep_everyones_order() {
    let Some((_servers, addresses)) = memcacheds::<2>() else {
        skip!("there is no memcached");
    };
    let proxy = proxy(
        Settings {
            connections: 1,
            ..settings(Protocol::Memcached)
        },
        &addresses,
    );
    let clients: Vec<Client> = (0..20).map(|_| proxy.connect()).collect();
    thread::scope(|scope| {
        for (number, mut client) in clients.into_iter().enumerate() {
            scope.spawn(move || {
                let (mut asks, mut answers) = (String::new(), String::new());
                for round in 0..50 {
                    let key = format!("k{number}-{round}");
                    asks += &format!(
                        "ms {key} 4 q\r\nMN\r\n\r\nmg {key} v q O{round}\r\nmg no{key} v q\r\nmd {key} q\r\n"
                    );
                    answers += &format!("VA 4 O{round}\r\nMN\r\n\r\n");
                }
                client.ask(asks + "mn\r\n", answers + "MN\r\n");
            });
        }
    });
}

#[test]
fn a_large_block_streams_quiet_or_not() {
    let Some((_servers, addresses)) = memcacheds::<2>() else {
        skip!("there is no memcached");
    };
    let proxy = proxy(settings(Protocol::Memcached), &addresses);
    let mut client = proxy.connect();
    let value = "x".repeat(3 << 20);
    let too_large = "y".repeat(17 << 20);
    for key in ["a", "b", "c", "d"] {
        for (flags, answer) in [("", "HD\r\n"), (" q", "")] {
            client.send(format!("ms {key} {}{flags}\r\n", value.len()));
            client.send(&value);
            client.ask("\r\nmn\r\n", format!("{answer}MN\r\n"));
            client.send(format!("ms {key} {}{flags}\r\n", too_large.len()));
            client.send(&too_large);
            client.ask(
                "\r\nmn\r\n",
                "SERVER_ERROR object too large for cache\r\nMN\r\n",
            );
        }
    }
}

/// A server that has no meta commands, as memcached before 1.6, would take a block for commands.
#[test]
fn a_block_is_never_sent_to_a_server_that_would_take_it_for_commands() {
    let server = without_meta();
    let proxy = proxy(
        Settings {
            connections: 1,
            ..settings(Protocol::Memcached)
        },
        &[server],
    );
    let (mut one, mut two) = (proxy.connect(), proxy.connect());
    for _ in 0..3 {
        one.send("ms a 11\r\nset b 0 0 1\r\nms a 3 q\r\nxyz\r\nmg a v\r\n");
        two.ask("get b\r\n", "END\r\n");
        one.expect("ERROR\r\nERROR\r\nERROR\r\n");
    }
    two.ask("get b\r\n", "END\r\n");
}

/// A server that has no items, and of all commands only `get`. It fails if it is sent any but those of the test.
fn without_meta() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for connection in listener.incoming() {
            let connection = connection.expect("a connection");
            thread::spawn(move || answer_without_meta(&connection));
        }
    });
    address
}

fn answer_without_meta(mut connection: &TcpStream) {
    for line in BufReader::new(connection).lines().map_while(Result::ok) {
        let answer = match line.split(' ').next() {
            Some("get") => "END\r\n",
            Some("mg" | "mn") => "ERROR\r\n",
            _ => "SERVER_ERROR not a line of the test\r\n",
        };
        if connection.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn larder_behind_the_proxy_answers_meta_commands_as_memcached_does() {
    let servers = [(); 2].map(|()| larder::Server::start().expect("it starts"));
    let addresses = servers.each_ref().map(larder::Server::memcached_addr);
    let proxy = proxy(settings(Protocol::Memcached), &addresses);
    let mut client = proxy.connect();
    for (ask, answer) in CONVERSATION {
        client.ask(format!("{ask}mn\r\n"), format!("{answer}MN\r\n"));
    }
    // The key is decoded before it is placed.
    client.ask("set foo 0 0 1\r\nx\r\n", "STORED\r\n");
    client.ask("mg Zm9v b v k\r\n", "VA 1 kfoo\r\nx\r\n");
    client.ask("mg Zm!9v b v\r\n", "VA 1\r\nx\r\n");
}

#[test]
fn keys_of_an_ejected_server_are_misses_of_meta_gets_too() {
    let gone = free_port();
    let proxy = proxy(
        Settings {
            failures: 1,
            on_failure: OnFailure::Miss,
            ..settings(Protocol::Memcached)
        },
        &[gone],
    );
    let mut client = proxy.connect();
    eventually("the ejection", || {
        client.send("mg a v\r\n");
        client.line() == "EN"
    });
    client.ask("mg a v q k\r\nmn\r\n", "MN\r\n");
    let ejected = format!(
        "SERVER_ERROR upstream {gone} is ejected after consecutive errors; it is probed\r\n"
    );
    client.ask("ms a 1 q\r\nx\r\n", &ejected);
    client.ask("mg a v O1\r\n", &ejected);
}
