//! TLS in the server core, under both models: with what clients may do right and wrong.

mod server_support;
mod tls_support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use larder::ServerTls;
use larder::server::{Connections, Listen, Model, Server, Settings};
use rustls::version::TLS13;
use socket2::{Domain, Socket, Type};

use server_support::{BIG, Client, Lines, MODELS, PATIENCE, TestServer, eventually, settings};
use tls_support::{Authority, TlsClient, VERSIONS, connect, session, shown, tcp};

/// Bytes of a fatal alert begin so.
const ALERT: u8 = 0x15;

struct Tls {
    authority: Authority,
    server: TestServer,
    tls: Arc<ServerTls>,
}

fn start_with(settings: Settings, client_ca: bool) -> Tls {
    let authority = Authority::new();
    let files = authority.issue("server");
    let ca = client_ca.then(|| authority.ca());
    let tls = Arc::new(ServerTls::new(files.cert, files.key, ca).expect("good files"));
    let connections = Connections::new();
    let running = Server::new(Arc::clone(&connections))
        .settings(settings)
        .listen(Listen::Tcp("127.0.0.1:0".into()), Arc::new(Lines))
        .tls(Some(Arc::clone(&tls)))
        .start()
        .expect("a free port");
    let server = TestServer {
        running,
        connections,
    };
    Tls {
        authority,
        server,
        tls,
    }
}

fn start(model: Model) -> Tls {
    start_with(settings(model), false)
}

impl Tls {
    fn connect(&self) -> Client<TlsClient> {
        Client(self.authority.connect(self.server.address()))
    }

    fn connect_plain(&self) -> Client<TcpStream> {
        Client(tcp(self.server.address()))
    }

    /// Nobody else is disturbed.
    fn serves(&self) {
        self.connect().echo("still here\n");
    }
}

/// The socket has ended or was reset, after these bytes at most.
fn read_to_end(socket: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    if let Err(error) = socket.read_to_end(&mut rest) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    rest
}

#[test]
fn both_versions_carry_lines() {
    for model in MODELS {
        let tls = start(model);
        for version in VERSIONS {
            let config = tls.authority.trusting(version, None);
            let mut client = Client(connect(tls.server.address(), config));
            for line in 0..100 {
                client.echo(&format!("line {line}\n"));
            }
            client.send(&b"many\n".repeat(50_000));
            client.expect(&b"many\n".repeat(50_000));
        }
    }
}

#[test]
fn no_bytes_are_forgotten_between_socket_and_session() {
    for model in MODELS {
        let tls = start(model);
        let mut client = tls.connect();
        client.echo("hello\n");
        // Its records fill the reads of the server in many ways.
        for length in [3000, 16_000, 65_000, 100_000, 1_000_000, 4_000_000] {
            let line = [&b"x".repeat(length)[..], b"\n"].concat();
            client.send(&line);
            client.expect(&line);
        }
    }
}

#[test]
fn records_may_come_byte_by_byte() {
    for model in MODELS {
        let tls = start(model);
        let mut socket = tcp(tls.server.address());
        socket.set_nodelay(true).expect("a socket");
        let mut client = session(tls.authority.trusting(&TLS13, None));
        let line = b"a line that comes in pieces\n";
        client.writer().write_all(line).expect("room");
        let mut got = Vec::new();
        while got.len() < line.len() {
            let mut records = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut records).expect("memory");
            }
            for byte in records {
                socket.write_all(&[byte]).expect("send");
            }
            client.read_tls(&mut socket).expect("records");
            client.process_new_packets().expect("right records");
            let _ = client.reader().read_to_end(&mut got);
        }
        assert_eq!(got, line);
    }
}

#[test]
fn a_client_that_does_not_read_waits_alone() {
    for model in MODELS {
        let tls = start(model);
        let mut slow = tls.connect();
        slow.echo("hello\n");
        // More than the sockets hold.
        let lines = 200;
        let sender = {
            let socket = slow.0.sock.try_clone().expect("a socket");
            let mut records = Vec::new();
            slow.0
                .conn
                .writer()
                .write_all(&b"big\n".repeat(lines))
                .expect("room");
            while slow.0.conn.wants_write() {
                slow.0.conn.write_tls(&mut records).expect("memory");
            }
            std::thread::spawn(move || (&socket).write_all(&records).expect("send"))
        };
        for _ in 0..20 {
            tls.serves();
        }
        let reply = [&b"x".repeat(BIG)[..], b"\n"].concat();
        for _ in 0..lines {
            slow.expect(&reply);
        }
        slow.echo("caught up\n");
        sender.join().expect("it has sent all");
    }
}

#[test]
fn both_sides_end_the_stream_with_a_notice() {
    for model in MODELS {
        let tls = start(model);
        let mut client = tls.connect();
        client.send(b"one\nquit\n");
        client.expect(b"one\nbye\n");
        // Without the notice this would be an error.
        client.expect_end();

        // The notice comes with the request, and the socket stays open.
        let mut client = tls.connect();
        client.echo("hello\n");
        client.0.conn.writer().write_all(b"last\n").expect("room");
        client.0.conn.send_close_notify();
        client.0.flush().expect("send");
        client.expect(b"last\n");
        client.expect_end();

        // A half-closed socket without the notice is an end, too.
        let mut client = tls.connect();
        client.echo("hello\n");
        client.send(b"last\n");
        client.0.sock.shutdown(Shutdown::Write).expect("a socket");
        client.expect(b"last\n");
        client.expect_end();
        tls.server.wait_for_connections(0);
    }
}

#[test]
fn bytes_that_are_no_handshake_get_an_alert_and_disturb_nobody() {
    let oversized = [&[0x16, 3, 1, 0xff, 0xff][..], &[0; 3000]].concat();
    let no_hello = [&[0x16, 3, 1, 0, 4][..], &[9, 0, 0, 0]].concat();
    let bad: [&[u8]; 4] = [
        b"get some key\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        &oversized,
        &no_hello,
    ];
    for model in MODELS {
        let tls = start(model);
        let mut bystander = tls.connect();
        bystander.echo("hello\n");
        for bytes in bad {
            let mut client = tls.connect_plain();
            client.send(bytes);
            let reply = read_to_end(&mut client.0);
            assert_eq!(
                reply.first(),
                Some(&ALERT),
                "{model:?} {bytes:?}: {reply:?}"
            );
            bystander.echo("still here\n");
        }
        tls.server.wait_for_connections(1);
    }
}

#[test]
fn garbage_after_the_handshake_closes_that_connection_with_an_alert() {
    for model in MODELS {
        for version in VERSIONS {
            let tls = start(model);
            let config = tls.authority.trusting(version, None);
            let mut client = Client(connect(tls.server.address(), config));
            client.echo("hello\n");
            let record = [&[0x17, 3, 3, 0, 32][..], &[7; 32]].concat();
            client.0.sock.write_all(&record).expect("send");
            let error = client.0.read(&mut [0]).expect_err("an alert").to_string();
            assert!(error.contains("BadRecordMac"), "{error}");
            tls.serves();
        }
    }
}

#[test]
fn clients_that_leave_during_the_handshake_are_forgotten() {
    for model in MODELS {
        let tls = start(model);
        let mut hello = Vec::new();
        let mut client = session(tls.authority.trusting(&TLS13, None));
        client.write_tls(&mut hello).expect("memory");
        for sent in [0, 1, 5, hello.len() / 2, hello.len()] {
            let mut socket = tcp(tls.server.address());
            socket.write_all(&hello[..sent]).expect("send");
        }
        tls.serves();
        tls.server.wait_for_connections(0);
    }
}

#[test]
fn damaged_bytes_at_any_place_disturb_nobody() {
    for model in MODELS {
        let tls = start(model);
        let mut bystander = tls.connect();
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let version = VERSIONS[random.usize(..2)];
            let mut client = session(tls.authority.trusting(version, None));
            let mut socket = tcp(tls.server.address());
            client.writer().write_all(b"a line\n").expect("room");
            // The first message, the end of the handshake, or the line.
            for _ in 0..random.usize(..3) {
                while client.wants_write() {
                    client.write_tls(&mut socket).expect("send");
                }
                client.read_tls(&mut socket).expect("records");
                client.process_new_packets().expect("right records");
            }
            let mut records = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut records).expect("memory");
            }
            for _ in 0..random.usize(1..4) {
                match records.len() {
                    0 => records.push(random.u8(..)),
                    length => records[random.usize(..length)] = random.u8(..),
                }
            }
            records.truncate(random.usize(..2 * records.len()).max(1));
            let _ = socket.write_all(&records);
            let _ = socket.shutdown(Shutdown::Write);
            read_to_end(&mut socket);
            bystander.echo(&format!("seed {seed}\n"));
        }
        tls.server.wait_for_connections(1);
    }
}

#[test]
fn a_stalled_handshake_counts_as_a_connection_and_ends() {
    for model in MODELS {
        let most = settings(model);
        let tls = start_with(
            Settings {
                max_connections: 3,
                ..most
            },
            false,
        );
        let mut silent = tls.connect_plain();
        let mut halfway = tls.connect_plain();
        halfway.send(&[0x16, 3, 1, 2, 0, 1, 0]);
        tls.server.wait_for_connections(2);
        tls.serves();
        tls.server.wait_for_connections(2);
        let mut served = tls.connect();
        served.echo("the last one\n");
        // Over the limit: closed, without a handshake.
        let mut refused = tls.connect_plain();
        refused.expect_gone();
        eventually("the deadline", || tls.server.connections.current() == 1);
        assert_eq!(read_to_end(&mut silent.0), b"");
        assert_eq!(read_to_end(&mut halfway.0), b"");
        served.echo("a connection without deadline\n");
    }
}

#[test]
fn clients_need_a_certificate_where_an_authority_is_given() {
    for model in MODELS {
        for version in VERSIONS {
            let tls = start_with(settings(model), true);
            let address = tls.server.address();
            let own = tls.authority.issue("client");
            let stranger = Authority::new();
            let foreign = stranger.issue("stranger");
            for (identity, admitted) in [(Some(&own), true), (None, false), (Some(&foreign), false)]
            {
                let config = tls.authority.trusting(version, identity);
                let mut client = connect(address, config);
                let sent = client.write_all(b"hello\n");
                let mut reply = [0; 6];
                let read = sent.and_then(|()| client.read_exact(&mut reply));
                assert_eq!(read.is_ok(), admitted, "{version:?}: {read:?}");
            }
        }
    }
}

#[test]
fn records_that_a_client_does_not_read_count_as_memory_of_its_reply() {
    let tls = start(Model::Turns);
    // Its socket takes little, so that the server keeps most of the reply.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a socket");
    let address = tls.server.address();
    socket.connect(&address.into()).expect("connect");
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket.set_write_timeout(Some(PATIENCE)).expect("timeout");
    let session = session(tls.authority.trusting(&TLS13, None));
    let mut client = Client(TlsClient::new(session, socket));
    let line = [&[b'x'; 4_000_000][..], b"\n"].concat();
    client.send(&line);
    let connections = &tls.server.connections;
    let is_counted = || {
        let left = line.len() - connections.bytes_written() as usize;
        left > 1 << 20 && connections.reply_memory() > left + (64 << 10)
    };
    eventually("the reply and its records are counted", is_counted);
    client.expect(&line);
    let all_read = || connections.reply_memory() == 0;
    eventually("all is given back", all_read);
}

#[test]
fn files_are_read_again_and_bad_ones_change_nothing() {
    for model in MODELS {
        let tls = start(model);
        let mut old = tls.connect();
        old.echo("hello\n");
        let first = shown(&old.0);

        tls.authority.issue("server");
        tls.tls.reload().expect("good files");
        let mut new = tls.connect();
        new.echo("hello\n");
        let second = shown(&new.0);
        assert_ne!(first, second);
        old.echo("the old connection stays\n");

        let key = tls.authority.path("server.key");
        let good = std::fs::read(&key).expect("a file");
        let other = tls.authority.issue("other").key;
        for (bad, part) in [
            (b"no key".to_vec(), "has no private key in PEM format"),
            (std::fs::read(other).expect("a file"), "can't be used"),
        ] {
            std::fs::write(&key, bad).expect("a file");
            let error = tls.tls.reload().expect_err("a bad key").to_string();
            assert!(
                error.contains(part) && error.contains("server.key"),
                "{error}"
            );
        }
        std::fs::remove_file(&key).expect("a file");
        let error = tls.tls.reload().expect_err("no key").to_string();
        assert!(error.contains("can't read"), "{error}");
        let mut new = tls.connect();
        new.echo("hello\n");
        assert_eq!(shown(&new.0), second);

        std::fs::write(&key, good).expect("a file");
        tls.tls.reload().expect("good files");
    }
}

#[test]
fn silent_connections_are_closed_with_a_notice() {
    for model in MODELS {
        let tls = start_with(
            Settings {
                idle_timeout: Some(std::time::Duration::from_millis(200)),
                ..settings(model)
            },
            false,
        );
        let mut client = tls.connect();
        client.echo("hello\n");
        client.expect_end();
    }
}

#[test]
fn a_shutdown_answers_requests_in_flight_and_notifies_the_others() {
    for model in MODELS {
        let tls = start(model);
        let mut quiet = tls.connect();
        quiet.echo("hello\n");
        let mut busy = tls.connect();
        busy.echo("hello\n");
        busy.send(b"half a ");
        let stalled = tls.connect_plain();
        tls.server.wait_for_connections(3);
        // The half line has arrived when a later client's whole line has been answered twice.
        tls.serves();
        tls.serves();
        tls.server.running.handle().begin_shutdown(PATIENCE);
        quiet.expect_end();
        busy.echo_rest("half a line\n", "line\n");
        busy.expect_end();
        drop(stalled);
        tls.server.running.join();
    }
}

// Without TLS the first bytes of a handshake are a malformed line, and the line behind them is a command.
#[test]
fn a_handshake_on_a_port_without_tls_is_a_bad_line() {
    for model in MODELS {
        let server = larder::Server::builder()
            .model(model)
            .workers(Some(2))
            .start();
        let server = server.expect("free ports");
        let authority = Authority::new();
        let hello = || {
            let mut bytes = Vec::new();
            let mut client = session(authority.trusting(&TLS13, None));
            client.write_tls(&mut bytes).expect("memory");
            bytes
        };
        let mut memcached = tcp(server.memcached_addr());
        let line = [&hello()[..], b"\nmn\r\n"].concat();
        memcached.write_all(&line).expect("send");
        let mut reply = Vec::new();
        while !reply.ends_with(b"MN\r\n") {
            let mut piece = [0; 1000];
            let length = memcached.read(&mut piece).expect("a reply");
            assert!(length > 0, "{}", reply.escape_ascii());
            reply.extend_from_slice(&piece[..length]);
        }
        let errors = String::from_utf8_lossy(&reply);
        for line in errors.trim_end_matches("MN\r\n").lines() {
            assert!(
                line == "ERROR" || line.starts_with("CLIENT_ERROR"),
                "{errors}"
            );
        }
        // RESP takes them for inline commands, as Redis does.
        let mut resp = tcp(server.resp_addr());
        resp.write_all(&[&hello()[..], b"\n"].concat())
            .expect("send");
        resp.shutdown(Shutdown::Write).expect("a socket");
        let reply = read_to_end(&mut resp);
        let is_error = reply.is_empty() || reply.starts_with(b"-ERR");
        assert!(is_error, "{}", reply.escape_ascii());
        let mut other = tcp(server.memcached_addr());
        other.write_all(b"mn\r\n").expect("send");
        let mut answer = [0; 4];
        other.read_exact(&mut answer).expect("a reply");
        assert_eq!(&answer, b"MN\r\n");
    }
}
