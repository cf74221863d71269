//! TLS of the proxy and of invalidation: on their listeners, and towards upstreams.

mod proxy_support;
mod support;
mod tls_support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use larder::invalidate::{self, Invalidate, Target, TargetKind};
use larder::pool::Placement;
use larder::proxy::{Protocol, Proxy};
use larder::server::{ClientTls, Listen};
use larder::{Server, ServerTls};

use proxy_support::{Program, TestProxy, eventually, list, settings};
use tls_support::{Authority, Identity, TlsClient, shown, tcp};

fn tls_of(identity: &Identity) -> Option<Arc<ServerTls>> {
    Some(Arc::new(
        ServerTls::new(&identity.cert, &identity.key, None).expect("good files"),
    ))
}

fn trusting(authority: &Authority) -> Option<Arc<ClientTls>> {
    Some(Arc::new(
        ClientTls::new(authority.ca(), None).expect("good files"),
    ))
}

/// A larder with TLS.
fn upstream(tls: Option<Arc<ServerTls>>) -> Server {
    Server::builder().tls(tls).start().expect("free ports")
}

fn address_of(server: &Server, protocol: Protocol) -> SocketAddr {
    match protocol {
        Protocol::Memcached => server.memcached_addr(),
        Protocol::Resp => server.resp_addr(),
    }
}

/// A proxy with TLS in front of these servers.
fn proxy(
    protocol: Protocol,
    servers: &[SocketAddr],
    tls: Option<Arc<ServerTls>>,
    upstream_tls: Option<Arc<ClientTls>>,
) -> TestProxy {
    let (running, control) = Proxy::new(settings(protocol), list(servers), Placement::Ketama)
        .tls(tls)
        .upstream_tls(upstream_tls)
        .start(Listen::Tcp("127.0.0.1:0".into()))
        .expect("a free port");
    TestProxy { running, control }
}

fn of(proxy: &TestProxy) -> SocketAddr {
    proxy.running.addresses()[0].tcp().expect("a TCP listener")
}

#[track_caller]
fn ask(client: &mut impl Both, request: &[u8], reply: &[u8]) {
    client.write_all(request).expect("send");
    let mut got = vec![0; reply.len()];
    client.read_exact(&mut got).expect("a reply");
    assert!(
        got == reply,
        "{}",
        String::from_utf8_lossy(&got[..got.len().min(200)])
    );
}

trait Both: Read + Write {}
impl Both for TlsClient {}
impl Both for TcpStream {}

/// The line that answers a request.
fn line(client: &mut impl Both, request: &[u8]) -> String {
    client.write_all(request).expect("send");
    let mut line = Vec::new();
    let mut byte = [0];
    while line.last() != Some(&b'\n') {
        client.read_exact(&mut byte).expect("a line");
        line.push(byte[0]);
    }
    String::from_utf8_lossy(&line).into_owned()
}

#[test]
fn requests_and_replies_pass_with_tls_on_both_sides() {
    let authority = Authority::new();
    let identity = authority.issue("all");
    let large = b"0123456789abcdef".repeat(50_000);
    for protocol in [Protocol::Resp, Protocol::Memcached] {
        let servers = [(); 2].map(|()| upstream(tls_of(&identity)));
        let addresses = servers.each_ref().map(|it| address_of(it, protocol));
        let proxy = proxy(
            protocol,
            &addresses,
            tls_of(&identity),
            trusting(&authority),
        );
        let mut clients: Vec<TlsClient> = (0..20).map(|_| authority.connect(of(&proxy))).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            let size = large.len();
            let (set, get) = match protocol {
                Protocol::Resp => (
                    format!("*3\r\n$3\r\nSET\r\n$3\r\nk{number:02}\r\n${size}\r\n"),
                    format!("GET k{number:02}\r\n"),
                ),
                Protocol::Memcached => (
                    format!("set k{number:02} 0 0 {size}\r\n"),
                    format!("get k{number:02}\r\n"),
                ),
            };
            let (stored, value, end) = match protocol {
                Protocol::Resp => (&b"+OK\r\n"[..], format!("${size}\r\n"), &b"\r\n"[..]),
                Protocol::Memcached => (
                    &b"STORED\r\n"[..],
                    format!("VALUE k{number:02} 0 {size}\r\n"),
                    &b"\r\nEND\r\n"[..],
                ),
            };
            ask(client, &[set.as_bytes(), &large, b"\r\n"].concat(), stored);
            let reply = [value.as_bytes(), &large, end].concat();
            // More than the sockets hold, so that the rest waits.
            client.write_all(get.repeat(10).as_bytes()).expect("send");
            for _ in 0..10 {
                ask(client, b"", &reply);
            }
        }
        // The notice of the end.
        let mut last = clients.remove(0);
        last.conn.send_close_notify();
        last.flush().expect("send");
        assert_eq!(last.read(&mut [0]).expect("a notice"), 0);
    }
}

#[test]
fn upstreams_are_verified_and_may_ask_for_a_certificate() {
    let authority = Authority::new();
    let own = authority.issue("server");
    let other_name = authority.issue_for("other", &["cache.example"]);
    let foreign = Authority::new();
    let ca = Some(authority.ca());
    let strict = ServerTls::new(&own.cert, &own.key, ca).expect("good files");
    let identity = authority.issue("proxy");
    let with_identity = ClientTls::new(authority.ca(), Some((identity.cert, identity.key)));
    let with_identity = Some(Arc::new(with_identity.expect("good files")));
    let strict = Some(Arc::new(strict));
    for (server, client, part) in [
        (tls_of(&own), trusting(&authority), "+PONG"),
        (tls_of(&own), trusting(&foreign), "invalid peer certificate"),
        (
            tls_of(&other_name),
            trusting(&authority),
            "not valid for name",
        ),
        (tls_of(&own), None, "don't follow the protocol"),
        (strict.clone(), with_identity, "+PONG"),
        (strict, trusting(&authority), "CertificateRequired"),
    ] {
        let server = upstream(server);
        let proxy = proxy(Protocol::Resp, &[server.resp_addr()], None, client);
        let mut client = tcp(of(&proxy));
        ask(&mut client, b"PING\r\n", b"+PONG\r\n");
        let answer = line(&mut client, b"GET k\r\n");
        match part {
            "+PONG" => assert_eq!(answer, "$-1\r\n"),
            part => assert!(
                answer.starts_with('-') && answer.contains(part),
                "{part}: {answer}"
            ),
        }
    }
}

#[test]
fn an_upstream_that_speaks_no_tls_fails_to_connect() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            // All of the client's first message, so that the close doesn't reset the connection.
            let _ = socket.read(&mut [0; 16 << 10]);
            let _ = socket.write_all(b"-ERR unknown command\r\n");
            let _ = socket.read(&mut [0; 16 << 10]);
        }
    });
    let tls = trusting(&Authority::new());
    let proxy = proxy(Protocol::Resp, &[address], None, tls);
    let answer = line(&mut tcp(of(&proxy)), b"GET k\r\n");
    let cause = "can't be connected to: TLS: received corrupt message";
    assert!(answer.contains(cause), "{answer}");
}

#[test]
fn clients_without_tls_or_with_a_stalled_handshake_are_closed() {
    let server = upstream(None);
    let authority = Authority::new();
    let identity = authority.issue("proxy");
    let proxy = proxy(
        Protocol::Memcached,
        &[server.memcached_addr()],
        tls_of(&identity),
        None,
    );
    let mut stalled = tcp(of(&proxy));
    stalled.write_all(&[0x16, 3, 1, 2, 0]).expect("send");
    let mut good = authority.connect(of(&proxy));
    ask(&mut good, b"set k 0 0 1\r\nx\r\n", b"STORED\r\n");
    let mut plain = tcp(of(&proxy));
    plain.write_all(b"get k\r\n").expect("send");
    let mut alert = [0];
    plain.read_exact(&mut alert).expect("an alert");
    assert_eq!(alert, [0x15]);
    let mut rest = Vec::new();
    let _ = plain.read_to_end(&mut rest);
    assert!(rest.len() < 20, "the rest of the alert");
    assert_eq!(stalled.read(&mut alert).expect("an orderly end"), 0);
    ask(&mut good, b"get k\r\n", b"VALUE k 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn invalidation_has_tls_on_both_sides() {
    let authority = Authority::new();
    let identity = authority.issue("all");
    let cache = upstream(tls_of(&identity));
    let spool = tempfile::tempdir().expect("a directory");
    let mut targets = Vec::new();
    for (kind, address) in [
        (TargetKind::Memcached, cache.memcached_addr()),
        (TargetKind::Redis, cache.resp_addr()),
    ] {
        let mut target = Target::new(&kind.to_string(), list(&[address]));
        target.kind = kind;
        target.tls = trusting(&authority);
        targets.push(target);
    }
    let listen = (Protocol::Memcached, Listen::Tcp("127.0.0.1:0".into()));
    let (running, _control) = Invalidate::new(invalidate::Settings::new(spool.path()), targets)
        .tls(tls_of(&identity))
        .start(vec![listen])
        .expect("a free port");
    let address = running.listeners().next().and_then(|(_, it)| it.tcp());
    let address = address.expect("a TCP listener");

    let mut reader = authority.connect(cache.memcached_addr());
    ask(&mut reader, b"set k 0 0 1\r\nx\r\n", b"STORED\r\n");
    let mut writer = authority.connect(address);
    ask(&mut writer, b"delete k\r\n", b"DELETED\r\n");
    eventually("the delete", || {
        line(&mut reader, b"touch k 0\r\n") == "NOT_FOUND\r\n"
    });

    let tls = trusting(&authority).expect("it was made");
    let shown = invalidate::inspect(Some(&address.to_string()), Some(&tls), spool.path());
    assert!(shown.expect("an answer").contains("pending"));
}

#[test]
fn the_program_takes_files_and_reads_them_again_on_hup() {
    let authority = Authority::new();
    let server = upstream(tls_of(&authority.issue("server")));
    let front = authority.issue("proxy");
    let files = [front.cert, front.key, authority.ca()];
    let [cert, key, ca] = files
        .each_ref()
        .map(|file| file.to_str().expect("a plain name"));
    let address = server.resp_addr().to_string();
    let proxy = Program::start(&[
        "--upstream",
        &address,
        "--tls-cert",
        cert,
        "--tls-key",
        key,
        "--upstream-tls-ca",
        ca,
    ]);
    let seen = || {
        let mut client = authority.connect(proxy.address);
        ask(&mut client, b"SET k v\r\nGET k\r\n", b"+OK\r\n$1\r\nv\r\n");
        shown(&client)
    };
    let first = seen();
    authority.issue("proxy");
    proxy.signal("-HUP");
    eventually("the new certificate", || seen() != first);
}
