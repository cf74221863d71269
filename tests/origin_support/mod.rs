//! An origin that answers when the test lets it, and clients of a server in front of it.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use larder::origin::{FetchError, FetchRequest, Fetched, Origin, Settings};
use larder::{Builder, Model, Server};

/// The longest wait before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The models of a server.
pub const MODELS: [Model; 2] = [Model::Turns, Model::Threads];

type Answer = Result<Option<Fetched>, FetchError>;

/// An origin whose every fetch waits for an answer of the test.
#[derive(Debug, Default)]
pub struct HeldOrigin {
    state: Mutex<HeldState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct HeldState {
    asked: Vec<String>,
    answers: HashMap<String, VecDeque<Answer>>,
}

impl HeldOrigin {
    /// All keys that were asked for until now, in order.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }

    /// Waits until the origin was asked for so many keys, and returns them in the order of the alphabet.
    pub fn wait_for(&self, count: usize) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let wait = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| state.asked.len() < count);
        let mut asked = wait.unwrap().0.asked.clone();
        asked.sort();
        assert_eq!(asked.len(), count, "{asked:?}");
        asked
    }

    /// Answers one fetch of a key, which may have begun or not.
    pub fn answer(&self, key: &str, answer: Answer) {
        let mut state = self.state.lock().unwrap();
        let answers = state.answers.entry(key.to_owned()).or_default();
        answers.push_back(answer);
        self.changed.notify_all();
    }

    /// Answers one fetch with a value.
    pub fn give(&self, key: &str, value: &str) {
        self.answer(key, Ok(Some(value.as_bytes().to_vec().into())));
    }
}

impl Origin for HeldOrigin {
    fn fetch(&self, request: &FetchRequest<'_>) -> Answer {
        let key = String::from_utf8_lossy(request.key).into_owned();
        let mut state = self.state.lock().unwrap();
        state.asked.push(key.clone());
        self.changed.notify_all();
        loop {
            let answers = state.answers.get_mut(&key);
            if let Some(answer) = answers.and_then(VecDeque::pop_front) {
                return answer;
            }
            let left = request.time_left()?;
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    fn describe(&self) -> String {
        "held".to_owned()
    }
}

/// Settings under which a fetch waits for its answer as long as a test may.
pub fn settings() -> Settings {
    Settings {
        timeout: 2 * PATIENCE,
        ..Settings::default()
    }
}

/// A server in front of an origin, and the origin.
pub fn server(model: Model, settings: Settings) -> (Server, Arc<HeldOrigin>) {
    server_with(model, settings, |builder| builder)
}

/// The same, with further settings.
pub fn server_with(
    model: Model,
    settings: Settings,
    change: impl FnOnce(Builder) -> Builder,
) -> (Server, Arc<HeldOrigin>) {
    let origin = Arc::new(HeldOrigin::default());
    let builder = Server::builder().manual_clock().model(model);
    let builder = change(builder).origin(Some(Arc::clone(&origin) as Arc<dyn Origin>), settings);
    (builder.start().expect("it starts"), origin)
}

/// A larder in front of this origin, with items of 2,000 bytes at most.
pub fn front(origin: impl Origin, settings: Settings) -> Server {
    let builder = Server::builder().manual_clock().max_item_size(2000);
    let builder = builder.origin(Some(Arc::new(origin)), settings);
    builder.start().expect("it starts")
}

/// A connection that is written to and read from by hand.
pub struct Client(TcpStream);

impl Client {
    pub fn connect(to: SocketAddr) -> Client {
        let stream = TcpStream::connect(to).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(stream)
    }

    pub fn memcached(server: &Server) -> Client {
        Client::connect(server.memcached_addr())
    }

    pub fn resp(server: &Server) -> Client {
        Client::connect(server.resp_addr())
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("it is sent");
    }

    /// Reads a line, without its end.
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("the line arrives");
            line.extend_from_slice(&byte);
        }
        String::from_utf8(line).expect("text").trim_end().to_owned()
    }

    /// Reads exactly this reply.
    pub fn expect(&mut self, reply: impl AsRef<[u8]>) {
        let expected = reply.as_ref();
        let mut got = vec![0; expected.len()];
        let mut filled = 0;
        while filled < got.len() {
            match self.0.read(&mut got[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
            if got[..filled] != expected[..filled] {
                break;
            }
        }
        assert_eq!(
            String::from_utf8_lossy(&got[..filled]),
            String::from_utf8_lossy(expected)
        );
    }

    /// Reads until this line has arrived; what stands in front of it is dropped.
    pub fn expect_line(&mut self, line: &str) {
        let mut text = Vec::new();
        while !text.ends_with(format!("{line}\r\n").as_bytes()) {
            let mut byte = [0];
            let n = self.0.read(&mut byte).expect("the line arrives");
            assert!(n > 0, "no {line} in {}", String::from_utf8_lossy(&text));
            text.extend_from_slice(&byte);
        }
    }

    /// Sends a request and reads exactly this reply.
    pub fn ask(&mut self, request: impl AsRef<[u8]>, reply: impl AsRef<[u8]>) {
        self.send(request);
        self.expect(reply);
    }

    /// Reads to the end of the stream, which has nothing more.
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = self.0.read_to_end(&mut rest);
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }

    /// A line of `stats`, as a number.
    pub fn stat(&mut self, name: &str) -> u64 {
        self.send("stats\r\n");
        let mut text = Vec::new();
        while !text.ends_with(b"END\r\n") {
            let mut byte = [0; 4096];
            let n = self.0.read(&mut byte).expect("the statistics arrive");
            assert!(n > 0, "the end of the stream");
            text.extend_from_slice(&byte[..n]);
        }
        let text = String::from_utf8(text).expect("text");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("STAT {name} ")));
        line.and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// Waits until a statistic has a value.
    pub fn wait_for_stat(&mut self, name: &str, value: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let is = self.stat(name);
            if is == value {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is {is}, not {value}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A RESP request.
pub fn resp(words: &[&str]) -> String {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    request
}
