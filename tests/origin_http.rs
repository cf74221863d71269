//! The origin `http`: a real server, and scripted ones that are slow, wrong, endless or down.

mod origin_support;
mod proxy_support;
mod support;
mod tls_support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::origin::{HttpOrigin, Settings};
use larder::{ClientTls, Server};
use origin_support::{Client, front, resp, settings};
use proxy_support::{answerer, eventually, free_port, peer, sleeper};
use tempfile::TempDir;
use tls_support::{Authority, Identity};

/// An HTTP server that sends these bytes for a path, and goes on with the connection.
fn scripted(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    counted(answer, &Arc::default())
}

/// The same, and counts its connections.
fn counted(
    answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    connections: &Arc<AtomicUsize>,
) -> SocketAddr {
    let connections = Arc::clone(connections);
    peer(move |mut stream| {
        connections.fetch_add(1, Ordering::Relaxed);
        let requests = BufReader::new(stream.try_clone().expect("a second handle"));
        let mut path = String::new();
        for line in requests.lines().map_while(Result::ok) {
            if let Some(target) = line.strip_prefix("GET ") {
                path = target.trim_end_matches(" HTTP/1.1").to_owned();
            }
            if line.is_empty() && stream.write_all(&answer(&path)).is_err() {
                return;
            }
        }
    })
}

/// A response with a length.
fn response(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn origin_at(address: SocketAddr) -> HttpOrigin {
    HttpOrigin::new(&format!("http://{address}/items/{{key}}")).expect("a URL")
}

fn front_of(address: SocketAddr, settings: Settings) -> (Server, Client) {
    let server = front(origin_at(address), settings);
    let client = Client::memcached(&server);
    (server, client)
}

/// Asks for a key, whose value is this.
fn expect(client: &mut Client, key: &str, value: &str) {
    let length = value.len();
    client.ask(
        format!("get {key}\r\n"),
        format!("VALUE {key} 0 {length}\r\n{value}\r\nEND\r\n"),
    );
}

/// Serves the files of its directory, over TLS if there are a certificate and a key.
const PYTHON: &str = "
import http.server, ssl, sys
handler = http.server.SimpleHTTPRequestHandler
handler.protocol_version = 'HTTP/1.1'
server = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
";

/// Python's server of files. It ends when this is dropped.
struct PythonServer {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl PythonServer {
    /// With these files in the directory `items`; `None` without Python.
    fn start(files: &[(&str, &str)], identity: Option<&Identity>) -> Option<PythonServer> {
        let Some(python) = support::find("python3") else {
            support::skipped("python3 is not installed");
            return None;
        };
        let directory = tempfile::tempdir().expect("a directory");
        let items = directory.path().join("items");
        std::fs::create_dir(&items).expect("a directory");
        for (name, text) in files {
            std::fs::write(items.join(name), text).expect("a file");
        }
        let address = free_port();
        let mut command = Command::new(python);
        command.args(["-c", PYTHON, &address.port().to_string()]);
        if let Some(Identity { cert, key }) = identity {
            command.args([cert, key]);
        }
        let child = command
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        eventually("the server", || TcpStream::connect(address).is_ok());
        Some(PythonServer {
            child,
            address,
            _directory: directory,
        })
    }
}

impl Drop for PythonServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_server_gives_files_and_misses() {
    let files = [("user:42", "Ada"), ("empty", ""), ("100% & a b?#", "odd")];
    let Some(python) = PythonServer::start(&files, None) else {
        return;
    };
    let (server, mut client) = front_of(python.address, settings());
    expect(&mut client, "user:42", "Ada");
    expect(&mut client, "empty", "");
    client.ask("get missing\r\n", "END\r\n");
    let mut redis = Client::resp(&server);
    redis.ask(resp(&["GET", "100% & a b?#"]), "$3\r\nodd\r\n");
    redis.ask(resp(&["HGET", "user", "42"]), "$3\r\nAda\r\n");
    assert_eq!(client.stat("origin_found"), 4);
    assert_eq!(client.stat("origin_missing"), 1);
}

#[test]
fn a_real_server_with_tls_needs_a_certificate_of_the_authorities_for_its_host() {
    let (authority, other) = (Authority::new(), Authority::new());
    let identity = authority.issue("server");
    let Some(python) = PythonServer::start(&[("k", "value")], Some(&identity)) else {
        return;
    };
    let port = python.address.port();
    for (host, trusted, found) in [
        ("127.0.0.1", &authority, true),
        ("localhost", &authority, true),
        ("127.0.0.1", &other, false),
        ("127.0.0.2", &authority, false),
    ] {
        let tls = ClientTls::new(trusted.ca(), None).expect("a file");
        let url = format!("https://{host}:{port}/items/{{key}}");
        let origin = HttpOrigin::with_tls(&url, Arc::new(tls)).expect("a URL");
        let server = front(origin, settings());
        let mut client = Client::memcached(&server);
        match found {
            true => {
                expect(&mut client, "k", "value");
                client.ask("get missing\r\n", "END\r\n");
                assert_eq!(client.stat("origin_missing"), 1);
            }
            false => {
                client.ask("get k\r\n", "END\r\n");
                assert_eq!(client.stat("origin_unavailable"), 1);
            }
        }
    }
}

#[test]
fn every_byte_of_a_key_is_encoded() {
    let address = scripted(|path| response("200 OK", path));
    let (server, _client) = front_of(address, settings());
    let mut redis = Client::resp(&server);
    for (key, path) in [
        (&b"plain-._~09"[..], "/items/plain-._~09"),
        (b"a/../b", "/items/a%2F..%2Fb"),
        (b"?x=1&y#z", "/items/%3Fx%3D1%26y%23z"),
        (b"100%25 ", "/items/100%2525%20"),
        (b"\r\nHost: x", "/items/%0D%0AHost%3A%20x"),
        (b"\x00\xff\xc3\xa9", "/items/%00%FF%C3%A9"),
        (b"@{key}", "/items/%40%7Bkey%7D"),
    ] {
        redis.send(format!("*2\r\n$3\r\nGET\r\n${}\r\n", key.len()));
        redis.send(key);
        redis.send("\r\n");
        redis.expect(format!("${}\r\n{path}\r\n", path.len()));
    }
}

#[test]
fn a_key_that_is_a_relative_path_is_an_error_without_a_request() {
    let connections = Arc::default();
    let address = counted(|_| response("200 OK", "a list"), &connections);
    let (_server, mut client) = front_of(address, settings());
    client.ask("get . ..\r\n", "END\r\n");
    assert_eq!(client.stat("origin_errors"), 2);
    assert_eq!(connections.load(Ordering::Relaxed), 0);
}

#[test]
fn bodies_of_all_framings_are_values() {
    let address = scripted(|path| match path {
        "/items/chunked" => {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
                .to_vec()
        }
        "/items/limit" => response("200 OK", &"x".repeat(1995)),
        "/items/continued" => [
            b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(),
            response("200 OK", "later"),
        ]
        .concat(),
        _ => response("200 OK", ""),
    });
    let (_server, mut client) = front_of(address, settings());
    expect(&mut client, "chunked", "abcde");
    expect(&mut client, "limit", &"x".repeat(1995));
    expect(&mut client, "continued", "later");
    expect(&mut client, "empty", "");
    let closes = answerer(b"HTTP/1.0 200 OK\r\n\r\nuntil the end", true);
    expect(&mut front_of(closes, settings()).1, "k", "until the end");
}

#[test]
fn fetches_one_after_the_other_use_one_connection_whatever_their_status() {
    let connections = Arc::default();
    let address = counted(
        |path| match path {
            "/items/missing" => response("404 Not Found", "a page about it"),
            "/items/gone" => response("410 Gone", ""),
            "/items/broken" => response("500 Internal Server Error", "a trace"),
            path => response("200 OK", path),
        },
        &connections,
    );
    let (_server, mut client) = front_of(address, settings());
    expect(&mut client, "a", "/items/a");
    client.ask("get missing\r\n", "END\r\n");
    client.ask("get gone\r\n", "END\r\n");
    client.ask("get broken\r\n", "END\r\n");
    expect(&mut client, "b", "/items/b");
    expect(&mut client, "c", "/items/c");
    assert_eq!(client.stat("origin_missing"), 2);
    assert_eq!(client.stat("origin_errors"), 1);
    assert!(connections.load(Ordering::Relaxed) <= 4, "{connections:?}");
}

#[test]
fn a_connection_that_ends_when_it_is_used_again_is_replaced_once() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    let address = peer(move |mut stream: TcpStream| {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        let mut buffer = [0; 4096];
        // The third connection ends with its first request.
        if number != 2 && matches!(stream.read(&mut buffer), Ok(1..)) {
            let _ = stream.write_all(&response("200 OK", "value"));
        }
        let _ = stream.read(&mut buffer);
    });
    let (_server, mut client) = front_of(address, settings());
    expect(&mut client, "a", "value");
    expect(&mut client, "b", "value");
    client.ask("get c\r\n", "END\r\n");
    assert_eq!(client.stat("origin_unavailable"), 1);
    assert_eq!(connections.load(Ordering::Relaxed), 3);
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let elsewhere = scripted(|path| response("200 OK", &format!("elsewhere {path}")));
    let address = scripted(move |path| {
        let to = match path {
            "/items/near" => "/other/near".to_owned(),
            "/items/far" => format!("http://{elsewhere}/far"),
            "/items/round" => "/items/round".to_owned(),
            "/items/nowhere" => "ftp://127.0.0.1/".to_owned(),
            path => return response("200 OK", path),
        };
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    let (_server, mut client) = front_of(address, settings());
    expect(&mut client, "near", "/other/near");
    expect(&mut client, "far", "elsewhere /far");
    client.ask("get round nowhere\r\n", "END\r\n");
    assert_eq!(client.stat("origin_errors"), 2);
}

#[test]
fn a_server_that_fails_is_a_miss_and_a_statistic() {
    let huge_header: &[u8] = &[&b"HTTP/1.1 200 OK\r\nX: "[..], &[b'x'; 70_000]].concat();
    let huge_header: &'static [u8] = Box::leak(Box::from(huge_header));
    let failures: [(&'static [u8], &str); 12] = [
        (
            b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
            "origin_errors",
        ),
        (
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
            "origin_errors",
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "origin_errors"),
        (
            b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nx",
            "origin_errors",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "origin_errors",
        ),
        (b"VALUE k 0 1\r\nx\r\nEND\r\n", "origin_errors"),
        (huge_header, "origin_errors"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 4000000000\r\n\r\n",
            "origin_too_large",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n",
            "origin_too_large",
        ),
        (b"", "origin_unavailable"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "origin_unavailable"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ncut",
            "origin_unavailable",
        ),
    ];
    for (bytes, statistic) in failures {
        let (_server, mut client) = front_of(answerer(bytes, true), settings());
        client.ask("get k\r\n", "END\r\n");
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
        assert_eq!(client.stat(statistic), 1, "{shown}");
        assert_eq!(client.stat("origin_found"), 0, "{shown}");
    }
    let (_server, mut client) = front_of(free_port(), settings());
    client.ask("get k\r\n", "END\r\n");
    assert_eq!(client.stat("origin_unavailable"), 1);
}

#[test]
fn an_endless_body_is_read_to_the_limit_of_an_item_and_no_further() {
    let written = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&written);
    let address = peer(move |mut stream: TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while stream.write_all(b"400\r\n").is_ok()
            && stream.write_all(&[b'x'; 1024]).is_ok()
            && stream.write_all(b"\r\n").is_ok()
        {
            counted.fetch_add(1024, Ordering::Relaxed);
        }
    });
    let (_server, mut client) = front_of(address, settings());
    client.ask("get k\r\n", "END\r\n");
    assert_eq!(client.stat("origin_too_large"), 1);
    // Its write fails, because the connection is closed.
    let mut last = usize::MAX;
    eventually("the server's end", || {
        let before = std::mem::replace(&mut last, written.load(Ordering::Relaxed));
        std::thread::sleep(Duration::from_millis(100));
        before == last
    });
}

#[test]
fn a_slow_server_is_a_miss_at_the_deadline_and_hits_go_on() {
    let impatient = Settings {
        timeout: Duration::from_millis(200),
        ..settings()
    };
    let dribbles = |begin: &'static [u8]| {
        peer(move |mut stream: TcpStream| {
            let _ = stream.write_all(begin);
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        })
    };
    for address in [
        sleeper(),
        answerer(
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun",
            false,
        ),
        dribbles(b"HTTP/1.1 200 OK\r\nX-Slow: "),
        dribbles(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        dribbles(b"HTTP/1.1 200 OK\r\n\r\n"),
    ] {
        let (_server, mut client) = front_of(address, impatient);
        client.ask("set there 0 0 3\r\nhit\r\n", "STORED\r\n");
        client.ask("get k\r\n", "END\r\n");
        assert_eq!(client.stat("origin_timeouts"), 1);
        client.ask("get there\r\n", "VALUE there 0 3\r\nhit\r\nEND\r\n");
    }
}

#[test]
fn urls_that_make_no_sense_are_refused_with_the_reason() {
    for (url, why) in [
        ("127.0.0.1:8000/{key}", "is not a URL"),
        ("http:///{key}", "is not a URL"),
        ("http://a b/{key}", "is not a URL"),
        ("http://127.0.0.1:8000/items", "has to have {key}"),
        ("http://{key}.example/", "has to have {key}"),
        ("http://127.0.0.1/#{key}", "and no #"),
        ("http://user:secret@127.0.0.1/{key}", "sends no login"),
        ("https://127.0.0.1/{key}", "needs the authorities"),
    ] {
        let error = HttpOrigin::new(url).expect_err(url).to_string();
        assert!(error.contains(why), "{error}");
    }
    for url in [
        "http://[::1]:80/{key}",
        "http://a.example?id={key}&also={key}",
    ] {
        assert!(HttpOrigin::new(url).is_ok(), "{url}");
    }
}
