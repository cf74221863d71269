//! Servers that stall, lie, close and return: the error, and whether the connection is used again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use larder::client::{Cache, Client, Error, ErrorKind, MetaCommands, Settings};

use crate::proxy_support::{answer_lines, eventually, free_port, peer};
use crate::support::with_growing_deadlines;
use crate::{patient, serve_at};

/// A server whose first connection gets this treatment when its first line has come. Later connections get `END` for each
/// line, on which a `get` is a miss.
pub(crate) struct FirstIsBad {
    pub(crate) address: String,
    accepted: Arc<AtomicUsize>,
}

pub(crate) fn first_is_bad(treat: impl Fn(TcpStream) + Send + Sync + 'static) -> FirstIsBad {
    first_is_bad_then(treat, |_| "END\r\n".to_owned())
}

/// The same, with other answers to the lines of later connections.
pub(crate) fn first_is_bad_then(
    treat: impl Fn(TcpStream) + Send + Sync + 'static,
    answer: fn(&str) -> String,
) -> FirstIsBad {
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let address = peer(move |stream| {
        if count.fetch_add(1, SeqCst) > 0 {
            return answer_lines(stream, answer);
        }
        let mut line = String::new();
        let _ = BufReader::new(&stream).read_line(&mut line);
        treat(stream);
    });
    FirstIsBad {
        address: address.to_string(),
        accepted,
    }
}

/// Keeps a connection open, without a word, until the client closes it.
pub(crate) fn hold(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

/// Sends these bytes again and again until the client closes the connection.
fn repeat(mut stream: TcpStream, bytes: &[u8]) {
    while stream.write_all(bytes).is_ok() {}
}

/// The error of a `get` of `k`. The next one is answered, over another connection.
#[track_caller]
fn fails_once(server: &FirstIsBad, settings: Settings) -> Error {
    let client = Client::with_settings(&server.address, settings);
    let error = client.get("k").expect_err("the first connection is bad");
    assert_eq!(error.server(), server.address);
    assert!(error.to_string().starts_with(&server.address), "{error}");
    assert_eq!(client.get("k").expect("the second is good"), None);
    assert_eq!(client.get("k").expect("and is used again"), None);
    assert_eq!(server.accepted.load(SeqCst), 2, "{error}");
    error
}

#[test]
fn a_server_that_stalls_is_an_error_that_names_the_deadline() {
    with_growing_deadlines(|limit| {
        let server = first_is_bad(hold);
        let error = fails_once(&server, patient().read_deadline(limit));
        assert_eq!(error.kind(), ErrorKind::Deadline);
        let text = error.to_string();
        assert!(
            text.ends_with(&format!("did not answer within {limit:?}")),
            "{text}"
        );
    });
}

#[test]
fn a_server_that_stalls_within_a_value_is_one_as_well() {
    with_growing_deadlines(|limit| {
        let server = first_is_bad(|mut stream| {
            let _ = stream.write_all(b"VALUE k 0 10\r\nabc");
            hold(stream);
        });
        let error = fails_once(&server, patient().read_deadline(limit));
        assert_eq!(error.kind(), ErrorKind::Deadline);
    });
}

#[test]
fn a_server_that_reads_nothing_is_an_error_that_names_the_deadline() {
    let server = first_is_bad(hold_unread);
    let limit = Duration::from_millis(100);
    let client = Client::with_settings(&server.address, patient().write_deadline(limit));
    let error = client
        .set("k", vec![0; 32 << 20], None)
        .expect_err("it is not read");
    assert_eq!(error.kind(), ErrorKind::Deadline);
    let text = error.to_string();
    assert!(
        text.ends_with("did not accept the request within 100ms"),
        "{text}"
    );
}

/// Reads nothing more. Its writes fail when the client has closed the connection.
fn hold_unread(mut stream: TcpStream) {
    eventually("the client's end", || stream.write_all(b"\n").is_err());
}

#[test]
fn a_server_that_closes_within_a_reply_is_an_error() {
    for start in [
        &b""[..],
        b"VAL",
        b"VALUE k 0 10\r\nabc",
        b"VALUE k 0 3\r\nabc\r\n",
    ] {
        let server = first_is_bad(move |mut stream| {
            let _ = stream.write_all(start);
        });
        let error = fails_once(&server, patient());
        assert_eq!(error.kind(), ErrorKind::Lost, "{}", start.escape_ascii());
    }
}

#[test]
fn a_reply_that_does_not_fit_the_request_is_an_error() {
    for reply in [
        "VALUE other 0 1\r\nx\r\nEND\r\n",
        "VALUE k 0 1\r\nx\r\nVALUE k 0 1\r\nx\r\nEND\r\n",
        "VALUE k 0 1\r\nxyEND\r\n",
        "VALUE k 4294967296 1\r\nx\r\nEND\r\n",
        "VALUE k 0 -1\r\nEND\r\n",
        "STORED\r\n",
        "END\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
    ] {
        let server = first_is_bad(move |mut stream| {
            let _ = stream.write_all(reply.as_bytes());
            hold(stream);
        });
        let error = fails_once(&server, patient());
        assert_eq!(error.kind(), ErrorKind::Protocol, "{reply:?}: {error}");
    }
}

#[test]
fn a_meta_reply_that_does_not_fit_the_request_is_an_error() {
    for (reply, kind) in [
        ("HD\r\n", ErrorKind::Protocol),
        ("HD Oanother\r\n", ErrorKind::Protocol),
        ("VA 1 Oanother\r\nx\r\n", ErrorKind::Protocol),
        ("VA x\r\n", ErrorKind::Protocol),
        ("STORED\r\n", ErrorKind::Protocol),
        ("EN\r\n", ErrorKind::Protocol),
        ("VA 4294967296 v\r\n", ErrorKind::TooLong),
        ("CLIENT_ERROR invalid flag\r\n", ErrorKind::Refused),
    ] {
        let server = first_is_bad(move |mut stream| {
            let _ = stream.write_all(reply.as_bytes());
            hold(stream);
        });
        let client = Client::with_settings(&server.address, patient());
        let error = client.meta_delete("k", &[]).expect_err(reply);
        assert_eq!(error.kind(), kind, "{reply:?}: {error}");
        assert_eq!(client.get("k").expect("the second is good"), None);
        assert_eq!(server.accepted.load(SeqCst), 2, "{reply:?}");
    }
}

#[test]
fn an_endless_line_is_an_error() {
    let server = first_is_bad(|stream| repeat(stream, &[b'x'; 1000]));
    let error = fails_once(&server, patient());
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[test]
fn endless_statistics_are_an_error() {
    let server = first_is_bad(|stream| repeat(stream, b"STAT name value\r\n"));
    let client = Client::with_settings(&server.address, patient());
    let error = client.stats("").expect_err("they don't end");
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[test]
fn a_value_over_the_limit_is_an_error_when_its_length_is_announced() {
    let server = first_is_bad(|mut stream| {
        let _ = stream.write_all(b"VALUE k 0 4294967296\r\n");
        hold(stream);
    });
    let error = fails_once(&server, patient().max_value_size(1000));
    assert_eq!(error.kind(), ErrorKind::TooLong);
    let text = error.to_string();
    assert!(
        text.ends_with("sent a value of more than 1000 bytes"),
        "{text}"
    );
}

// A client that allocated the announced terabyte would end here.
#[test]
fn nothing_is_allocated_by_an_announced_length() {
    let server = first_is_bad(|mut stream| {
        let _ = stream.write_all(b"VALUE k 0 999999999999\r\nabc");
    });
    let error = fails_once(&server, patient().max_value_size(usize::MAX));
    assert_eq!(error.kind(), ErrorKind::Lost);
}

#[test]
fn only_an_error_after_the_whole_request_leaves_the_connection_in_use() {
    for (line, connections) in [
        ("SERVER_ERROR object too large for cache", 1),
        ("SERVER_ERROR out of memory storing object", 1),
        ("ERROR", 2),
        ("ERROR Too many open connections", 2),
        ("CLIENT_ERROR bad data chunk", 2),
    ] {
        let server = first_is_bad(move |stream| {
            let first = format!("{line}\r\n");
            let _ = (&stream).write_all(first.as_bytes());
            answer_lines(stream, |_| "END\r\n".to_owned());
        });
        let client = Client::with_settings(&server.address, patient());
        let error = client.get("k").expect_err("an error line");
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().ends_with(&format!("answered `{line}`")));
        assert_eq!(client.get("k").expect("an answer"), None);
        assert_eq!(server.accepted.load(SeqCst), connections, "{line}");
        assert!(!client.is_ejected());
    }
}

#[test]
fn bytes_that_no_request_asked_for_are_given_to_none() {
    let server = first_is_bad(|stream| {
        let _ = (&stream).write_all(b"END\r\nVALUE k 0 1\r\nx\r\nEND\r\n");
        hold(stream);
    });
    let client = Client::with_settings(&server.address, patient());
    assert_eq!(client.get("k").expect("an answer"), None);
    assert_eq!(client.get("k").expect("an answer"), None);
    assert_eq!(server.accepted.load(SeqCst), 2);
}

#[test]
fn a_connection_that_was_closed_while_idle_is_replaced() {
    let address = free_port();
    let server = serve_at(address);
    let client = Client::with_settings(&address.to_string(), patient());
    client.set("k", "1", None).expect("stored");
    server.stop();
    let _server = serve_at(address);
    assert_eq!(client.get("k").expect("a new connection"), None);
}

#[test]
fn a_server_that_goes_is_ejected_and_used_again_when_it_returns() {
    let address = free_port();
    let server = serve_at(address);
    let settings = patient().failures_until_ejected(2);
    let client = Client::with_settings(&address.to_string(), settings.clone());
    let lenient = settings.miss_when_unavailable(true);
    let lenient = Client::with_settings(&address.to_string(), lenient);
    client.set("k", "1", None).expect("stored");
    assert!(lenient.get("k").expect("an answer").is_some());
    server.stop();
    for _ in 0..2 {
        let error = client.get("k").expect_err("it is down");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(
            error.to_string().ends_with("refused the connection"),
            "{error}"
        );
        assert_eq!(lenient.get("k").expect("a miss"), None);
        assert_eq!(lenient.get_many(&["k", "l"]).expect("misses"), [None, None]);
        lenient.delete("k").expect_err("a change is no miss");
    }
    assert!(client.is_ejected() && lenient.is_ejected());
    eventually("an error without a connection", || {
        let error = client.get("k").expect_err("it is down");
        error
            .to_string()
            .ends_with("is ejected after consecutive errors; it is probed")
    });
    let _server = serve_at(address);
    eventually("its return", || client.set("k", "2", None).is_ok());
    assert!(!client.is_ejected());
    eventually("its return", || {
        lenient.get("k").expect("no error").is_some()
    });
}
