//! The common parts of the tests of `larder invalidate`: one on free ports, and its caches.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::invalidate::{Control, Invalidate, Running, Settings, Target};
use larder::pool::ServerList;
use larder::proxy::Protocol;
use larder::server::Listen;
use tempfile::TempDir;

use crate::proxy_support::{Client, IMPATIENCE, PATIENCE, Real, end_of, eventually, first_line};

/// An invalidation server on free ports, and its spool.
pub struct Invalidator {
    running: Option<Running>,
    pub control: Control,
    pub memcached: SocketAddr,
    pub resp: SocketAddr,
}

/// A directory for a spool.
pub fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Settings with a deadline that no answer misses on a busy machine.
pub fn settings(spool: &Path) -> Settings {
    Settings {
        timeout: PATIENCE,
        grace: Duration::from_secs(3),
        ..Settings::new(spool)
    }
}

/// Settings for a cache that does not answer, with a deadline that a test can wait for.
pub fn hurried(spool: &Path) -> Settings {
    Settings {
        timeout: IMPATIENCE,
        ..settings(spool)
    }
}

pub fn list(addresses: &[SocketAddr]) -> ServerList {
    crate::proxy_support::list(addresses)
}

/// A pool of memcached servers.
pub fn pool(addresses: &[SocketAddr]) -> Target {
    Target::new("pool", list(addresses))
}

impl Invalidator {
    pub fn start(settings: Settings, targets: Vec<Target>) -> Invalidator {
        let listeners = [Protocol::Memcached, Protocol::Resp]
            .map(|protocol| (protocol, Listen::Tcp("127.0.0.1:0".into())));
        let (running, control) = Invalidate::new(settings, targets)
            .start(listeners.to_vec())
            .expect("it starts");
        let addresses: Vec<SocketAddr> = running
            .listeners()
            .map(|(_, address)| address.tcp().expect("a TCP listener"))
            .collect();
        Invalidator {
            running: Some(running),
            control,
            memcached: addresses[0],
            resp: addresses[1],
        }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.memcached)
    }

    pub fn resp(&self) -> Client {
        Client::connect(self.resp)
    }

    /// Ends it as a signal would.
    pub fn stop(mut self) {
        if let Some(running) = self.running.take() {
            for handle in running.handles() {
                handle.begin_shutdown(Duration::from_secs(10));
            }
            running.join();
        }
    }

    /// A value of `stats invalidate`, summed over the upstreams if there are several.
    pub fn stat(&self, name: &str) -> u64 {
        let values = self.stats(name);
        assert!(!values.is_empty(), "no {name}");
        sum(&values)
    }

    /// The values of a name, each with its upstream.
    pub fn stats(&self, name: &str) -> Vec<(String, String)> {
        stats(&mut self.client(), name)
    }

    /// Waits until nothing is pending and every upstream is up to date.
    #[track_caller]
    pub fn settle(&self) {
        eventually("nothing pending", || {
            self.stat("pending") == 0
                && self
                    .stats("state")
                    .iter()
                    .all(|(_, state)| state == "up to date")
        });
    }
}

/// The answer of a cache to `get`, or `None`.
pub fn get(address: SocketAddr, key: &str) -> Option<String> {
    let mut client = Client::connect(address);
    client.send(format!("get {key}\r\n"));
    let first = client.line();
    if first == "END" {
        return None;
    }
    let value = client.line();
    assert_eq!(client.line(), "END");
    Some(value)
}

/// Puts a value into a memcached.
#[track_caller]
pub fn put(address: SocketAddr, key: &str, value: &str) {
    let length = value.len();
    Client::connect(address).ask(
        format!("set {key} 0 0 {length}\r\n{value}\r\n"),
        "STORED\r\n",
    );
}

/// The answer of a Redis to `GET`, or `None`.
pub fn redis_get(address: SocketAddr, key: &str) -> Option<String> {
    let mut client = Client::connect(address);
    client.send(format!("GET {key}\r\n"));
    match client.line().as_str() {
        "$-1" => None,
        _ => Some(client.line()),
    }
}

/// Puts a value into a Redis.
#[track_caller]
pub fn redis_put(address: SocketAddr, key: &str, value: &str) {
    Client::connect(address).ask(format!("SET {key} {value}\r\n"), "+OK\r\n");
}

/// Waits until a key is deleted in a memcached.
#[track_caller]
pub fn forgotten(address: SocketAddr, key: &str) {
    eventually(&format!("{key} to be forgotten"), || {
        get(address, key).is_none()
    });
}

/// Sends a process a signal.
pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill")
        .args([name, &process.to_string()])
        .status();
    assert!(sent.expect("kill is there").success());
}

/// Real servers, if they are installed.
pub fn real(program: &str, count: usize) -> Option<Vec<Real>> {
    (0..count).map(|_| Real::start(program)).collect()
}

/// A cache without items that records its requests; it can be switched off and on.
#[derive(Clone)]
pub struct Witness {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<String>>>,
    up: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
}

impl Witness {
    pub fn start() -> Witness {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let witness = Witness {
            address: listener.local_addr().expect("an address"),
            received: Arc::default(),
            up: Arc::new(AtomicBool::new(true)),
            open: Arc::default(),
        };
        let shared = witness.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let witness = shared.clone();
                witness.open.fetch_add(1, SeqCst);
                let serve = move || {
                    witness.serve(stream);
                    witness.open.fetch_sub(1, SeqCst);
                };
                std::thread::spawn(serve);
            }
        });
        witness
    }

    fn serve(&self, stream: TcpStream) {
        stream
            .set_read_timeout(Some(Duration::from_millis(5)))
            .expect("a deadline");
        let mut writer = stream.try_clone().expect("a second handle");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while self.up.load(SeqCst) {
            match reader.read_line(&mut line) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(_) => return,
            }
            let request = std::mem::take(&mut line);
            let request = request.trim_end();
            let reply = match request.split(' ').next() {
                Some("version") => "VERSION 1\r\n",
                Some("flush_all") => "OK\r\n",
                Some("set") => {
                    reader.read_line(&mut line).expect("a value");
                    "STORED\r\n"
                }
                _ => "NOT_FOUND\r\n",
            };
            if !request.starts_with("version") {
                let value = std::mem::take(&mut line);
                let received = format!("{request} {}", value.trim_end());
                self.received
                    .lock()
                    .unwrap()
                    .push(received.trim_end().to_owned());
            }
            if writer.write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// From now on it closes every connection; those that were open have ended.
    pub fn down(&self) {
        self.up.store(false, SeqCst);
        eventually("its connections to end", || self.open.load(SeqCst) == 0);
    }

    pub fn up(&self) {
        self.up.store(true, SeqCst);
    }

    /// The requests that it has received, in order.
    pub fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }

    pub fn forget(&self) {
        self.received.lock().unwrap().clear();
    }
}

/// The program, until this is dropped.
pub struct Program {
    pub child: Child,
    out: BufReader<ChildStdout>,
    pub memcached: SocketAddr,
}

impl Program {
    /// Starts `larder invalidate` on a free port with these arguments.
    pub fn start(directory: &Path, arguments: &[&str]) -> Program {
        let mut child = Command::new(env!("CARGO_BIN_EXE_larder"))
            .current_dir(directory)
            .args(["invalidate", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let (line, out) = first_line(&mut child);
        let address = line.trim().rsplit(' ').next().unwrap_or_default();
        Program {
            memcached: address.parse().unwrap_or_else(|_| panic!("{line:?}")),
            child,
            out,
        }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.memcached)
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for its end, which must be a good one.
    pub fn ended(mut self) {
        assert!(end_of(&mut self.child).success());
        let mut rest = String::new();
        self.out.read_line(&mut rest).expect("the end");
    }

    /// The values of a name in `stats invalidate`, each with its upstream.
    pub fn stats(&self, name: &str) -> Vec<(String, String)> {
        stats(&mut self.client(), name)
    }

    pub fn stat(&self, name: &str) -> u64 {
        sum(&self.stats(name))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn stats(client: &mut Client, name: &str) -> Vec<(String, String)> {
    client.send("stats invalidate\r\n");
    let mut found = Vec::new();
    loop {
        let line = client.line();
        if line == "END" {
            return found;
        }
        let line = line.strip_prefix("STAT ").expect("a statistic");
        let (key, value) = line.split_once(' ').expect("a name and a value");
        let (of, key) = key.rsplit_once(':').unwrap_or(("", key));
        if key == name {
            found.push((of.to_owned(), value.to_owned()));
        }
    }
}

fn sum(values: &[(String, String)]) -> u64 {
    let number = |(_, value): &(String, String)| value.parse::<u64>().expect("a number");
    values.iter().map(number).sum()
}
