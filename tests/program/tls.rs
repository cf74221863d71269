//! TLS on the listeners of the built program: its options, its errors, HUP.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;

use crate::program::run::{FREE, Larder, Place, Talk};
use crate::server_support::Client;
use rustls::version::{TLS12, TLS13};

use crate::tls_support::{self, Authority, Identity, TlsClient, shown};

/// The arguments for these files.
fn files<'a>(identity: &'a Identity) -> [&'a str; 4] {
    let text = |path: &'a Path| path.to_str().expect("a plain name");
    [
        "--tls-cert",
        text(&identity.cert),
        "--tls-key",
        text(&identity.key),
    ]
}

fn connect(authority: &Authority, larder: &Larder, protocol: &str) -> Client<TlsClient> {
    let address: SocketAddr = larder.address(protocol).parse().expect("an address");
    Client(authority.connect(address))
}

/// The lines of a reply of memcached, as far as END.
fn lines_to_end(client: &mut Client<TlsClient>) -> Vec<String> {
    let mut text = Vec::new();
    while !text.ends_with(b"END\r\n") {
        let mut byte = [0];
        client.0.read_exact(&mut byte).expect("the rest");
        text.extend(byte);
    }
    let text = String::from_utf8(text).expect("text");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn all_tcp_listeners_speak_tls_and_unix_sockets_do_not() {
    let authority = Authority::new();
    let identity = authority.issue("server");
    let place = Place::new();
    for model in ["turns", "threads"] {
        let socket = place.path("socket");
        let unix = [
            "--unix",
            socket.to_str().expect("a plain name"),
            "--model",
            model,
        ];
        let larder = place.serve(&[&FREE[..], &files(&identity), &unix].concat(), 3);
        let mut memcached = connect(&authority, &larder, "memcached");
        memcached.send(b"set k 0 0 5\r\nhello\r\n");
        memcached.expect(b"STORED\r\n");
        let mut resp = connect(&authority, &larder, "resp");
        resp.send(b"GET k\r\n");
        resp.expect(b"$5\r\nhello\r\n");
        let mut plain = Talk::unix(&socket);
        plain.ask("get k\r\n", "VALUE k 0 5\r\nhello\r\nEND\r\n");
        plain.ask(
            "set large 0 0 700000\r\n".to_owned() + &"x".repeat(700_000) + "\r\n",
            "STORED\r\n",
        );

        // Received into memory of the store, and sent from it.
        let value = b"0123456789abcdef".repeat(40_000);
        let head = format!("{}\r\n", value.len());
        memcached.send(&[b"set big 0 0 ", head.as_bytes(), &value, b"\r\nget big\r\n"].concat());
        memcached.expect(b"STORED\r\n");
        memcached.expect(&[b"VALUE big 0 ", head.as_bytes(), &value, b"\r\nEND\r\n"].concat());
        let pipeline = 40;
        memcached.send(&b"get big\r\n".repeat(pipeline));
        for _ in 0..pipeline {
            memcached.expect(&[b"VALUE big 0 ", head.as_bytes(), &value, b"\r\nEND\r\n"].concat());
        }
    }
}

#[test]
fn hup_reads_the_files_again_and_a_bad_one_is_logged() {
    let authority = Authority::new();
    let identity = authority.issue("server");
    let place = Place::new();
    let mut larder = place.serve(&[&FREE[..], &files(&identity)].concat(), 2);
    let seen = |larder: &Larder| {
        let mut client = connect(&authority, larder, "resp");
        client.send(b"PING\r\n");
        client.expect(b"+PONG\r\n");
        shown(&client.0)
    };
    let first = seen(&larder);
    authority.issue("server");
    larder.signal("HUP");
    larder.logs("reloaded: the certificate of the listeners");
    let second = seen(&larder);
    assert_ne!(first, second);

    fs::write(&identity.cert, "no certificate").expect("a file");
    larder.signal("HUP");
    let line = larder
        .logs("[ERROR] the certificate of the listeners is not reloaded, the old one stays: ");
    assert!(
        line.contains("server.pem has no certificate in PEM format"),
        "{line}"
    );
    assert_eq!(seen(&larder), second);
}

#[test]
fn a_memcached_client_has_the_files_read_again_and_asks_about_them() {
    let authority = Authority::new();
    let identity = authority.issue("server");
    let place = Place::new();
    let mut larder = place.serve(&[&FREE[..], &files(&identity)].concat(), 2);
    let mut old = connect(&authority, &larder, "memcached");
    old.send(b"verbosity 1\r\n");
    old.expect(b"OK\r\n");
    let first = shown(&old.0);
    authority.issue("server");
    old.send(b"refresh_certs\r\n");
    old.expect(b"OK\r\n");
    larder.logs("reloaded: the certificate of the listeners, as a client asked");
    let mut new = connect(&authority, &larder, "memcached");
    new.send(b"verbosity 1\r\n");
    new.expect(b"OK\r\n");
    assert_ne!(shown(&new.0), first);

    fs::write(&identity.cert, "no certificate").expect("a file");
    old.send(b"refresh_certs noreply\r\nrefresh_certs\r\n");
    old.expect(b"SERVER_ERROR the certificates can't be used, the old ones stay; see the log\r\n");
    larder.logs("[ERROR] the certificate of the listeners is not reloaded, the old one stays: ");
    old.send(b"stats settings\r\n");
    let settings = lines_to_end(&mut old);
    let has = |line: &str| assert!(settings.contains(&line.to_owned()), "{line}: {settings:?}");
    has("STAT ssl_enabled yes");
    has(&format!("STAT ssl_chain_cert {}", identity.cert.display()));
    has("STAT ssl_verify_mode 0");
    has("STAT ssl_ca_cert NULL");
    old.send(b"stats\r\n");
    let stats = lines_to_end(&mut old);
    let age = stats
        .iter()
        .filter(|line| line.starts_with("STAT time_since_server_cert_refresh "));
    assert_eq!(age.count(), 1);

    let plain = place.serve(&FREE, 2);
    let mut plain = plain.memcached();
    plain.ask("refresh_certs\r\n", "ERROR\r\n");
}

#[test]
fn clients_with_an_older_version_than_the_oldest_are_refused() {
    let authority = Authority::new();
    let identity = authority.issue("server");
    let place = Place::new();
    for (oldest, answers_older) in [("1.2", true), ("1.3", false)] {
        let options = ["--tls-min-version", oldest];
        let larder = place.serve(&[&FREE[..], &files(&identity), &options].concat(), 2);
        let address: SocketAddr = larder.address("memcached").parse().expect("an address");
        for (version, answers) in [(&TLS12, answers_older), (&TLS13, true)] {
            let mut client = tls_support::connect(address, authority.trusting(version, None));
            let asked = client.write_all(b"verbosity 1\r\n");
            let mut reply = [0; 4];
            let read = asked.and_then(|()| client.read_exact(&mut reply));
            assert_eq!(read.is_ok(), answers, "{version:?} with {oldest}: {read:?}");
            assert!(!answers || reply == *b"OK\r\n");
        }
        let mut client = connect(&authority, &larder, "memcached");
        client.send(b"stats settings\r\n");
        let line = format!("STAT ssl_min_version tlsv{oldest}");
        assert!(lines_to_end(&mut client).contains(&line));
    }
}

#[test]
fn options_that_do_not_fit_together_are_named() {
    let authority = Authority::new();
    let identity = authority.issue("server");
    let other = authority.issue("other");
    let place = Place::new();
    let [cert_flag, cert, key_flag, key] = files(&identity);
    let other = other.key.to_str().expect("a plain name");
    for (arguments, part) in [
        (
            &[cert_flag, cert][..],
            "--tls-cert needs the key of the certificate: --tls-key FILE",
        ),
        (
            &[key_flag, key],
            "--tls-key needs the certificate of the key: --tls-cert FILE",
        ),
        (
            &["--tls-client-ca", cert],
            "--tls-client-ca needs a certificate",
        ),
        (
            &[cert_flag, "missing.pem", key_flag, key],
            "can't read missing.pem: No such file",
        ),
        (&[cert_flag, cert, key_flag, other], "can't be used"),
        (
            &[cert_flag, key, key_flag, key],
            "has no certificate in PEM format",
        ),
    ] {
        let printed = place.run(&[&FREE[..], arguments].concat());
        assert_eq!(printed.code, Some(1), "{printed:?}");
        assert!(printed.err.contains(part), "{}", printed.err);
    }
}
