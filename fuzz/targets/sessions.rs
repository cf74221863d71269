//! Whole sessions on a store, without sockets.
//!
//! The same bytes get the same replies in any pieces; the proxy's framers cut them into requests, and a session answers
//! each of these with exactly one reply of the shape that the proxy expects; and the store is whole afterwards.

use std::sync::Arc;
use std::time::Duration;

use larder::protocol::framing::reply::{FrameState, ReplyFramer, ReplyShape};
use larder::protocol::framing::request::{RequestBuffers, RequestFrame, RequestFramer, Route};
use larder::server::{Connections, DatagramService, Peer, Service};
use larder::service::memcached::{self, Memcached};
use larder::service::resp::{self, Resp};
use larder::store::Store;
use larder::tools::transcript::{Connection, InProcess, RealTime, Received, Target};

use super::files::store;
use super::{chosen, pieces};

/// Opens a session of a service.
pub(crate) fn connect(service: &Arc<dyn Service>) -> Box<dyn Connection> {
    let time = RealTime {
        at_most: Duration::ZERO,
    };
    let target = InProcess::new(Arc::clone(service), &time);
    target.connect().expect("a session needs no socket")
}

/// The bytes that a connection has received, and whether it has ended.
pub(crate) fn received(connection: &mut dyn Connection) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    loop {
        match connection.read(Duration::ZERO).expect("a session is sound") {
            Received::Bytes(bytes) => all.extend(bytes),
            Received::Nothing => return (all, false),
            Received::End => return (all, true),
        }
    }
}

/// The replies of a new service on a new store to an input in pieces.
fn replies<'a>(
    service: &dyn Fn(Arc<Store>) -> Arc<dyn Service>,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<u8>, bool) {
    let store = store();
    let mut connection = connect(&service(Arc::clone(&store)));
    for piece in pieces {
        connection.write(piece).expect("a session is sound");
    }
    let outcome = received(&mut *connection);
    drop(connection);
    store.check();
    outcome
}

/// Sends the requests that the proxy finds one by one, and checks that each gets one reply of the expected shape.
fn one_reply_each(service: Arc<dyn Service>, mut framer: RequestFramer, input: &[u8]) {
    let mut connection = connect(&service);
    let mut scratch = RequestBuffers::default();
    let mut rest = input;
    while !rest.is_empty() {
        let (consumed, shape) = match framer.frame(rest, &mut scratch) {
            RequestFrame::Request(request, consumed) => {
                let fence: &[u8] = match request.shape {
                    // The proxy finds the end of the replies by the reply to this.
                    ReplyShape::Fenced => b"mn\r\n",
                    _ => b"",
                };
                let bytes = [request.bytes, fence].concat();
                connection.write(&bytes).expect("a session is sound");
                let is_plain = matches!(
                    request.route,
                    Route::Key(_) | Route::Together(_) | Route::Split(..) | Route::Any
                );
                (consumed, is_plain.then_some(request.shape))
            }
            RequestFrame::Nothing(consumed) if consumed > 0 => {
                (consumed, Some(ReplyShape::Nothing))
            }
            _ => return,
        };
        let (reply, has_ended) = received(&mut *connection);
        // A reply that is too large ends the connection, and a command of the connection may change what a request is.
        let Some(shape) = shape.filter(|_| !has_ended) else {
            return;
        };
        let request = rest[..consumed].escape_ascii();
        assert_one(shape, &reply, &request);
        rest = &rest[consumed..];
    }
}

fn assert_one(shape: ReplyShape, reply: &[u8], request: &dyn std::fmt::Display) {
    let shown = reply.escape_ascii();
    if shape == ReplyShape::Nothing {
        assert!(reply.is_empty(), "{request} was answered with {shown}");
        return;
    }
    let mut framer = ReplyFramer::new(shape);
    let (mut used, mut state) = (0, FrameState::More);
    // A framer may stop behind a part that the proxy changes.
    while state == FrameState::More && used < reply.len() {
        let progress = framer.feed(&reply[used..]);
        assert!(progress.used > 0 || progress.state != FrameState::More);
        (used, state) = (used + progress.used, progress.state);
    }
    assert_eq!(
        (used, state),
        (reply.len(), FrameState::Done),
        "{request} was answered with {shown}, which is not one reply of {shape:?}"
    );
}

/// Whether the input has a word of a command whose reply depends on time, chance or the process.
fn varies(input: &[u8], words: &[&str]) -> bool {
    let text = String::from_utf8_lossy(input).to_ascii_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// memcached's protocols: text, meta and binary, by the first byte.
pub(crate) fn memcached_session(bytes: &[u8]) {
    let (choice, input) = chosen(bytes);
    let nested = choice % 2 == 0;
    let service = |store: Arc<Store>| -> Arc<dyn Service> {
        let settings = memcached::Settings {
            nested,
            ..memcached::Settings::default()
        };
        Arc::new(Memcached::new(store, Connections::new(), settings))
    };
    let whole = replies(&service, std::iter::once(input));
    let cut = replies(&service, pieces(choice / 2, input));
    // Statistics, the binary STAT, keys in the order of a hash, and what is written down for `watch`.
    let binary_stat = input.starts_with(&[0x80]) && input.contains(&0x10);
    if !varies(input, &["stats", "lru_crawler", "watch", "mn", "me "]) && !binary_stat {
        assert_eq!(cut, whole, "pieces of {}", choice / 2);
    }
    one_reply_each(service(store()), RequestFramer::memcached(), input);
}

/// RESP.
pub(crate) fn resp_session(bytes: &[u8]) {
    let (choice, input) = chosen(bytes);
    let service = |store: Arc<Store>| -> Arc<dyn Service> {
        Arc::new(Resp::new(
            store,
            Connections::new(),
            resp::Settings::default(),
        ))
    };
    let whole = replies(&service, std::iter::once(input));
    let cut = replies(&service, pieces(choice, input));
    let varying = [
        "rand", "client", "info", "scan", "keys", "genpass", "time", "hello", "memory", "debug",
        "save", "acl", "lolwut", "object", "config", "latency", "slowlog", "monitor", "watch",
    ];
    if !varies(input, &varying) {
        assert_eq!(cut, whole, "pieces of {choice}");
    }
    one_reply_each(service(store()), RequestFramer::resp(), input);
}

/// Datagrams: a reply has at most 16, each with the number of the request, and no reply is itself answered.
pub(crate) fn udp(bytes: &[u8]) {
    let service = Memcached::new(store(), Connections::new(), memcached::Settings::default());
    let mut session = service.open_socket(Peer::detached());
    let (size, input) = chosen(bytes);
    for datagram in pieces(size, input) {
        let mut sent = Vec::new();
        session.answer(datagram, &mut |reply| sent.push(reply.to_vec()));
        assert!(sent.len() <= 16);
        for reply in &sent {
            assert_eq!(reply[..2], datagram[..2]);
            assert!(reply.len() <= 1400);
        }
        for reply in &sent {
            session.answer(reply, &mut |_| panic!("a reply was answered"));
        }
    }
}
