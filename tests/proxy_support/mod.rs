//! The common parts of the tests of the proxy: a proxy on a free port, clients that wait with a
//! deadline, real servers, and peers that misbehave.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use larder::pool::{Placement, ServerList};
use larder::proxy::{Control, Protocol, Proxy, Settings};
use larder::server::{Listen, Running};

/// The longest time that a test waits for an event.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A deadline that a test waits for.
pub const IMPATIENCE: Duration = Duration::from_secs(2);

/// A proxy in front of these servers.
pub struct TestProxy {
    pub running: Running,
    pub control: Control,
}

/// A list of servers of equal weight.
pub fn list(addresses: &[SocketAddr]) -> ServerList {
    let lines: String = addresses.iter().map(|a| format!("{a} 1\n")).collect();
    lines.parse().expect("a list")
}

/// Settings whose deadlines no test reaches.
pub fn settings(protocol: Protocol) -> Settings {
    Settings {
        workers: 2,
        connect_timeout: PATIENCE,
        read_timeout: PATIENCE,
        write_timeout: PATIENCE,
        ..Settings::new(protocol)
    }
}

/// Settings with deadlines that a test can wait for. Events that such a test expects earlier have to come
/// within them.
pub fn impatient(protocol: Protocol) -> Settings {
    Settings {
        read_timeout: IMPATIENCE,
        write_timeout: IMPATIENCE,
        ..settings(protocol)
    }
}

pub fn proxy(settings: Settings, addresses: &[SocketAddr]) -> TestProxy {
    let (running, control) = Proxy::new(settings, list(addresses), Placement::Ketama)
        .start(Listen::Tcp("127.0.0.1:0".into()))
        .expect("a free port");
    TestProxy { running, control }
}

impl TestProxy {
    pub fn connect(&self) -> Client {
        let address = self.running.addresses()[0].tcp().expect("a TCP listener");
        Client::connect(address)
    }
}

/// A client that reads exactly.
pub struct Client(pub TcpStream);

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("timeout");
        stream.set_nodelay(true).expect("no delay");
        Client(stream)
    }

    /// Reads once, again only when a stop of this process has interrupted it.
    pub fn receive(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.0.read(into) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("send");
    }

    #[track_caller]
    pub fn expect(&mut self, reply: impl AsRef<[u8]>) {
        let reply = reply.as_ref();
        let mut got = vec![0; reply.len()];
        let mut at = 0;
        while at < got.len() {
            let n = self.receive(&mut got[at..]).expect("a reply");
            assert!(n > 0, "the end, after {:?}", show(&got[..at]));
            at += n;
            if got[..at] != reply[..at] {
                panic!(
                    "got {:?} and {:?}, not {:?}",
                    show(&got[..at]),
                    show(&self.rest_of_it()),
                    show(reply)
                );
            }
        }
    }

    /// The bytes that have arrived behind an unexpected reply: an error names its reason.
    fn rest_of_it(&mut self) -> Vec<u8> {
        let mut rest = vec![0; 1000];
        let soon = Some(Duration::from_millis(100));
        let read = self
            .0
            .set_read_timeout(soon)
            .and_then(|()| self.receive(&mut rest));
        rest.truncate(read.unwrap_or(0));
        rest
    }

    #[track_caller]
    pub fn ask(&mut self, request: impl AsRef<[u8]>, reply: impl AsRef<[u8]>) {
        self.send(request);
        self.expect(reply);
    }

    /// One line, without its end.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            let n = self.receive(&mut byte).expect("a line");
            assert!(n > 0, "the end, after {:?}", show(&line));
            line.push(byte[0]);
        }
        String::from_utf8_lossy(&line[..line.len() - 2]).into_owned()
    }

    #[track_caller]
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("an orderly end");
        assert!(rest.is_empty(), "more: {:?}", show(&rest));
    }
}

fn show(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(200)].escape_ascii().to_string()
}

/// Waits until `condition` holds.
#[track_caller]
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    eventually_within(PATIENCE, what, condition);
}

/// Waits for at most this time until `condition` holds.
#[track_caller]
pub fn eventually_within(patience: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        // Leaves the processor to the threads that it waits for.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A real server on a TCP port of its own. It ends when this is dropped.
pub struct Real {
    child: Child,
    _directory: tempfile::TempDir,
    pub address: SocketAddr,
}

impl Real {
    /// `None` if it is not installed.
    pub fn start(program: &str) -> Option<Real> {
        Real::start_at(program, free_port())
    }

    pub fn start_at(program: &str, address: SocketAddr) -> Option<Real> {
        Real::start_with(program, address, &[])
    }

    /// With further arguments, which come last and so win.
    pub fn start_with(program: &str, address: SocketAddr, more: &[&str]) -> Option<Real> {
        let path = crate::support::find(program)?;
        let port = address.port().to_string();
        let mut command = Command::new(path);
        match program {
            // Room for ten values of 10 MB.
            "memcached" => command
                .args(["-l", "127.0.0.1", "-p", &port, "-u", "root"])
                .args(["-m", "512", "-I", "16m"]),
            _ => command.args(["--port", &port, "--save", "", "--appendonly", "no"]),
        };
        // A Redis saves the data of another in its directory, and the next one there would load it.
        let directory = tempfile::tempdir().expect("a directory");
        let child = command
            .args(more)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let real = Real {
            child,
            _directory: directory,
            address,
        };
        eventually("the server", || TcpStream::connect(address).is_ok());
        Some(real)
    }

    /// Sends it a signal, like `-STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill is there").success());
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server to stand in front of, real if there is one.
pub struct Upstream {
    _real: Option<Real>,
    _ours: Option<larder::Server>,
    pub address: SocketAddr,
}

impl Upstream {
    /// Not larder's.
    pub fn is_real(&self) -> bool {
        self._real.is_some()
    }
}

pub fn upstream(protocol: Protocol) -> Upstream {
    let program = match protocol {
        Protocol::Memcached => "memcached",
        Protocol::Resp => "redis-server",
    };
    if let Some(real) = Real::start(program) {
        return Upstream {
            address: real.address,
            _real: Some(real),
            _ours: None,
        };
    }
    crate::support::skipped(&format!(
        "{program} is not installed, larder stands in for it"
    ));
    let ours = larder::Server::start().expect("it starts");
    Upstream {
        address: match protocol {
            Protocol::Memcached => ours.memcached_addr(),
            Protocol::Resp => ours.resp_addr(),
        },
        _real: None,
        _ours: Some(ours),
    }
}

/// An address without a listener.
pub fn free_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], crate::support::reserved_port()))
}

/// A peer that calls `with` for each connection, on a thread for each.
pub fn peer(with: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let with = std::sync::Arc::new(with);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let with = std::sync::Arc::clone(&with);
            std::thread::spawn(move || with(stream));
        }
    });
    address
}

/// Answers each line of a connection until the client ends it.
pub fn answer_lines(stream: TcpStream, mut answer: impl FnMut(&str) -> String) {
    let mut output = stream.try_clone().expect("a second handle");
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        if output.write_all(answer(&line).as_bytes()).is_err() {
            return;
        }
    }
}

/// Accepts, reads, and never answers.
pub fn sleeper() -> SocketAddr {
    peer(|mut stream| {
        let mut bin = [0; 4096];
        while matches!(stream.read(&mut bin), Ok(n) if n > 0) {}
    })
}

/// Answers every request with the same bytes, then closes if `closes`.
pub fn answerer(bytes: &'static [u8], closes: bool) -> SocketAddr {
    peer(move |mut stream| {
        let mut bin = [0; 65536];
        while matches!(stream.read(&mut bin), Ok(n) if n > 0) {
            if stream.write_all(bytes).is_err() || closes {
                return;
            }
        }
    })
}

/// The first line that a program prints, and the rest of its output. The program is killed if it prints none in time.
pub fn first_line(child: &mut Child) -> (String, BufReader<ChildStdout>) {
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let (sender, printed) = channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = out.read_line(&mut line);
        let _ = sender.send((read.map(|_| line), out));
    });
    let Ok((line, out)) = printed.recv_timeout(PATIENCE) else {
        let _ = child.kill();
        panic!("it prints nothing");
    };
    (line.expect("a line"), out)
}

/// The exit status of a program, which has to end by itself.
#[track_caller]
pub fn end_of(child: &mut Child) -> ExitStatus {
    let mut status = None;
    eventually("the end of the program", || {
        status = child.try_wait().expect("a child");
        status.is_some()
    });
    status.expect("it has ended")
}

/// `larder proxy` as a user starts it, until this is dropped.
pub struct Program {
    pub child: Child,
    _out: BufReader<ChildStdout>,
    pub address: SocketAddr,
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.arg("proxy").args(arguments);
    command.stdin(Stdio::null());
    command
}

impl Program {
    pub fn start(arguments: &[&str]) -> Program {
        Program::with(arguments, &[])
    }

    /// With variables in its environment.
    pub fn with(arguments: &[&str], variables: &[(&str, &str)]) -> Program {
        let directory = tempfile::tempdir().expect("a directory");
        let mut child = command(arguments)
            .current_dir(directory.path())
            .args(["--listen", "127.0.0.1:0"])
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let (line, out) = first_line(&mut child);
        let address = line.trim().rsplit(' ').next().unwrap_or_default();
        Program {
            address: address.parse().unwrap_or_else(|_| panic!("{line:?}")),
            child,
            _out: out,
        }
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill is there").success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
