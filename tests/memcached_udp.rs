//! memcached over UDP, by real sockets: the frames, the end of the server, and clients that don't keep to the rules.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use larder::{Model, Server};

/// The longest wait for a reply before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

const MODELS: [Model; 2] = [Model::Turns, Model::Threads];

fn start(model: Model) -> Server {
    let builder = Server::builder().udp(Some("127.0.0.1:0".into()));
    // Under threads each connection has one to itself.
    builder
        .model(model)
        .workers(Some(2))
        .start()
        .expect("free ports")
}

/// A datagram with the header of a whole request.
fn request(id: u16, commands: &[u8]) -> Vec<u8> {
    framed([id, 0, 1, 0], commands)
}

fn framed(header: [u16; 4], data: &[u8]) -> Vec<u8> {
    [&header.map(u16::to_be_bytes).concat(), data].concat()
}

struct Client(UdpSocket);

impl Client {
    fn connect(address: SocketAddr) -> Client {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.connect(address).expect("an address");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        Client(socket)
    }

    fn send(&self, datagram: &[u8]) {
        self.0.send(datagram).expect("sent");
    }

    #[track_caller]
    fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 1 << 16];
        let length = self.0.recv(&mut buffer).expect("a datagram");
        buffer.truncate(length);
        buffer
    }

    /// Sends commands as this request; the reply has one datagram.
    #[track_caller]
    fn ask(&self, id: u16, commands: &str, reply: &str) {
        self.send(&request(id, commands.as_bytes()));
        assert_eq!(
            String::from_utf8_lossy(&self.receive()),
            String::from_utf8_lossy(&request(id, reply.as_bytes()))
        );
    }
}

fn connect(server: &Server) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(server.memcached_addr()).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    BufReader::new(stream)
}

/// Sends a line over TCP and reads one.
fn line(stream: &mut BufReader<TcpStream>, line: &str) -> String {
    let sent = stream.get_mut().write_all(line.as_bytes());
    sent.expect("sent");
    let mut reply = String::new();
    stream.read_line(&mut reply).expect("a line");
    reply
}

#[test]
fn items_are_those_of_connections() {
    for model in MODELS {
        let server = start(model);
        let udp = Client::connect(server.udp_addr());
        let mut tcp = connect(&server);
        assert_eq!(line(&mut tcp, "set foo 0 0 3\r\nbar\r\n"), "STORED\r\n");
        udp.ask(0, "get foo\r\n", "VALUE foo 0 3\r\nbar\r\nEND\r\n");
        udp.ask(
            u16::MAX,
            "set foo 0 0 1 noreply\r\n7\r\nincr foo 1\r\n",
            "8\r\n",
        );
        assert_eq!(line(&mut tcp, "incr foo 1\r\n"), "9\r\n");
        assert_eq!(server.listeners().last().expect("udp").0, "udp");
    }
}

#[test]
fn a_reply_has_as_many_datagrams_as_it_needs() {
    let server = start(Model::Turns);
    let udp = Client::connect(server.udp_addr());
    let mut tcp = connect(&server);
    let value: String = (0..5000).map(|n| char::from(b'a' + n as u8 % 26)).collect();
    let set = format!("set page 0 0 5000\r\n{value}\r\n");
    assert_eq!(line(&mut tcp, &set), "STORED\r\n");
    udp.send(&request(9, b"get page\r\n"));
    let reply = format!("VALUE page 0 5000\r\n{value}\r\nEND\r\n");
    let parts: Vec<&[u8]> = reply.as_bytes().chunks(1392).collect();
    for (number, part) in (0_u16..).zip(&parts) {
        let expected = framed([9, number, parts.len() as u16, 0], part);
        assert!(udp.receive() == expected, "datagram {number}");
    }
}

#[test]
fn datagrams_that_are_no_request_get_nothing() {
    let server = start(Model::Turns);
    let udp = Client::connect(server.udp_addr());
    let get = b"get foo\r\n";
    for ignored in [
        Vec::new(),
        request(1, get)[..7].to_vec(),
        request(1, b""),
        framed([1, 0, 2, 0], get),
        framed([1, 1, 2, 0], get),
        framed([1, 0, 0, 0], get),
        // Replies.
        request(1, b"ERROR\r\n"),
        request(1, b"5\r\n"),
        request(1, &[0x81; 24]),
        // Commands that go on behind the end.
        request(1, b"get fo"),
        request(1, b"set foo 0 0 2000000000\r\nab"),
        request(1, b"set foo 0 0 3\r\nba"),
        request(1, b"quit\r\n"),
    ] {
        udp.send(&ignored);
    }
    // None of them is the beginning of this one.
    udp.ask(2, "get foo\r\n", "END\r\n");
    // The number is not looked at, as in memcached.
    udp.send(&framed([3, 7, 1, 9], get));
    assert_eq!(udp.receive(), request(3, b"END\r\n"));
}

#[test]
fn two_servers_do_not_answer_each_other() {
    let server = start(Model::Turns);
    let other = start(Model::Turns);
    // An attacker would send an error to one server in the name of the other. It would come back as this.
    let udp = Client::connect(server.udp_addr());
    udp.ask(1, "nonsense\r\n", "ERROR\r\n");
    let replies = [
        &b"ERROR\r\n"[..],
        b"CLIENT_ERROR bad command line format\r\n",
    ];
    let peer = Client::connect(other.udp_addr());
    for reply in replies {
        peer.send(&request(1, reply));
    }
    peer.ask(2, "mn\r\n", "MN\r\n");
}

#[test]
fn the_server_ends_with_its_socket() {
    for model in MODELS {
        let server = start(model);
        let address = server.udp_addr();
        Client::connect(address).ask(1, "mn\r\n", "MN\r\n");
        server.stop();
        UdpSocket::bind(address).expect("the port is free again");
    }
    // On all addresses, without a datagram, and with nothing else to listen on.
    for any in ["0.0.0.0:0", "[::]:0"] {
        let builder = Server::builder().udp(Some(any.into()));
        let Ok(server) = builder.memcached(None).resp(None).start() else {
            eprintln!("SKIPPED: {any}: this machine has no such address");
            continue;
        };
        server.stop();
    }
}

#[test]
fn a_flood_leaves_connections_their_time() {
    for model in MODELS {
        let server = start(model);
        let address = server.udp_addr();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (begun, flooding) = sync_channel(0);
        let flood = thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
            let deadline = Instant::now() + PATIENCE;
            while !stopped.load(Relaxed) && Instant::now() < deadline {
                // A full buffer is no reason to stop.
                let _ = socket.send_to(&request(1, b"get foo\r\n"), address);
                let _ = begun.try_send(());
            }
        });
        flooding.recv_timeout(PATIENCE).expect("it begins");
        let mut tcp = connect(&server);
        for _ in 0..1000 {
            assert_eq!(line(&mut tcp, "get foo\r\n"), "END\r\n");
        }
        stop.store(true, Relaxed);
        flood.join().expect("it ends");
        server.stop();
    }
}

#[test]
fn udp_and_users_exclude_each_other() {
    let users = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(users.path(), "alice:horse\n").expect("written");
    let builder = Server::builder().udp(Some("127.0.0.1:0".into()));
    let error = builder.auth_file(Some(users.path().into())).start().err();
    let error = error.expect("it doesn't start").to_string();
    assert!(
        error.starts_with("UDP can't be used with a file of users"),
        "{error}"
    );
}

#[test]
fn a_port_in_use_is_an_error() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let error = Server::builder().udp(Some(address.clone())).start().err();
    assert_eq!(
        error.expect("it doesn't start").to_string(),
        format!("can't listen on {address}: another process already does")
    );
}

/// The lines of an answer, up to the end of a list or the answer to a ping.
fn lines(stream: &mut BufReader<TcpStream>, request: &str) -> Vec<String> {
    let mut lines = vec![line(stream, request)];
    while !["END\r\n", "+PONG\r\n"].contains(&lines.last().expect("one").as_str()) {
        let mut next = String::new();
        stream.read_line(&mut next).expect("a line");
        lines.push(next);
    }
    lines
}

#[test]
fn requests_are_counted_by_protocol() {
    let server = start(Model::Turns);
    let udp = Client::connect(server.udp_addr());
    let value = "v".repeat(30_000);
    let set = format!("set large 0 0 30000\r\n{value}\r\n");
    udp.ask(1, &set, "STORED\r\n");
    udp.ask(
        2,
        "get large\r\nget a\r\n",
        "SERVER_ERROR reply too large for UDP\r\n",
    );
    udp.send(&request(3, b"ERROR\r\n"));
    udp.send(b"short");
    udp.ask(4, "mg a\r\nms a 1\r\nb\r\n", "EN\r\nHD\r\n");
    let noop = [&[0x80, 0x0a][..], &[0; 22]].concat();
    udp.send(&request(5, &noop.repeat(3)));
    assert_eq!(udp.receive().len(), 8 + 3 * 24);
    // A command that waits for its value is counted once.
    let mut tcp = connect(&server);
    for part in ["set a 0 0 ", "3\r", "\n", "x"] {
        tcp.get_mut().write_all(part.as_bytes()).expect("sent");
        udp.ask(6, "mn\r\n", "MN\r\n");
    }
    assert_eq!(line(&mut tcp, "yz\r\n"), "STORED\r\n");
    let expected = [
        ("text_commands", 3),
        // mg, ms, mn four times
        ("meta_commands", 6),
        ("binary_commands", 3),
        ("udp_requests", 8),
        ("udp_ignored", 2),
        ("udp_too_large", 1),
    ];
    let general = lines(&mut tcp, "stats\r\n");
    let shown: Vec<String> = expected
        .map(|(name, count)| format!("STAT {name} {count}\r\n"))
        .into();
    assert_eq!(general[general.len() - 7..general.len() - 1], shown);

    let resp = TcpStream::connect(server.resp_addr()).expect("connected");
    resp.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut resp = BufReader::new(resp);
    let info = lines(&mut resp, "INFO stats\r\nPING\r\n");
    for (name, count) in expected {
        // `stats` itself is one more.
        let count = count + u64::from(name == "text_commands");
        let expected = format!("memcached_{name}:{count}\r\n");
        assert!(info.contains(&expected), "{expected}{info:?}");
    }
}

#[test]
fn stats_settings_have_the_port() {
    let server = start(Model::Turns);
    let port = server.udp_addr().port();
    let mut tcp = connect(&server);
    let settings = lines(&mut tcp, "stats settings\r\n");
    for expected in [
        format!("STAT udpport {port}\r\n"),
        "STAT num_threads_per_udp 1\r\n".to_owned(),
        format!("STAT tcpport {}\r\n", server.memcached_addr().port()),
    ] {
        assert!(settings.contains(&expected), "{expected}{settings:?}");
    }
    // Over UDP, too, in several datagrams.
    let udp = Client::connect(server.udp_addr());
    udp.send(&request(4, b"stats settings\r\n"));
    let first = udp.receive();
    assert_eq!((first.len(), &first[..4]), (1400, &[0, 4, 0, 0][..]));
}

#[test]
fn stats_conns_lists_listeners_the_udp_socket_and_connections() {
    let server = start(Model::Turns);
    let mut sender = connect(&server);
    assert_eq!(line(&mut sender, "set a 0 0 1\r\n1\r\n"), "STORED\r\n");
    let mut other = connect(&server);
    let states = |stream: &mut BufReader<TcpStream>| {
        let mut lines = lines(stream, "stats conns\r\n");
        lines.retain(|line| !line.contains("secs_since_last_cmd"));
        lines
    };
    let [tcp, udp] = [server.memcached_addr(), server.udp_addr()];
    let [first, second] =
        [&sender, &other].map(|stream| stream.get_ref().local_addr().expect("an address"));
    let expected = |state: &str| {
        format!(
            "STAT 1:addr tcp:{tcp}\r\nSTAT 1:state conn_listening\r\n\
             STAT 2:UDP UDP\r\nSTAT 2:addr udp:{udp}\r\nSTAT 2:state conn_read\r\n\
             STAT 3:addr tcp:{first}\r\nSTAT 3:listen_addr tcp:{tcp}\r\nSTAT 3:state {state}\r\n\
             STAT 4:addr tcp:{second}\r\nSTAT 4:listen_addr tcp:{tcp}\r\nSTAT 4:state conn_parse_cmd\r\nEND\r\n"
        )
    };
    assert_eq!(states(&mut other).concat(), expected("conn_read"));
    sender
        .get_mut()
        .write_all(b"set a 0 0 3\r\nx")
        .expect("sent");
    let deadline = Instant::now() + PATIENCE;
    while states(&mut other).concat() != expected("conn_nread") {
        assert!(Instant::now() < deadline, "{:?}", states(&mut other));
    }
    assert_eq!(line(&mut sender, "yz\r\n"), "STORED\r\n");
    assert_eq!(states(&mut other).concat(), expected("conn_read"));
    // A datagram's own connection is the socket.
    let udp = Client::connect(server.udp_addr());
    udp.send(&request(1, b"stats conns\r\n"));
    let reply = String::from_utf8_lossy(&udp.receive()).into_owned();
    assert!(reply.contains("STAT 2:state conn_parse_cmd"), "{reply}");
}

#[test]
fn a_datagram_ends_no_server() {
    let builder = Server::builder().udp(Some("127.0.0.1:0".into()));
    let server = builder.shutdown_command(true).start().expect("free ports");
    let udp = Client::connect(server.udp_addr());
    let refused = "SERVER_ERROR: shutdown not enabled\r\n";
    udp.ask(1, "shutdown\r\n", refused);
    udp.ask(2, "get a\r\n", "END\r\n");
}
