//! The commands that are clients of a cache, as shell scripts use them: against larder and memcached, and against servers that
//! misbehave.

#[path = "../proxy_support/mod.rs"]
mod proxy_support;
#[path = "../support/mod.rs"]
mod support;

mod one_key;
mod refusals;

use std::io::Write;
use std::process::{Command, Stdio};

use larder::Server;
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

/// Runs `larder` with these arguments and bytes on its standard input.
fn with_input(arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_larder"))
        .args(arguments)
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
            None => support::skipped(&format!("{} is not installed", kind.program())),
        }
    }
}
