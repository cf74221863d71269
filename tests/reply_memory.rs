//! The bound for replies that wait for their clients, and for requests that have not arrived whole: large replies are made
//! one after the other, and of clients that don't go on the one with the most is closed.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use larder::Server;
use larder::server::Model;
use socket2::{Domain, Socket, Type};

const MIB: usize = 1 << 20;
/// The bytes that the replies of all connections may take in most of these tests.
const BOUND: usize = 16 * MIB;
const PATIENCE: Duration = Duration::from_secs(60);

fn both_models(bound: usize, test: impl Fn(Server)) {
    for model in [Model::Turns, Model::Threads] {
        let server = Server::builder().model(model).max_reply_memory(Some(bound));
        test(server.start().expect("a server on free ports"));
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

fn ask(stream: &mut TcpStream, request: &[u8], reply: &[u8]) {
    stream.write_all(request).expect("send");
    let mut arrived = vec![0; reply.len()];
    stream.read_exact(&mut arrived).expect("a reply");
    assert!(
        arrived == reply,
        "{}",
        String::from_utf8_lossy(&arrived[..reply.len().min(99)])
    );
}

fn value(number: usize, size: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..251).map(|at| ((at + number) % 251) as u8).collect();
    let mut value = period.repeat(size / 251 + 1);
    value.truncate(size);
    value
}

/// Stores k0 to k8 of a mebibyte each; returns the answers of MGET and `get` for all of them.
fn fill(server: &Server) -> (Vec<u8>, Vec<u8>) {
    let mut redis = connect(server.resp_addr());
    let (mut array, mut items) = (b"*9\r\n".to_vec(), Vec::new());
    for number in 0..9 {
        let value = value(number, MIB);
        let mut set = format!("*3\r\n$3\r\nSET\r\n$2\r\nk{number}\r\n").into_bytes();
        let bulk = [format!("${MIB}\r\n").as_bytes(), &value, b"\r\n"].concat();
        set.extend_from_slice(&bulk);
        ask(&mut redis, &set, b"+OK\r\n");
        array.extend_from_slice(&bulk);
        items.extend_from_slice(format!("VALUE k{number} 0 {MIB}\r\n").as_bytes());
        items.extend_from_slice(&value);
        items.extend_from_slice(b"\r\n");
    }
    items.extend_from_slice(b"END\r\n");
    (array, items)
}

const MGET: &[u8] = b"MGET k0 k1 k2 k3 k4 k5 k6 k7 k8\r\n";
const GET: &[u8] = b"get k0 k1 k2 k3 k4 k5 k6 k7 k8\r\n";

/// Waits for a condition.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Reads until the server closes the connection; the end may come as an error.
fn read_to_close(stream: &mut TcpStream) {
    let mut buffer = vec![0; MIB];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                let closed = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
                return assert!(closed.contains(&error.kind()), "{error}");
            }
        }
    }
}

#[test]
fn clients_that_read_get_all_their_large_replies_within_the_bound() {
    both_models(BOUND, |server| {
        let (array, items) = fill(&server);
        let (resp, memcached) = (server.resp_addr(), server.memcached_addr());
        let (connections, array) = (server.connections(), &array);
        // On a busy machine a client may read at any later time.
        connections.set_reply_patience(PATIENCE);
        thread::scope(|scope| {
            let mut clients = Vec::new();
            for _ in 0..8 {
                clients.push(scope.spawn(move || {
                    let mut client = connect(resp);
                    client.write_all(&MGET.repeat(3)).expect("send");
                    (0..3).for_each(|_| ask(&mut client, b"", array));
                }));
                let items = &items;
                clients.push(scope.spawn(move || {
                    let mut client = connect(memcached);
                    client.write_all(&GET.repeat(3)).expect("send");
                    (0..3).for_each(|_| ask(&mut client, b"", items));
                }));
            }
            let start = Instant::now();
            while !clients.iter().all(|client| client.is_finished()) {
                assert!(start.elapsed() < PATIENCE);
                let held = connections.reply_memory();
                assert!(held <= BOUND, "{held}");
                thread::yield_now();
            }
        });
        assert_eq!(connections.closed_for_replies(), 0);
        wait_until("all is written", || connections.reply_memory() == 0);
    });
}

/// A client that reads nothing, sending requests. Its socket takes little, so that the server has to keep the replies.
fn silent(address: SocketAddr, requests: &[u8]) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a socket");
    socket.connect(&address.into()).expect("connect");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(requests).expect("send");
    stream
}

#[test]
fn clients_that_do_not_read_are_closed_when_another_has_waited() {
    both_models(BOUND, |server| {
        let (array, items) = fill(&server);
        let connections = server.connections();
        connections.set_reply_patience(Duration::from_millis(100));
        let protocols = [(server.resp_addr(), MGET), (server.memcached_addr(), GET)];
        for (address, requests) in protocols {
            let (waits, closed) = (connections.reply_waits(), connections.closed_for_replies());
            let mut clients = Vec::new();
            while connections.reply_waits() == waits {
                assert!(clients.len() < 200, "{}", connections.reply_memory());
                clients.push(silent(address, requests));
                let full = || connections.reply_memory() > 0 || connections.reply_waits() > waits;
                wait_until("its reply is made or waits", full);
                thread::sleep(Duration::from_millis(20));
            }
            let mut redis = connect(server.resp_addr());
            let mut memcached = connect(server.memcached_addr());
            // Small replies don't wait.
            ask(&mut redis, b"PING\r\n", b"+PONG\r\n");
            ask(&mut redis, MGET, &array);
            ask(&mut memcached, GET, &items);
            assert!(connections.closed_for_replies() > closed);
            read_to_close(&mut clients[0]);
            drop(clients);
            wait_until("what they held is given back", || {
                connections.reply_memory() == 0
            });
        }
        let mut redis = connect(server.resp_addr());
        let closed = connections.closed_for_replies();
        redis.write_all(b"INFO stats\r\n").expect("send");
        let mut info = vec![0; 4096];
        let length = redis.read(&mut info).expect("a reply");
        let info = String::from_utf8_lossy(&info[..length]).into_owned();
        assert!(
            info.contains(&format!("\r\nevicted_clients:{closed}\r\n")),
            "{info}"
        );
    });
}

#[test]
fn the_client_with_the_most_unread_bytes_is_closed_at_the_bound() {
    both_models(BOUND, |server| {
        fill(&server);
        let connections = server.connections();
        // A transaction can't wait: it has had its effect.
        let exec = [b"MULTI\r\n", MGET, b"SET done 1\r\nEXEC\r\n"].concat();
        let mut clients = Vec::new();
        while connections.closed_for_replies() == 0 {
            assert!(clients.len() < 200, "{}", connections.reply_memory());
            clients.push(silent(server.resp_addr(), &exec));
            let made = || server.store().lock(0, b"done").peek(&[b"done"]).is_some();
            wait_until("it is executed", made);
            connect(server.resp_addr())
                .write_all(b"DEL done\r\n")
                .expect("send");
            wait_until("it is deleted", || !made());
        }
        wait_until("the bound holds", || connections.reply_memory() <= BOUND);
        let mut client = connect(server.resp_addr());
        ask(&mut client, b"PING\r\n", b"+PONG\r\n");
        drop(clients);
        wait_until("all is given back", || connections.reply_memory() == 0);
    });
}

#[test]
fn unfinished_requests_are_held_within_the_bound() {
    // Hundreds of clients hold a thread each in the other model.
    let server = Server::builder().max_reply_memory(Some(BOUND));
    let server = server.start().expect("a server on free ports");
    let connections = server.connections();
    // So long that no request is late: the largest is closed.
    connections.set_reply_patience(Duration::from_secs(600));
    let (redis, memcached) = (server.resp_addr(), server.memcached_addr());
    let half = vec![b'x'; MIB / 2];
    let heads = [
        (
            redis,
            format!("*4\r\n$4\r\nHSET\r\n$1\r\nh\r\n$1\r\nf\r\n${MIB}\r\n"),
        ),
        (
            redis,
            format!("*3\r\n$6\r\nAPPEND\r\n$1\r\na\r\n${MIB}\r\n"),
        ),
        (redis, format!("*3\r\n$5\r\nLPUSH\r\n$1\r\nl\r\n${MIB}\r\n")),
        (
            redis,
            format!("*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\nv\r\n$1\r\nb\r\n${MIB}\r\n"),
        ),
        (memcached, format!("append a 0 0 {MIB}\r\n")),
        (memcached, format!("ms a {MIB} MA\r\n")),
    ];
    let mut clients = Vec::new();
    for _ in 0..16 {
        for (address, head) in &heads {
            let mut client = connect(*address);
            // Its connection may be closed meanwhile.
            let _ = client
                .write_all(head.as_bytes())
                .and_then(|()| client.write_all(&half));
            clients.push(client);
        }
        assert!(
            connections.reply_memory() <= BOUND,
            "{}",
            connections.reply_memory()
        );
    }
    wait_until("too much has arrived", || {
        connections.closed_for_replies() > 0
    });
    // The slow ones hold more and are closed first, so a client that goes on isn't disturbed.
    let mut client = connect(redis);
    let value = &half[..MIB / 4];
    let head = format!(
        "*4\r\n$4\r\nHSET\r\n$1\r\nh\r\n$1\r\nf\r\n${}\r\n",
        value.len()
    );
    let whole = [head.as_bytes(), value, b"\r\n"].concat();
    for _ in 0..20 {
        client.write_all(&whole).expect("send");
        let mut reply = [0; 4];
        client.read_exact(&mut reply).expect("a reply");
        assert!([*b":1\r\n", *b":0\r\n"].contains(&reply), "{reply:?}");
    }
    drop(clients);
    wait_until("what they held is given back", || {
        connections.reply_memory() == 0
    });
}

#[test]
fn the_bound_can_be_changed_and_limits_what_is_stored() {
    both_models(BOUND, |server| {
        let mut redis = connect(server.resp_addr());
        let name = "*2\r\n$17\r\nmaxmemory-clients\r\n";
        let asked = b"CONFIG GET maxmemory-clients\r\n";
        ask(
            &mut redis,
            asked,
            format!("{name}$8\r\n16777216\r\n").as_bytes(),
        );
        ask(
            &mut redis,
            b"CONFIG SET maxmemory-clients 2mb\r\n",
            b"+OK\r\n",
        );
        ask(
            &mut redis,
            asked,
            format!("{name}$7\r\n2097152\r\n").as_bytes(),
        );
        // Of 2 MiB, three quarters are for one reply, which a value has to fit.
        let refused = b"-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
        ask(&mut redis, b"SETRANGE k 1572863 x\r\n", refused);
        ask(&mut redis, b"SETRANGE k 1500000 x\r\n", b":1500001\r\n");
        ask(
            &mut redis,
            b"GET k\r\n",
            &[b"$1500001\r\n", &[0; 1_500_000][..], b"x\r\n"].concat(),
        );
        redis.write_all(b"MGET k k\r\n").expect("send");
        read_to_close(&mut redis);
    });
}

#[test]
fn many_small_unread_replies_are_bounded_too() {
    both_models(2 * MIB, |server| {
        let mut redis = connect(server.resp_addr());
        let value = value(0, 100 << 10);
        let head = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len());
        ask(
            &mut redis,
            &[head.as_bytes(), &value, b"\r\n"].concat(),
            b"+OK\r\n",
        );
        let connections = server.connections();
        for (address, request) in [
            (server.resp_addr(), &b"GET k\r\n"[..]),
            (server.memcached_addr(), b"get k\r\n"),
        ] {
            let before = connections.closed_for_replies();
            let many = |_| silent(address, &request.repeat(200));
            let clients: Vec<_> = (0..120).map(many).collect();
            wait_until("one is closed", || {
                connections.closed_for_replies() > before
            });
            wait_until("the bound holds", || connections.reply_memory() <= 2 * MIB);
            ask(&mut redis, b"PING\r\n", b"+PONG\r\n");
            drop(clients);
            wait_until("all is given back", || connections.reply_memory() == 0);
        }
    });
}

/// Stores a hash whose reply takes about 7 MB; returns the reply.
fn fill_hash(server: &Server) -> Vec<u8> {
    let mut client = connect(server.resp_addr());
    let (mut reply, mut hset) = (b"*200000\r\n".to_vec(), Vec::new());
    for number in 0..100_000 {
        let (field, value) = (format!("field{number:06}"), format!("{number:040}"));
        hset.extend_from_slice(format!("HSET big {field} {value}\r\n").as_bytes());
        reply.extend_from_slice(format!("$11\r\n{field}\r\n$40\r\n{value}\r\n").as_bytes());
        if hset.len() > 50_000 || number == 99_999 {
            let answers = b":1\r\n".repeat(hset.iter().filter(|byte| **byte == b'\n').count());
            ask(&mut client, &hset, &answers);
            hset.clear();
        }
    }
    reply
}

#[test]
fn large_hashes_are_read_within_the_bound_and_a_client_that_ends_gives_its_part_back() {
    both_models(BOUND, |server| {
        let (reply, resp) = (&fill_hash(&server), server.resp_addr());
        let connections = server.connections();
        connections.set_reply_patience(PATIENCE);
        thread::scope(|scope| {
            let clients = (0..4).map(|_| {
                scope.spawn(move || {
                    let mut client = connect(resp);
                    client
                        .write_all(&b"HGETALL big\r\nPING\r\n".repeat(2))
                        .expect("send");
                    for _ in 0..2 {
                        ask(&mut client, b"", reply);
                        ask(&mut client, b"", b"+PONG\r\n");
                    }
                })
            });
            let clients: Vec<_> = clients.collect();
            while !clients.iter().all(|client| client.is_finished()) {
                let held = connections.reply_memory();
                assert!(held <= BOUND, "{held}");
                thread::yield_now();
            }
        });
        assert_eq!(connections.closed_for_replies(), 0);
        wait_until("all is written", || connections.reply_memory() == 0);

        // One that closes, and one that is killed.
        let client = silent(resp, b"HGETALL big\r\n");
        wait_until("it is kept", || connections.reply_memory() > 0);
        drop(client);
        wait_until("it is given back", || connections.reply_memory() == 0);
        let mut client = silent(resp, b"HGETALL big\r\n");
        wait_until("it is kept", || connections.reply_memory() > 0);
        connections.for_each(|connection| connection.kill());
        read_to_close(&mut client);
        wait_until("it is given back", || connections.reply_memory() == 0);
    });
}
