//! The readers of replies: the proxy's framers, the client, and the map of a cluster.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use larder::client::{Cache, Client, MetaCommands, Protocol, Settings};
use larder::fuzzed;
use larder::protocol::framing::reply::{BinaryReply, FrameState, ReplyFramer, ReplyShape};
use larder::protocol::memcached::binary::ReplyTo;

use super::{chosen, pieces};

/// The shape of the replies that a fuzzed byte chooses.
fn shape(choice: u8) -> ReplyShape {
    let shapes = [
        ReplyShape::Resp,
        ReplyShape::Line,
        ReplyShape::Values,
        ReplyShape::Stats,
        ReplyShape::Meta,
        ReplyShape::Fenced,
        ReplyShape::Binary(BinaryReply::unchanged(ReplyTo {
            opcode: choice / 8,
            opaque: 0,
        })),
    ];
    shapes[usize::from(choice) % shapes.len()]
}

/// The ends of replies in an input that arrives in pieces, and whether something was no reply.
fn ends(shape: ReplyShape, pieces: &mut dyn Iterator<Item = &[u8]>) -> (Vec<usize>, bool) {
    let (mut found, mut at) = (Vec::new(), 0);
    let mut framer = ReplyFramer::new(shape);
    for mut piece in pieces {
        while !piece.is_empty() {
            let progress = framer.feed(piece);
            assert!(progress.used <= piece.len());
            at += progress.used;
            piece = &piece[progress.used..];
            match progress.state {
                // A framer may stop behind a part that the proxy changes.
                FrameState::More => assert!(progress.used > 0),
                FrameState::Done => {
                    assert!(progress.used > 0);
                    found.push(at);
                }
                FrameState::Garbage => return (found, true),
            }
        }
    }
    (found, false)
}

/// Replies of upstreams: they end at the same bytes in any pieces.
pub(crate) fn proxy_replies(bytes: &[u8]) {
    let (choice, rest) = chosen(bytes);
    let (size, input) = chosen(rest);
    let whole = ends(shape(choice), &mut std::iter::once(input));
    let cut = ends(shape(choice), &mut pieces(size, input));
    assert_eq!(cut, whole);
}

/// The map and the redirections of a cluster: every server that is named has an address.
pub(crate) fn cluster_replies(bytes: &[u8]) {
    for address in fuzzed::cluster_slots(bytes).unwrap_or_default() {
        assert!(address.contains(':'), "{address}");
    }
    if let Some(address) = fuzzed::redirection(bytes) {
        let (host, port) = address.rsplit_once(':').expect("a host and a port");
        assert!(!host.is_empty() && port.parse::<u16>().is_ok(), "{address}");
    }
}

thread_local! {
    static LISTENER: RefCell<TcpListener> =
        RefCell::new(TcpListener::bind("127.0.0.1:0").expect("a free port"));
}

/// The client, whose server answers each request with these bytes and ends: it returns.
pub(crate) fn client_replies(bytes: &[u8]) {
    let (choice, reply) = chosen(bytes);
    LISTENER.with_borrow(|listener| {
        let address = listener.local_addr().expect("it listens");
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // The client may try a second connection.
                loop {
                    let (mut stream, _) = listener.accept().expect("the client connects");
                    if is_over.load(SeqCst) {
                        return;
                    }
                    let _ = stream.read(&mut [0; 4096]);
                    let _ = stream.write_all(reply);
                    let _ = stream.shutdown(Shutdown::Write);
                }
            });
            ask(&address.to_string(), choice);
            is_over.store(true, SeqCst);
            TcpStream::connect(address).expect("it listens");
        });
    });
}

/// One request of the kind that a fuzzed byte chooses.
fn ask(address: &str, choice: u8) {
    let protocol = match choice % 3 {
        0 => Protocol::Resp,
        _ => Protocol::Memcached,
    };
    let settings = Settings::default()
        .protocol(protocol)
        .max_value_size(1000)
        .read_deadline(Duration::from_secs(60));
    let client = Client::with_settings(address, settings);
    match choice / 3 % 8 {
        0 => drop(client.get("a")),
        1 => drop(client.gets("a")),
        2 => drop(client.get_many(&["a", "b"])),
        3 => drop(client.incr("a", 1)),
        4 => drop(client.set("a", "v", None)),
        5 => drop(client.stats("")),
        6 if protocol == Protocol::Resp => drop(client.command(&["EXEC"])),
        6 => drop(client.meta_get("a", &["v"])),
        _ => drop(client.version()),
    }
}
