//! Commands that are done in pieces, under turns.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::server::{
    Connections, Listen, Model, Next, Peer, Refusal, Server, Service, Session, Settings, Turn,
};

/// The longest time that the test waits for an event.
const PATIENCE: Duration = Duration::from_secs(60);
const PIECES: usize = 5;

/// Answers a line with itself, and `pieces` after so many pieces. The first of them waits for the test.
struct Pieces {
    begun: Sender<()>,
    go_on: Arc<Mutex<Receiver<()>>>,
    /// The lines of the turns, in the order in which the worker gave them.
    done: Arc<Mutex<Vec<String>>>,
}

struct PiecesSession {
    begun: Sender<()>,
    go_on: Arc<Mutex<Receiver<()>>>,
    done: Arc<Mutex<Vec<String>>>,
    pieces: usize,
}

impl Service for Pieces {
    fn protocol(&self) -> &'static str {
        "pieces"
    }

    fn open(&self, _: Peer) -> Box<dyn Session> {
        Box::new(PiecesSession {
            begun: self.begun.clone(),
            go_on: Arc::clone(&self.go_on),
            done: Arc::clone(&self.done),
            pieces: 0,
        })
    }

    fn refusal(&self, _: Refusal) -> Cow<'static, [u8]> {
        b"full\n".into()
    }
}

impl Session for PiecesSession {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        if !input.ends_with(b"\n") {
            return Turn {
                consumed: 0,
                next: Next::Read,
            };
        }
        let line = String::from_utf8_lossy(input).trim_end().to_owned();
        let is_piece = line == "pieces";
        self.done.lock().unwrap().push(line);
        if is_piece {
            self.pieces += 1;
            if self.pieces == 1 {
                self.begun.send(()).unwrap();
                let go_on = self.go_on.lock().unwrap();
                go_on.recv_timeout(PATIENCE).unwrap();
            }
            if self.pieces < PIECES {
                return Turn {
                    consumed: 0,
                    next: Next::Continue,
                };
            }
        }
        output.extend_from_slice(input);
        Turn {
            consumed: input.len(),
            next: Next::Read,
        }
    }
}

fn expect(client: &UnixStream, line: &str) {
    let mut got = String::new();
    BufReader::new(client).read_line(&mut got).unwrap();
    assert_eq!(got, line);
}

#[test]
fn a_request_of_another_client_comes_before_the_next_piece() {
    let ((begun, has_begun), (goes_on, go_on)) = (channel(), channel());
    let done = Arc::new(Mutex::new(Vec::new()));
    let service = Pieces {
        begun,
        go_on: Arc::new(Mutex::new(go_on)),
        done: Arc::clone(&done),
    };
    let home = tempfile::tempdir().unwrap();
    // A write to a Unix socket has arrived when the call returns.
    let path = home.path().join("socket");
    let _server = Server::new(Connections::new())
        .settings(Settings {
            model: Model::Turns,
            workers: Some(1),
            ..Settings::default()
        })
        .listen(Listen::Unix(path.clone()), Arc::new(service))
        .start()
        .unwrap();
    let connect = || {
        let client = UnixStream::connect(&path).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    };
    let (mut slow, mut other) = (connect(), connect());
    other.write_all(b"hello\n").unwrap();
    expect(&other, "hello\n");
    slow.write_all(b"pieces\n").unwrap();
    has_begun.recv_timeout(PATIENCE).unwrap();
    other.write_all(b"request\n").unwrap();
    goes_on.send(()).unwrap();
    expect(&other, "request\n");
    expect(&slow, "pieces\n");
    let done = done.lock().unwrap();
    assert_eq!(done[..3], ["hello", "pieces", "request"]);
    assert_eq!(done[3..], vec!["pieces"; PIECES - 1]);
}
