//! A running shop, and a client of its web server.

use std::fmt::Debug;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// The longest time that a test waits for an event.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program, not yet started.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let larder = Path::new(env!("CARGO_BIN_EXE_larder"));
    let mut command = Command::new(larder.with_file_name("examples").join("19_shop"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A shop that runs. It is killed when this is dropped, and its parts end with it.
pub(crate) struct RunningShop {
    child: Child,
    /// The place of the shop's temporary directory, which a killed shop doesn't remove.
    _temporary: TempDir,
    address: String,
    log: Receiver<String>,
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.body);
        parsed.unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl RunningShop {
    /// Starts one on free ports.
    #[track_caller]
    pub(crate) fn start(arguments: &[&str]) -> RunningShop {
        let temporary = tempfile::tempdir().expect("a directory can be made");
        let mut child = command(arguments)
            .env("TMPDIR", temporary.path())
            .spawn()
            .expect("the examples are built: cargo build --examples");
        let (lines, log) = (lines(child.stdout.take()), lines(child.stderr.take()));
        let mut address = None;
        let mut printed = Vec::new();
        while printed.len() < 3 {
            let Ok(line) = lines.recv_timeout(PATIENCE) else {
                panic!("{printed:?}, then {:?}", log.iter().collect::<Vec<_>>());
            };
            if let Some(found) = line.strip_prefix("listening on http ") {
                address = Some(found.to_owned());
            }
            printed.push(line);
        }
        RunningShop {
            child,
            _temporary: temporary,
            address: address.unwrap_or_else(|| panic!("no web server in {printed:?}")),
            log,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process of a part, `serve` or `invalidate`, if it runs. Any thread of the shop may have started it.
    pub(crate) fn part(&self, role: &str) -> Option<u32> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("the shop runs");
        let list = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).ok();
        let children: Vec<String> = threads.flatten().filter_map(list).collect();
        let mut children = children.iter().flat_map(|list| list.split_whitespace());
        let found = children.find(|child| {
            let words = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            words.split(|&byte| byte == 0).nth(1) == Some(role.as_bytes())
        });
        found.map(|child| child.parse().expect("a process number"))
    }

    /// Waits for a line of the log that contains this.
    #[track_caller]
    pub(crate) fn logs(&self, text: &str) {
        let mut logged = Vec::new();
        while logged
            .last()
            .is_none_or(|line: &String| !line.contains(text))
        {
            let Ok(line) = self.log.recv_timeout(PATIENCE) else {
                panic!("{text:?} was not logged: {logged:#?}");
            };
            logged.push(line);
        }
    }

    /// Sends it a signal and waits for its end.
    #[track_caller]
    pub(crate) fn end(&mut self, with: Signal) -> ExitStatus {
        signal(self.pid(), with);
        let mut status = None;
        until("the shop ends", || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        status.expect("it has ended")
    }

    pub(crate) fn connect(&self) -> Connection {
        let stream = TcpStream::connect(&self.address).expect("the shop accepts");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout can be set");
        Connection(BufReader::new(stream))
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        self.connect().ask(&request)
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, form: &str) -> Answer {
        let (host, length) = (&self.address, form.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{form}"
        );
        self.connect().ask(&request)
    }

    /// A product, which exists.
    #[track_caller]
    pub(crate) fn product(&self, id: u32) -> Value {
        let answer = self.get(&format!("/products/{id}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The figures of `/live`.
    #[track_caller]
    pub(crate) fn live(&self) -> Value {
        self.get("/live").json()
    }

    /// Waits until no change waits in the outbox.
    #[track_caller]
    pub(crate) fn reports_all(&self) {
        until("the outbox is empty", || self.live()["outbox"] == 0);
    }
}

impl Drop for RunningShop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to the web server.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A server that has answered and closed doesn't take the rest.
        let _ = self.0.get_mut().write_all(bytes.as_ref());
    }

    #[track_caller]
    pub(crate) fn receive(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let bytes = self.0.read_line(&mut head).expect("an answer in time");
            assert_ne!(bytes, 0, "the connection ended after {head:?}");
        }
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let length = header("Content-Length: ").expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        self.0.read_exact(&mut body).expect("the body");
        Answer {
            status: head[9..12].parse().expect("a status"),
            body: String::from_utf8(body).expect("text"),
            head,
        }
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, request: &str) -> Answer {
        self.send(request);
        self.receive()
    }

    /// Whether the server has closed the connection, with nothing before.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(0) => true,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
            other => panic!("{other:?}: {:?}", String::from_utf8_lossy(&rest)),
        }
    }
}

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn until(what: impl Debug, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in {PATIENCE:?}: {what:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a signal to a process of this test.
#[track_caller]
pub(crate) fn signal(process: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(process).expect("a process number"));
    kill(pid, signal).expect("the process is there");
}

/// Whether a process has ended: nothing or a zombie is left of it.
pub(crate) fn has_ended(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, state)| state);
    state.is_none_or(|state| state.starts_with(['Z', 'X']))
}

fn lines(output: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = unbounded();
    let output = output.expect("it is piped");
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
