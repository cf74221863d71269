//! Loads over TLS, on larder and on servers that have none.

use std::net::TcpListener;
use std::sync::Arc;

use larder::{Server, ServerTls};

use crate::tls_support::Authority;
use crate::{bench, counted, planted};

fn with_tls(authority: &Authority, client_ca: bool) -> Server {
    let files = authority.issue("server");
    let client_ca = client_ca.then(|| authority.ca());
    let tls = ServerTls::new(files.cert, files.key, client_ca).expect("good files");
    let builder = Server::builder().tls(Some(Arc::new(tls)));
    builder.start().expect("free ports")
}

/// All keys are set and then found, and all values are right.
#[track_caller]
fn is_loaded(server: &str, protocol: &str, more: &[&str]) {
    let report = counted(server, more).report();
    assert_eq!(
        (&report["protocol"], &report["settings"]["tls"]),
        (&protocol.into(), &true.into())
    );
    assert_eq!(
        (&report["hits"], &report["wrong_values"]),
        (&900.into(), &0.into()),
        "{more:?}"
    );
}

#[test]
fn a_load_goes_over_tls() {
    let authority = Authority::new();
    let server = with_tls(&authority, false);
    let ca = authority.ca().display().to_string();
    let (memcached, resp) = (server.memcached_addr(), server.resp_addr());
    for (address, protocol) in [(memcached, "memcached"), (resp, "resp")] {
        let several: &[&[&str]] = &[
            &["--value-size", "0-70000"],
            &["--threads", "2", "--pipeline", "7"],
            &["--rate", "100000"],
            &["--reconnect", "--pipeline", "4", "--threads", "5"],
        ];
        for more in several {
            let more = [&["--tls-ca", &ca], *more].concat();
            is_loaded(&address.to_string(), protocol, &more);
        }
    }
    let trace = authority.path("trace.csv");
    std::fs::write(&trace, "1,a,10,get,0\n2,a,10,get,0\n").expect("it can be written");
    let (address, trace) = (memcached.to_string(), trace.display().to_string());
    let replay = ["--tls-ca", &ca, "--replay", &trace, "--timeout", "60"];
    let report = bench(&[&[address.as_str(), "--json"], replay.as_slice()].concat()).report();
    let counts = (&report["hits"], &report["misses"]);
    assert_eq!(counts, (&1.into(), &1.into()));
}

#[test]
fn a_server_with_tls_is_compared_with_one_without() {
    let authority = Authority::new();
    let (server, plain) = (with_tls(&authority, false), Server::builder().start());
    let plain = plain.expect("free ports");
    let [plain_address, tls] = [&plain, &server].map(|one| one.memcached_addr().to_string());
    let ca = authority.ca().display().to_string();
    let load = ["--seconds", "0.2", "--slice", "0.1", "--timeout", "60"];
    let sides = [
        plain_address.as_str(),
        "--versus",
        &tls,
        "--versus-tls-ca",
        &ca,
    ];
    let ran = bench(&[sides.as_slice(), &load].concat());
    assert_eq!((ran.code, ran.error.as_str()), (Some(0), ""), "{}", ran.out);
    let heads: Vec<&str> = ran
        .out
        .lines()
        .filter(|l| l.contains(": memcached, "))
        .collect();
    assert_eq!(heads.len(), 2, "{}", ran.out);
    assert!(
        !heads[0].contains("TLS") && heads[1].contains(", TLS, "),
        "{heads:?}"
    );
}

#[test]
fn a_server_gets_the_certificate_that_it_asks_for() {
    let authority = Authority::new();
    let server = with_tls(&authority, true);
    let address = server.memcached_addr().to_string();
    let files = authority.issue("client");
    let ca = ["--tls-ca".into(), authority.ca().display().to_string()];
    let own = ["--tls-cert".into(), files.cert.display().to_string()];
    let key = ["--tls-key".into(), files.key.display().to_string()];
    let more: Vec<&str> = [&ca, &own, &key]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    is_loaded(&address, "memcached", &more);
    counted(&address, &more[..2]).fails(2, "TLS: ");
    bench(&[&address, "--tls-cert", "x"]).fails(2, "--tls-key");
}

#[test]
fn a_load_over_tls_that_can_not_be_made_ends_with_its_reason() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = with_tls(&authority, false);
    let address = server.memcached_addr().to_string();
    let [ca, others] = [authority.ca(), other.ca()].map(|path| path.display().to_string());
    counted(&address, &["--tls-ca", &others]).fails(2, "TLS: invalid peer certificate");
    counted(&address, &["--tls-ca", "/no/file.pem"]).fails(2, "/no/file.pem");
    counted("/tmp/larder.sock", &["--tls-ca", &ca]).fails(2, "no TLS on a Unix socket");

    let plain = planted(|_| "ERROR\r\n".into());
    counted(&plain, &["--tls-ca", &ca]).fails(2, "no server answers at 127.0.0.1:");
    // A plain client of a TLS listener.
    counted(&address, &[]).fails(2, "is not known");

    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("an address").to_string();
    let impatient = [&address, "--tls-ca", &ca, "--timeout", "0.2"];
    bench(&impatient).fails(2, "no TLS handshake within 200ms");
}
