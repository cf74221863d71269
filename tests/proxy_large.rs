//! Requests and replies that are too large for the proxy's memory: they stream, and if they can't,
//! the client gets an error and continues.

mod proxy_support;
mod support;

use std::thread;

use larder::Server;
use larder::proxy::Protocol;
use proxy_support::{Client, Program, Real, proxy, settings, upstream};
use support::skip;

/// Bytes that repeat after a prime number of them, so that a value differs from one that was cut,
/// doubled or mixed with another.
fn value(number: usize, size: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..251).map(|at| ((at + number) % 251) as u8).collect();
    let mut value = period.repeat(size / 251 + 1);
    value.truncate(size);
    value
}

/// Reads a value without keeping it.
fn expect_value(client: &mut Client, number: usize, size: usize) {
    let (mut at, mut buffer) = (0, vec![0; 64 * 1024]);
    let pattern = value(number, buffer.len() + 251);
    while at < size {
        let wanted = buffer.len().min(size - at);
        let n = client.receive(&mut buffer[..wanted]).expect("the value");
        assert!(n > 0, "the end after {at} of {size} bytes");
        assert!(buffer[..n] == pattern[at % 251..][..n], "after {at} bytes");
        at += n;
    }
}

/// A command with each of these keys and, if they are to be set, a value of this many bytes.
fn keyed(name: &str, keys: std::ops::Range<usize>, value: Option<usize>) -> Vec<u8> {
    let words = 1 + keys.len() * if value.is_some() { 2 } else { 1 };
    let mut request = format!("*{words}\r\n${}\r\n{name}\r\n", name.len());
    for number in keys {
        request += &format!("$8\r\nkey{number:05}\r\n");
        if let Some(size) = value {
            request += &format!("${size}\r\n{number:05}{}\r\n", "v".repeat(size - 5));
        }
    }
    request.into_bytes()
}

// A request over 1 MiB with several keys was refused.
#[test]
fn a_request_over_a_mebibyte_with_several_keys_is_divided() {
    let servers = [(); 3].map(|()| upstream(Protocol::Resp));
    let proxy = proxy(
        settings(Protocol::Resp),
        &servers.each_ref().map(|server| server.address),
    );
    let (mut client, mut other) = (proxy.connect(), proxy.connect());
    let (keys, size) = (20_000, 400);
    // All but its end has arrived when another client is served.
    let mset = keyed("MSET", 0..keys, Some(size));
    let (most, end) = mset.split_at(mset.len() - 1);
    client.send("PING\r\n");
    client.send(most);
    client.expect("+PONG\r\n");
    other.ask("SET other 1\r\n", "+OK\r\n");
    client.ask(end, "+OK\r\n");
    let mget = keyed("MGET", 0..keys, None);
    assert!(mget.len() < 1024 * 1024 && mset.len() > 8 * 1024 * 1024);
    client.send(mget);
    client.expect(format!("*{keys}\r\n"));
    for number in 0..keys {
        client.expect(format!(
            "${size}\r\n{number:05}{}\r\n",
            "v".repeat(size - 5)
        ));
    }
    let many = 100_000;
    let exists = keyed("EXISTS", 0..many, None);
    assert!(exists.len() > 1024 * 1024);
    client.ask(exists, format!(":{keys}\r\n"));
    client.ask(keyed("DEL", 0..many, None), format!(":{keys}\r\n"));
    // A transaction is executed by one server, and a request for several aborts it.
    client.send("MULTI\r\nSET {t}a 1\r\n");
    client.send(&mset);
    client.expect("+OK\r\n+QUEUED\r\n");
    assert!(client.line().starts_with("-CROSSSLOT "));
    client.ask(
        "EXEC\r\nEXISTS {t}a\r\n",
        "-EXECABORT Transaction discarded because of previous errors.\r\n:0\r\n",
    );
    if !servers[0].is_real() {
        return;
    }
    // A request for one server is held only if its server isn't known at once.
    let long = "x".repeat(2 * 1024 * 1024);
    client.ask(
        format!(
            "*4\r\n$5\r\nPFADD\r\n$1\r\nh\r\n${}\r\n{long}\r\n$1\r\n1\r\n",
            long.len()
        ),
        ":1\r\n",
    );
    client.ask(
        format!(
            "*4\r\n$4\r\nEVAL\r\n${}\r\n--{long}\nreturn KEYS[1]\r\n$1\r\n1\r\n$1\r\nk\r\n",
            long.len() + 17
        ),
        "$1\r\nk\r\n",
    );
}

#[test]
fn values_over_a_mebibyte_are_stored_and_read_at_several_servers() {
    let servers = [(); 3].map(|()| Server::start().expect("a server on free ports"));
    let addresses = servers.each_ref().map(Server::resp_addr);
    let redis = proxy(settings(Protocol::Resp), &addresses);
    let (keys, size) = (6, 3 * 1024 * 1024);
    let mut client = redis.connect();
    client.ask(keyed("MSET", 0..keys, Some(size)), "+OK\r\n");
    let bulk = |number: usize| format!("${size}\r\n{number:05}{}\r\n", "v".repeat(size - 5));
    client.send(keyed("MGET", 0..keys, None));
    client.expect(format!("*{keys}\r\n"));
    (0..keys).for_each(|number| client.expect(bulk(number)));
    for number in 0..keys {
        client.ask(keyed("SET", number..number + 1, Some(size)), "+OK\r\n");
        client.ask(keyed("GET", number..number + 1, None), bulk(number));
    }
    assert!(servers.iter().any(|server| server.store().len(0) < keys));
    // Clients of memcached read them through a proxy too.
    let server = Server::start().expect("a server on free ports");
    let memcached = proxy(settings(Protocol::Memcached), &[server.memcached_addr()]);
    let mut redis = Client::connect(server.resp_addr());
    redis.ask(keyed("MSET", 0..keys, Some(size)), "+OK\r\n");
    let mut client = memcached.connect();
    client.send("get key00000 missing key00005\r\n");
    for number in [0, 5] {
        client.expect(format!("VALUE key{number:05} 0 {size}\r\n{number:05}"));
        client.expect("v".repeat(size - 5) + "\r\n");
    }
    client.expect("END\r\n");
    let line = format!("set k 0 0 {size}\r\n");
    client.send([line.as_bytes(), &value(0, size), b"\r\n"].concat());
    client.expect("SERVER_ERROR object too large for cache\r\n");
    client.ask("get k\r\n", "END\r\n");
}

#[test]
fn a_request_that_is_too_large_to_be_divided_is_an_error_and_the_connection_stays_open() {
    let servers = [(); 2].map(|()| upstream(Protocol::Resp));
    let proxy = proxy(
        settings(Protocol::Resp),
        &servers.each_ref().map(|server| server.address),
    );
    let mset = keyed("MSET", 0..3, Some(23 * 1024 * 1024));
    let mut client = proxy.connect();
    client.send("PING\r\n");
    client.send(&mset);
    client.ask(
        "EXISTS key00000 key00001\r\n",
        "+PONG\r\n-ERR a request over 64 MiB can't be divided among upstreams: send several \
         smaller ones\r\n:0\r\n",
    );
    client.send(keyed("SUBSCRIBE", 0..100_000, None));
    client.ask(
        "PING\r\n",
        "-ERR this command is limited to 1 MiB through a proxy\r\n+PONG\r\n",
    );
}

#[test]
fn a_divided_request_of_nearly_a_mebibyte_is_answered_in_order() {
    let servers = [(); 2].map(|()| upstream(Protocol::Resp));
    let proxy = proxy(
        settings(Protocol::Resp),
        &servers.each_ref().map(|server| server.address),
    );
    let keys = 3000;
    let (mut mset, mut mget) = (String::new(), String::new());
    let mut values = format!("*{keys}\r\n");
    for number in 0..keys {
        let bulk = format!("$300\r\n{number:05}{}\r\n", "v".repeat(295));
        mset += &format!("$8\r\nkey{number:05}\r\n{bulk}");
        mget += &format!("$8\r\nkey{number:05}\r\n");
        values += &bulk;
    }
    let mut client = proxy.connect();
    client.ask(
        format!("*{}\r\n$4\r\nMSET\r\n{mset}", 1 + 2 * keys),
        "+OK\r\n",
    );
    client.ask(format!("*{}\r\n$4\r\nMGET\r\n{mget}", 1 + keys), values);
}

/// The most memory that a process has had resident, in MiB.
#[cfg(target_os = "linux")]
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.expect("a size").parse::<u64>().expect("a number") / 1024
}

const MOST: u64 = 64;
const TEN_MB: usize = 10_000_000;

#[cfg(target_os = "linux")]
#[test]
fn redis_values_of_100_mb_pass_in_less_than_64_mib() {
    const SIZE: usize = 100_000_000;
    let Some(redis) = Real::start("redis-server") else {
        skip!("there is no redis-server that takes values of 100 MB");
    };
    let proxy = Program::start(&["--upstream", &redis.address.to_string()]);
    let mut client = Client::connect(proxy.address);
    client.send(format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${SIZE}\r\n"));
    client.send(value(0, SIZE));
    client.ask("\r\nGET big\r\n", format!("+OK\r\n${SIZE}\r\n"));
    expect_value(&mut client, 0, SIZE);
    client.ask("\r\nDEL big\r\n", "\r\n:1\r\n");
    thread::scope(|scope| {
        for number in 0..10 {
            let mut client = Client::connect(proxy.address);
            scope.spawn(move || {
                client.send(format!(
                    "*3\r\n$3\r\nSET\r\n$2\r\nk{number}\r\n${TEN_MB}\r\n"
                ));
                client.send(value(number, TEN_MB));
                client.ask(
                    format!("\r\nGET k{number}\r\n"),
                    format!("+OK\r\n${TEN_MB}\r\n"),
                );
                expect_value(&mut client, number, TEN_MB);
                client.expect("\r\n");
            });
        }
    });
    let peak = peak(proxy.child.id());
    println!("{peak} MiB");
    assert!(peak < MOST, "{peak} MiB");
}

#[cfg(target_os = "linux")]
#[test]
fn memcached_values_of_100_mb_together_pass_in_less_than_64_mib() {
    let servers: Vec<Real> = (0..2).map_while(|_| Real::start("memcached")).collect();
    if servers.len() < 2 {
        skip!("there is no memcached");
    }
    let addresses = servers.iter().map(|server| server.address.to_string());
    let addresses: Vec<String> = addresses.collect();
    let mut arguments = vec!["--protocol", "memcached", "--upstream"];
    arguments.extend(addresses.iter().map(String::as_str));
    let proxy = Program::start(&arguments);
    thread::scope(|scope| {
        for number in 0..10 {
            let mut client = Client::connect(proxy.address);
            scope.spawn(move || {
                client.send(format!("set k{number} {number} 0 {TEN_MB}\r\n"));
                client.send(value(number, TEN_MB));
                client.ask(
                    format!("\r\nget k{number}\r\n"),
                    format!("STORED\r\nVALUE k{number} {number} {TEN_MB}\r\n"),
                );
                expect_value(&mut client, number, TEN_MB);
                client.expect("\r\nEND\r\n");
            });
        }
    });
    let mut client = Client::connect(proxy.address);
    client.send("get k0 k1 k2 k3 k4 k5 k6 k7 k8 k9\r\n");
    for number in 0..10 {
        client.expect(format!("VALUE k{number} {number} {TEN_MB}\r\n"));
        expect_value(&mut client, number, TEN_MB);
        client.expect("\r\n");
    }
    client.expect("END\r\n");
    let peak = peak(proxy.child.id());
    println!("{peak} MiB");
    assert!(peak < MOST, "{peak} MiB");
}
