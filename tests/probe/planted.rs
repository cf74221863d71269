//! Servers with one fault each, of the kinds that first servers have. The probe must find it, by
//! its name.

use std::borrow::Cow;
use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;

use larder::server::{Next, Peer, Refusal, Service, Session, Turn};
use larder::tools::transcript::Protocol;

use super::{failed, report, support};

/// The planted fault.
#[derive(Clone, Copy)]
enum Fault {
    /// Takes the bytes of one read for whole commands, and drops the rest.
    Hasty,
    /// Sends the second instead of the first, which would be right.
    Says(&'static str, &'static str),
    /// Reads the second when the first is sent.
    Hears(&'static str, &'static str),
    /// Closes the connection after it has sent this.
    ClosesAfter(&'static str),
    /// Answers with this one time too many.
    Repeats(&'static str),
}

/// larder's service with a fault in it.
struct Faulty {
    inner: Arc<dyn Service>,
    fault: Fault,
}

impl Service for Faulty {
    fn protocol(&self) -> &'static str {
        self.inner.protocol()
    }

    fn open(&self, peer: Peer) -> Box<dyn Session> {
        let inner = self.inner.open(peer);
        Box::new(FaultySession {
            inner,
            fault: self.fault,
            heard: Vec::new(),
        })
    }

    fn refusal(&self, why: Refusal) -> Cow<'static, [u8]> {
        self.inner.refusal(why)
    }
}

struct FaultySession {
    inner: Box<dyn Session>,
    fault: Fault,
    heard: Vec<u8>,
}

impl Session for FaultySession {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        match self.fault {
            Fault::Hears(from, to) => self.heard.extend(replace(input, from, to)),
            _ => self.heard.extend_from_slice(input),
        }
        let mut said = Vec::new();
        let mut next = Next::Again;
        while next == Next::Again {
            let turn = self.inner.turn(&self.heard, &mut said);
            self.heard.drain(..turn.consumed);
            next = turn.next;
        }
        match self.fault {
            Fault::Hasty => self.heard.clear(),
            Fault::Says(from, to) => said = replace(&said, from, to),
            Fault::Repeats(what) => said = replace(&said, what, &what.repeat(2)),
            Fault::ClosesAfter(what) if contains(&said, what) => next = Next::Close,
            Fault::ClosesAfter(_) | Fault::Hears(..) => {}
        }
        output.extend_from_slice(&said);
        Turn {
            consumed: input.len(),
            next,
        }
    }
}

fn contains(bytes: &[u8], what: &str) -> bool {
    bytes
        .windows(what.len())
        .any(|window| window == what.as_bytes())
}

fn replace(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest
        .windows(from.len())
        .position(|window| window == from.as_bytes())
    {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(to.as_bytes());
        rest = &rest[at + from.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}

/// The probe, with `arguments`, finds the fault by the transcript `named` and finds nothing without
/// the fault.
#[track_caller]
fn finds(protocol: Protocol, fault: Fault, named: &str) {
    let right = support::larder::plain(protocol, |service| service);
    let wrong = support::larder::plain(protocol, |inner| Arc::new(Faulty { inner, fault }));
    let only = |address: String, patience: &str| {
        failed(&report(&[&address, "--only", named, "--timeout", patience]))
    };
    assert_eq!(
        only(right.address().to_string(), "60"),
        Vec::<String>::new()
    );
    assert_eq!(only(wrong.address().to_string(), "0.5"), [named]);
}

#[test]
fn resp_a_read_taken_for_a_command() {
    finds(Protocol::Resp, Fault::Hasty, "resp/ping");
}

#[test]
fn resp_an_aborted_transaction_answered_as_an_empty_one() {
    finds(
        Protocol::Resp,
        Fault::Says("*-1\r\n", "*0\r\n"),
        "resp/watch",
    );
}

#[test]
fn resp_a_bulk_string_answered_as_a_simple_one() {
    finds(
        Protocol::Resp,
        Fault::Says("$5\r\nhello\r\n", "+hello\r\n"),
        "resp/ping",
    );
}

#[test]
fn resp_a_watch_without_effect() {
    finds(
        Protocol::Resp,
        Fault::Hears("WATCH stock", "EXISTS nothing"),
        "resp/watch",
    );
}

#[test]
fn resp_a_connection_closed_too_early() {
    finds(Protocol::Resp, Fault::ClosesAfter("+PONG\r\n"), "resp/ping");
}

#[test]
fn resp_a_reply_too_many() {
    finds(
        Protocol::Resp,
        Fault::Repeats("$9\r\ntwo words\r\n"),
        "resp/ping",
    );
}

#[test]
fn memcached_a_read_taken_for_a_line() {
    finds(Protocol::Memcached, Fault::Hasty, "memcached/add");
}

#[test]
fn memcached_an_add_that_overwrites() {
    finds(
        Protocol::Memcached,
        Fault::Hears("add ", "set "),
        "memcached/add",
    );
}

#[test]
fn memcached_noreply_answered_all_the_same() {
    finds(
        Protocol::Memcached,
        Fault::Hears(" noreply", ""),
        "memcached/noreply",
    );
}

#[test]
fn memcached_items_that_never_expire() {
    finds(
        Protocol::Memcached,
        Fault::Hears(" 0 2 2\r\n", " 0 0 2\r\n"),
        "memcached/expiry",
    );
}

#[test]
fn memcached_a_connection_closed_for_an_unknown_command() {
    finds(
        Protocol::Memcached,
        Fault::ClosesAfter("ERROR\r\n"),
        "memcached/unknown_commands",
    );
}

#[test]
fn memcached_flags_forgotten() {
    finds(
        Protocol::Memcached,
        Fault::Says(" 4294967295 ", " 0 "),
        "memcached/set_and_get",
    );
}

#[test]
fn nested_a_read_taken_for_a_line() {
    finds(Protocol::Memcached, Fault::Hasty, "nested/paths");
}

#[test]
fn nested_a_child_without_its_parent() {
    finds(
        Protocol::Memcached,
        Fault::Says("NOT_STORED", "STORED"),
        "nested/parent_missing",
    );
}

#[test]
fn nested_names_of_children_without_quotes() {
    finds(
        Protocol::Memcached,
        Fault::Says("[\"", "["),
        "nested/children",
    );
}

#[test]
fn nested_a_deletion_of_a_missing_path_that_answers_deleted() {
    finds(
        Protocol::Memcached,
        Fault::Says("NOT_FOUND", "DELETED"),
        "nested/deletion",
    );
}

#[test]
fn nested_a_path_read_as_its_first_key() {
    finds(
        Protocol::Memcached,
        Fault::Hears("getn user 42", "getn user"),
        "nested/paths",
    );
}

/// A server that accepts connections and never answers. It ends with the test's process.
pub(super) fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut stream = stream;
                let _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    address
}
