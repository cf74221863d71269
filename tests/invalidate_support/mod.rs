//! What the tests of `larder invalidate` share: one on free ports, and caches that it keeps true.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use larder::proxy::invalidate::{Control, Invalidate, Running, Settings, Target};
use larder::proxy::{Protocol, ServerList};
use larder::server::Listen;
use tempfile::TempDir;

use crate::proxy_support::{Client, PATIENCE, Real, eventually};

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

pub fn settings(spool: &Path) -> Settings {
    Settings {
        timeout: Duration::from_millis(400),
        grace: Duration::from_secs(3),
        ..Settings::new(spool)
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
        values
            .iter()
            .map(|(_, value)| value.parse::<u64>().expect("a number"))
            .sum()
    }

    /// The values of a name, each with whose it is.
    pub fn stats(&self, name: &str) -> Vec<(String, String)> {
        let mut client = self.client();
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

/// What a cache answers to `get`, or `None`.
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

/// What a Redis answers to `GET`, or `None`.
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

/// Waits until a memcached has forgotten a key.
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

/// How long something took.
pub fn timed(what: impl FnOnce()) -> Duration {
    let began = Instant::now();
    what();
    began.elapsed()
}

pub fn patience() -> Duration {
    PATIENCE
}

pub fn path(directory: &TempDir) -> PathBuf {
    directory.path().to_owned()
}
