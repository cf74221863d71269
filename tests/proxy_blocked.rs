//! Clients that disconnect during a blocked command: no element is taken for them, and no connection stays in
//! use.

mod proxy_support;
mod support;

use std::net::Shutdown;

use larder::proxy::Protocol;
use proxy_support::{Client, Real, eventually, proxy, settings};

/// The number of blocked clients of a Redis.
fn blocked(direct: &mut Client) -> usize {
    direct.send("INFO clients\r\n");
    let mut found = None;
    loop {
        let line = direct.line();
        if let Some(count) = line.strip_prefix("blocked_clients:") {
            found = count.parse().ok();
        }
        // The last field of the section.
        if line.starts_with("clients_in_timeout_table:") {
            direct.line();
            return found.expect("a count");
        }
    }
}

// The proxy waited for the answer before it closed the upstream connection, so the next element that was pushed went to a
// client that was gone.
#[test]
fn an_element_that_is_pushed_after_its_reader_has_gone_stays_in_the_list() {
    let Some(redis) = Real::start("redis-server") else {
        support::skip!("redis-server is not installed");
    };
    let proxy = proxy(settings(Protocol::Resp), &[redis.address]);
    let mut direct = Client::connect(redis.address);
    let mut client = proxy.connect();
    for (command, push, left, length) in [
        ("BLPOP jobs 0", "RPUSH jobs 1", "LLEN jobs", 1),
        ("BRPOP jobs2 0", "RPUSH jobs2 1", "LLEN jobs2", 1),
        (
            "BLMOVE jobs3 to LEFT LEFT 0",
            "RPUSH jobs3 1",
            "LLEN jobs3",
            1,
        ),
        ("BLMPOP 0 1 jobs4 LEFT", "RPUSH jobs4 1", "LLEN jobs4", 1),
        ("BZPOPMIN scores 0", "ZADD scores 1 a", "ZCARD scores", 1),
        // Another request waits behind it, which the proxy has not taken, and so it reads nothing of the client.
        ("BLPOP jobs5 0\r\nGET x", "RPUSH jobs5 1", "LLEN jobs5", 1),
    ] {
        let mut gone = proxy.connect();
        gone.send(format!("{command}\r\n"));
        eventually("it blocks", || blocked(&mut direct) == 1);
        drop(gone);
        eventually("it is cancelled", || blocked(&mut direct) == 0);
        client.ask(format!("{push}\r\n"), format!(":{length}\r\n"));
        client.ask(format!("{left}\r\n"), format!(":{length}\r\n"));
    }
}

// Each client that had gone kept its dedicated connection for ever, and MULTI was refused when all were taken.
#[test]
fn clients_that_have_gone_occupy_no_dedicated_connection() {
    let Some(redis) = Real::start("redis-server") else {
        support::skip!("redis-server is not installed");
    };
    let mut settings = settings(Protocol::Resp);
    settings.detached = 2;
    let proxy = proxy(settings, &[redis.address]);
    let mut direct = Client::connect(redis.address);
    for _ in 0..3 {
        let mut gone: Vec<Client> = (0..2).map(|_| proxy.connect()).collect();
        for client in &mut gone {
            client.send("BLPOP nothing 0\r\n");
        }
        eventually("both block", || blocked(&mut direct) == 2);
        // The second closes only its own direction, which is the end as well.
        gone[1].0.shutdown(Shutdown::Write).expect("a half close");
        gone.remove(0);
        eventually("both are cancelled", || blocked(&mut direct) == 0);
        gone[0].expect_end();
    }
    let mut client = proxy.connect();
    client.ask(
        "MULTI\r\nSET a 1\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n",
    );
}

#[test]
fn a_client_that_has_closed_its_sending_side_reads_the_pending_replies() {
    let Some(redis) = Real::start("redis-server") else {
        support::skip!("redis-server is not installed");
    };
    let proxy = proxy(settings(Protocol::Resp), &[redis.address]);
    let mut client = proxy.connect();
    client.send("SET a 1\r\nGET a\r\n");
    client.0.shutdown(Shutdown::Write).expect("a half close");
    client.expect("+OK\r\n$1\r\n1\r\n");
    client.expect_end();
}

// The connection to the upstream waited for the rest of the request for ever.
#[test]
fn a_client_that_disconnects_in_a_large_request_leaves_nothing() {
    let Some(redis) = Real::start("redis-server") else {
        support::skip!("redis-server is not installed");
    };
    let mut settings = settings(Protocol::Resp);
    settings.detached = 1;
    let proxy = proxy(settings, &[redis.address]);
    let mut gone = proxy.connect();
    gone.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$3000000\r\n");
    gone.send(vec![b'x'; 2_000_000]);
    drop(gone);
    eventually("its dedicated connection is free", || {
        let mut client = proxy.connect();
        client.send("MULTI\r\nPING\r\nDISCARD\r\n");
        client.line();
        client.line() == "+QUEUED"
    });
}
