//! The common parts of the tests: larder as a transcript asks for it, and real servers to compare
//! with.
//!
//! A test that needs a missing server reports that on standard error and counts as passed, because
//! `cargo test` must work with Rust alone. With `LARDER_REQUIRE_PEERS=1` it fails instead, so that
//! a continuous integration without the servers can't pass.

// Each test binary compiles this file for itself and uses a part of it.
#![allow(dead_code, unused_macros)]

pub(crate) mod binary;
pub(crate) mod compared;
pub(crate) mod larder;
mod ports;
pub(crate) mod scripts;

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ::larder::tools::transcript::Address;
use tempfile::TempDir;

#[allow(unused_imports)]
pub(crate) use ports::reserved_port;

/// The longest wait for a server to answer its first connection.
const START: Duration = Duration::from_secs(60);

/// Ends a test that can't be made here, with a message on standard error; see [`skipped`].
macro_rules! skip {
    ($($why:tt)*) => {{
        crate::support::skipped(&format!($($why)*));
        return;
    }};
}
#[allow(unused_imports)]
pub(crate) use skip;

/// Prints on standard error that a test is skipped, and the reason; fails it if peers are required.
pub(crate) fn skipped(why: &str) {
    assert!(!peers_required(), "LARDER_REQUIRE_PEERS is set, but {why}");
    report_skip(why);
}

/// Prints that a server is not installed, so something was not tested; fails the test if peers are required. No
/// distribution has memcached 1.6.45 yet, so that one is never required.
pub(crate) fn skipped_without(kind: Kind, what: &str) {
    let why = format!("{} is not installed, so {what}", kind.program());
    match kind {
        Kind::NewMemcached => report_skip(&why),
        Kind::Memcached | Kind::Redis => skipped(&why),
    }
}

fn report_skip(why: &str) {
    // Not `eprintln!`, which the test harness captures and shows of failed tests only.
    let _ = writeln!(io::stderr(), "SKIPPED: {why}");
}

/// Whether a missing peer is a failure. An empty variable counts as unset, as in a shell's `[ -n "$VARIABLE" ]`.
pub(crate) fn peers_required() -> bool {
    std::env::var_os("LARDER_REQUIRE_PEERS").is_some_and(|value| is_set(&value))
}

pub(crate) fn is_set(value: &OsStr) -> bool {
    !value.is_empty() && value != "0"
}

/// The program called `name`, if it is installed.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/bin", "/usr/bin", "/usr/sbin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path)
        .chain(usual)
        .map(|place| place.join(name));
    places.find(|program| program.is_file())
}

/// Runs a test in which one deadline must pass and others must be kept. On a busy machine those may pass as well, so
/// after a failure it is run again with a longer one.
pub(crate) fn with_growing_deadlines(test: impl Fn(Duration)) {
    for seconds in [2, 8] {
        if catch_unwind(AssertUnwindSafe(|| test(Duration::from_secs(seconds)))).is_ok() {
            return;
        }
    }
    test(Duration::from_secs(32));
}

/// The real servers that transcripts claim to agree with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Memcached,
    /// memcached 1.6.45 or newer, which `LARDER_MEMCACHED` names because no distribution has it yet.
    NewMemcached,
    Redis,
}

impl Kind {
    pub(crate) fn program(self) -> &'static str {
        match self {
            Kind::Memcached => "memcached",
            Kind::NewMemcached => "memcached 1.6.45",
            Kind::Redis => "redis-server",
        }
    }

    /// Its program, if it is installed.
    pub(crate) fn installed(self) -> Option<PathBuf> {
        match self {
            Kind::NewMemcached => new_memcached(),
            Kind::Memcached | Kind::Redis => find(self.program()),
        }
    }
}

/// The memcached 1.6.45 that `LARDER_MEMCACHED` names.
pub(crate) fn new_memcached() -> Option<PathBuf> {
    let path = std::env::var_os("LARDER_MEMCACHED").filter(|value| is_set(value))?;
    Some(PathBuf::from(path))
}

/// A real server on a Unix socket in a directory of its own, or on a port for TCP and UDP. It ends when this is dropped.
pub(crate) struct Peer {
    child: Child,
    address: Address,
    _directory: TempDir,
}

impl Peer {
    /// Starts one with `extra` arguments and waits until it answers. `None` if it is not installed.
    pub(crate) fn start(kind: Kind, extra: &[String]) -> io::Result<Option<Peer>> {
        let Some(program) = kind.installed() else {
            return Ok(None);
        };
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("socket");
        let mut command = Command::new(program);
        command.current_dir(directory.path());
        match kind {
            Kind::Memcached | Kind::NewMemcached => {
                command.arg("-s").arg(&socket).args(["-a", "0700"]);
                // As root it needs this option; otherwise the option has no effect.
                command.args(["-u", "root"]);
            }
            Kind::Redis => {
                command.args(["--port", "0", "--save", "", "--appendonly", "no"]);
                command
                    .arg("--unixsocket")
                    .arg(&socket)
                    .arg("--dir")
                    .arg(directory.path());
            }
        }
        command.args(extra);
        Peer::run(command, Address::Unix(socket), directory).map(Some)
    }

    /// Starts a memcached with UDP and `extra` arguments, and waits until it answers. `None` if it is not installed.
    pub(crate) fn start_with_udp(kind: Kind, extra: &[String]) -> io::Result<Option<Peer>> {
        let Some(program) = kind.installed() else {
            return Ok(None);
        };
        let port = reserved_port().to_string();
        let mut command = Command::new(program);
        // One thread, so that datagrams are answered in their order.
        command.args(["-l", "127.0.0.1", "-p", &port, "-U", &port, "-t", "1"]);
        command.args(["-u", "root"]).args(extra);
        let address = Address::Tcp(format!("127.0.0.1:{port}"));
        Peer::run(command, address, tempfile::tempdir()?).map(Some)
    }

    fn run(mut command: Command, address: Address, directory: TempDir) -> io::Result<Peer> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut peer = Peer {
            child: command.spawn()?,
            address,
            _directory: directory,
        };
        peer.ready()?;
        Ok(peer)
    }

    fn ready(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + START;
        while !answers(&self.address) {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!(
                    "the server ended at once: {status}"
                )));
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("no connection after {START:?}")));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    pub(crate) fn address(&self) -> Address {
        self.address.clone()
    }

    /// The path of its Unix socket.
    pub(crate) fn socket(&self) -> &Path {
        match &self.address {
            Address::Unix(path) => path,
            Address::Tcp(address) => panic!("{address} is no path"),
        }
    }
}

/// Whether a server is ready. One with UDP has to answer over TCP, because it listens there before it has its other socket.
fn answers(address: &Address) -> bool {
    let asked = |address: &str| -> io::Result<usize> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(START))?;
        stream.write_all(b"version\r\n")?;
        stream.read(&mut [0; 64])
    };
    match address {
        Address::Unix(path) => UnixStream::connect(path).is_ok(),
        Address::Tcp(address) => asked(address).is_ok_and(|bytes| bytes > 0),
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every `.txt` below `directory`, sorted.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        let entries = std::fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for entry in entries {
            let path = entry.expect("the directory is readable").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "txt") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The name of a transcript: its path below `root` without `.txt`.
pub(crate) fn name(root: &Path, file: &Path) -> String {
    file.strip_prefix(root)
        .unwrap_or(file)
        .with_extension("")
        .display()
        .to_string()
}
