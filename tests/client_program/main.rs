//! The commands that are clients of a cache, as shell scripts use them: against larder and memcached, and against servers that
//! misbehave.

#[path = "../proxy_support/mod.rs"]
mod proxy_support;
#[path = "../support/mod.rs"]
mod support;
#[path = "../tls_support/mod.rs"]
mod tls_support;

mod access;
mod copy;
mod keys;
mod one_key;
mod ping;
mod refusals;
mod resp;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use larder::Server;
use proxy_support::PATIENCE;
use serde_json::Value;
use support::{Kind, Peer};

/// A command's end.
struct Ran {
    code: Option<i32>,
    out: Vec<u8>,
    error: String,
}

/// Runs `larder` with these arguments.
fn larder(arguments: &[&str]) -> Ran {
    with_input(arguments, b"")
}

/// Runs `larder` with these arguments and bytes on its standard input. If they have no deadline, it has one that no test reaches.
fn with_input(arguments: &[&str], input: &[u8]) -> Ran {
    let deadline = match arguments.contains(&"--timeout") {
        true => &[][..],
        false => &["--timeout", "60s"],
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_larder"))
        .args(arguments)
        .args(deadline)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // A command that doesn't read its input may have ended.
    let _ = child.stdin.take().expect("it is piped").write_all(input);
    let output = child.wait_with_output().expect("its output");
    Ran {
        code: output.status.code(),
        out: output.stdout,
        error: String::from_utf8(output.stderr).expect("text"),
    }
}

impl Ran {
    /// It printed these bytes and nothing else, and ended with this code.
    #[track_caller]
    fn gives(&self, code: i32, out: impl AsRef<[u8]>) {
        let (printed, out) = (self.out.escape_ascii(), out.as_ref().escape_ascii());
        assert_eq!(
            (self.code, printed.to_string(), self.error.as_str()),
            (Some(code), out.to_string(), "")
        );
    }

    /// It failed with a text that has this part.
    #[track_caller]
    fn fails(&self, part: &str) {
        assert_eq!((self.code, &self.out[..]), (Some(2), &b""[..]));
        assert!(
            self.error.contains(part),
            "{part:?} is not in {}",
            self.error
        );
        assert_eq!(self.error.lines().count(), 1, "{}", self.error);
    }

    /// The JSON object that it printed.
    #[track_caller]
    fn object(&self) -> Value {
        assert_eq!(self.error, "");
        assert_eq!(self.out.iter().filter(|byte| **byte == b'\n').count(), 1);
        serde_json::from_slice(&self.out).expect("JSON")
    }
}

/// Runs a test with a larder, by host and port, and with both versions of memcached, by Unix socket.
fn with_each_server(test: impl Fn(&str)) {
    let server = Server::start().expect("free ports");
    test(&server.memcached_addr().to_string());
    for kind in [Kind::Memcached, Kind::NewMemcached] {
        match Peer::start(kind, &[]).expect("it starts") {
            Some(peer) => test(peer.socket().to_str().expect("text")),
            None => support::skipped_without(kind, "the test was made without it"),
        }
    }
}

/// A connection to the server at this address, for requests in its own protocol. Reads end after a minute.
trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

fn connect(address: &str) -> Box<dyn Stream> {
    match address.contains('/') {
        true => {
            let stream = UnixStream::connect(address).expect("connect");
            stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
            Box::new(stream)
        }
        false => {
            let stream = TcpStream::connect(address).expect("connect");
            stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
            Box::new(stream)
        }
    }
}

/// The reply to a request of RESP: a line, or a bulk string.
fn resp_of(address: &str, words: &[&str]) -> String {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request += &format!("${}\r\n{word}\r\n", word.len());
    }
    let mut stream = BufReader::new(connect(address));
    stream
        .get_mut()
        .write_all(request.as_bytes())
        .expect("send");
    let mut reply = String::new();
    stream.read_line(&mut reply).expect("a line");
    let length = reply
        .strip_prefix('$')
        .and_then(|length| length.trim().parse().ok());
    if let Some(length) = length {
        let length: usize = length;
        let mut value = vec![0; length + 2];
        stream.read_exact(&mut value).expect("a value");
        reply += &String::from_utf8(value).expect("text");
    }
    reply
}
