//! The common parts of the tests of the server core: both models, a service with special lines, and
//! clients that wait with a deadline.
//!
//! No test sleeps: a wait ends on its condition, or fails the test after [`PATIENCE`].

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder::server::{
    Connections, Listen, Model, Next, Peer, Refusal, Running, Server, Service, Session, Settings,
    Turn,
};

/// The longest time that a test waits for an event.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Both ways of running connections: every test passes under each.
pub const MODELS: [Model; 2] = [Model::Turns, Model::Threads];

/// Bytes of the answer to `big`.
pub const BIG: usize = 100_000;

/// Lines in, lines out, with an edge for each test:
/// - `big`: [`BIG`] bytes of `x` and a line feed
/// - `panic`: panics while it borrows the worker's scratch
/// - `panic at the end`: the line comes back; the session panics when it is dropped
/// - `ticks`: comes back, and the lines `tick` follow in three turns without a request
/// - `quit`: answers `bye` and closes
/// - any other: the line comes back
pub struct Lines;

struct LineSession {
    peer: Peer,
    panics_at_the_end: bool,
    ticks_left: usize,
}

impl Drop for LineSession {
    fn drop(&mut self) {
        assert!(!self.panics_at_the_end, "asked to panic at the end");
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Service for Lines {
    fn protocol(&self) -> &'static str {
        "lines"
    }

    fn open(&self, peer: Peer) -> Box<dyn Session> {
        Box::new(LineSession {
            peer,
            panics_at_the_end: false,
            ticks_left: 0,
        })
    }

    fn refusal(&self, _: Refusal) -> Cow<'static, [u8]> {
        b"full\n".into()
    }
}

impl Session for LineSession {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        SCRATCH.with_borrow_mut(|line| {
            let mut consumed = 0;
            while let Some(end) = input[consumed..].iter().position(|&byte| byte == b'\n') {
                line.clear();
                line.extend_from_slice(&input[consumed..=consumed + end]);
                consumed += end + 1;
                self.panics_at_the_end |= line == b"panic at the end\n";
                match &line[..] {
                    b"panic\n" => panic!("asked to panic by {}", self.peer.connection.peer()),
                    b"quit\n" => {
                        output.extend_from_slice(b"bye\n");
                        return Turn {
                            consumed,
                            next: Next::Close,
                        };
                    }
                    b"wrong\n" => {
                        output.extend_from_slice(line);
                        return Turn {
                            consumed,
                            next: Next::Delay,
                        };
                    }
                    b"ticks\n" => {
                        self.ticks_left = 3;
                        output.extend_from_slice(line);
                    }
                    b"big\n" => {
                        output.resize(output.len() + BIG, b'x');
                        output.push(b'\n');
                    }
                    _ => output.extend_from_slice(line),
                }
                if output.len() >= larder::server::limits::OUTPUT_SOFT_LIMIT {
                    return Turn {
                        consumed,
                        next: Next::Again,
                    };
                }
            }
            if self.ticks_left > 0 && consumed == 0 {
                self.ticks_left -= 1;
                output.extend_from_slice(b"tick\n");
            }
            let next = match self.ticks_left {
                0 => Next::Read,
                _ => Next::Later,
            };
            Turn { consumed, next }
        })
    }
}

/// A server on a free port.
pub struct TestServer {
    pub running: Running,
    pub connections: Arc<Connections>,
}

pub fn settings(model: Model) -> Settings {
    // Two workers of the one kind, so that connections share one; enough of the other, so that none
    // waits.
    let workers = Some(if model == Model::Turns { 2 } else { 80 });
    Settings {
        model,
        workers,
        ..Settings::default()
    }
}

pub fn start(settings: Settings) -> TestServer {
    let connections = Connections::new();
    let running = Server::new(Arc::clone(&connections))
        .settings(settings)
        .listen(Listen::Tcp("127.0.0.1:0".into()), Arc::new(Lines))
        .start()
        .expect("a free port");
    TestServer {
        running,
        connections,
    }
}

impl TestServer {
    pub fn address(&self) -> SocketAddr {
        self.running.addresses()[0].tcp().expect("a TCP listener")
    }

    pub fn connect(&self) -> Client<TcpStream> {
        let stream = TcpStream::connect(self.address()).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("timeout");
        Client(stream)
    }

    /// Waits until this many connections are open.
    pub fn wait_for_connections(&self, count: usize) {
        eventually("connections", || self.connections.current() == count);
    }
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::yield_now();
    }
}

/// A client that reads exactly.
pub struct Client<S>(pub S);

impl<S: Read + Write> Client<S> {
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("send");
    }

    #[track_caller]
    pub fn expect(&mut self, reply: &[u8]) {
        let mut got = vec![0; reply.len()];
        self.0.read_exact(&mut got).expect("a reply");
        assert!(
            got == reply,
            "got {:?}",
            String::from_utf8_lossy(&got[..got.len().min(200)])
        );
    }

    /// One line and its echo: the server is there, and this connection is as it should be.
    #[track_caller]
    pub fn echo(&mut self, line: &str) {
        self.send(line.as_bytes());
        self.expect(line.as_bytes());
    }

    /// The rest of a line that was sent in part, and the echo of all of it.
    #[track_caller]
    pub fn echo_rest(&mut self, line: &str, rest: &str) {
        self.send(rest.as_bytes());
        self.expect(line.as_bytes());
    }

    /// Nothing more comes, and the server has closed.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        let end = self.0.read_to_end(&mut rest);
        assert!(
            rest.is_empty(),
            "{} bytes more, {:?}",
            rest.len(),
            String::from_utf8_lossy(&rest)
        );
        end.expect("an orderly end");
    }

    /// The server has closed, in order or by a reset.
    #[track_caller]
    pub fn expect_gone(&mut self) {
        let mut rest = Vec::new();
        if let Err(error) = self.0.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        }
    }
}
