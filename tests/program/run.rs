//! Runs the built binary in a directory of its own, and talks to it. Every wait ends on its condition or fails after
//! [`PATIENCE`].

use std::fmt::Debug;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The longest time that a test waits for an event.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Arguments that ask for free ports.
pub(crate) const FREE: [&str; 4] = ["--memcached", "127.0.0.1:0", "--resp", "127.0.0.1:0"];

/// A directory to start larder in, with a larder.toml if one is written there.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Place {
        Place(tempfile::tempdir().expect("a directory can be made"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("it can be written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("it can be read")
    }

    /// The built binary with these arguments, in this directory, without this test's environment getting in the way.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_remove("LARDER_PASSWORD")
            .env_remove("LARDER_ORIGIN_PASSWORD")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs to the end, which must come by itself.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Printed {
        Larder::spawn(self.command(arguments)).printed()
    }

    /// Starts serving and waits for the lines of this many listeners.
    #[track_caller]
    pub(crate) fn serve(&self, arguments: &[&str], listeners: usize) -> Larder {
        Larder::spawn(self.command(arguments)).ready(listeners)
    }
}

/// The output of a run, and its exit code.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A running larder. It is killed when this is dropped.
pub(crate) struct Larder {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
    /// The `listening on` lines.
    pub(crate) listening: Vec<String>,
    /// The lines of the log that were read so far.
    pub(crate) logged: Vec<String>,
}

impl Larder {
    #[track_caller]
    pub(crate) fn spawn(mut command: Command) -> Larder {
        let mut child = command.spawn().expect("larder starts");
        let out = lines(child.stdout.take());
        let err = lines(child.stderr.take());
        Larder {
            child,
            out,
            err,
            listening: Vec::new(),
            logged: Vec::new(),
        }
    }

    #[track_caller]
    pub(crate) fn ready(mut self, listeners: usize) -> Larder {
        while self.listening.len() < listeners {
            match self.out.recv_timeout(PATIENCE) {
                Ok(line) => self.listening.push(line),
                Err(_) => panic!(
                    "{:?}, then {:?}",
                    self.listening,
                    self.err.iter().collect::<Vec<_>>()
                ),
            }
        }
        self
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address that a `listening on PROTOCOL ADDR` line named.
    #[track_caller]
    pub(crate) fn address(&self, protocol: &str) -> &str {
        let start = format!("listening on {protocol} ");
        let found = self.listening.iter().find_map(|l| l.strip_prefix(&start));
        found.unwrap_or_else(|| panic!("no {protocol} in {:?}", self.listening))
    }

    #[track_caller]
    pub(crate) fn memcached(&self) -> Talk<TcpStream> {
        Talk::tcp(self.address("memcached"))
    }

    #[track_caller]
    pub(crate) fn resp(&self) -> Talk<TcpStream> {
        Talk::tcp(self.address("resp"))
    }

    /// Waits for a line of the log that contains this.
    #[track_caller]
    pub(crate) fn logs(&mut self, text: &str) -> String {
        loop {
            match self.err.recv_timeout(PATIENCE) {
                Ok(line) => self.logged.push(line.clone()),
                Err(_) => panic!("{text:?} was not logged: {:#?}", self.logged),
            }
            if let Some(line) = self.logged.last().filter(|line| line.contains(text)) {
                return line.clone();
            }
        }
    }

    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{kill}");
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("larder ends", || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        status.expect("until says so")
    }

    /// Waits until it has ended, and gives all that was not read before.
    #[track_caller]
    pub(crate) fn printed(mut self) -> Printed {
        let code = self.ended().code();
        let all = |lines: &Receiver<String>| lines.iter().map(|line| line + "\n").collect();
        Printed {
            code,
            out: all(&self.out),
            err: all(&self.err),
        }
    }
}

impl Drop for Larder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(from) = from {
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

/// Checks again until the condition holds.
#[track_caller]
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// A connection by hand.
pub(crate) struct Talk<S>(S);

impl Talk<TcpStream> {
    #[track_caller]
    pub(crate) fn tcp(address: &str) -> Talk<TcpStream> {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        Talk(stream)
    }
}

impl Talk<UnixStream> {
    #[track_caller]
    pub(crate) fn unix(path: &Path) -> Talk<UnixStream> {
        let stream = UnixStream::connect(path).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        Talk(stream)
    }
}

impl<S: Read + Write> Talk<S> {
    #[track_caller]
    pub(crate) fn say(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).expect("it can be sent");
    }

    /// Reads exactly this.
    #[track_caller]
    pub(crate) fn hear(&mut self, expected: &str) {
        let mut got = vec![0; expected.len()];
        let mut filled = 0;
        while filled < got.len() {
            match self.0.read(&mut got[filled..]) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{error} instead of {expected:?}"),
            }
            if !expected.as_bytes().starts_with(&got[..filled]) {
                break;
            }
        }
        assert_eq!(String::from_utf8_lossy(&got[..filled]), expected);
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, text: impl AsRef<[u8]> + Debug, expected: &str) {
        self.say(text);
        self.hear(expected);
    }

    /// Nothing more comes: the server has closed.
    #[track_caller]
    pub(crate) fn closed(&mut self) {
        let mut rest = Vec::new();
        let end = self.0.read_to_end(&mut rest);
        let reset = |e: &std::io::Error| e.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(end.is_ok() || end.as_ref().is_err_and(reset), "{end:?}");
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }

    /// All that comes until the server closes.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> String {
        let mut text = String::new();
        self.0
            .read_to_string(&mut text)
            .expect("text, then the end");
        text
    }

    /// All that comes up to this end, byte by byte, so that what follows stays.
    #[track_caller]
    pub(crate) fn until_end(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let mut byte = [0];
            match self.0.read(&mut byte) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => panic!("broke off: {}", String::from_utf8_lossy(&text)),
                Ok(_) => text.extend_from_slice(&byte),
            }
        }
        String::from_utf8(text).expect("it is text")
    }

    /// A number of memcached's `stats`.
    #[track_caller]
    pub(crate) fn stat(&mut self, name: &str) -> u64 {
        self.say("stats\r\n");
        let text = self.until_end("END\r\n");
        let start = format!("STAT {name} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&start));
        let value = value.and_then(|value| value.parse().ok());
        value.unwrap_or_else(|| panic!("no number {name} in {text}"))
    }

    /// Sends bytes that the server may refuse, shuts the sending side, and reads until the server closes.
    pub(crate) fn rough(&mut self, bytes: &[u8])
    where
        S: Shut,
    {
        // It may close in the middle of either; that is an answer too.
        let sent = self.0.write_all(bytes);
        let shut = sent.and_then(|()| self.0.shut());
        let read = shut.and_then(|()| self.0.read_to_end(&mut Vec::new()));
        if let Err(error) = read {
            let timed_out = error.kind() == std::io::ErrorKind::WouldBlock;
            assert!(!timed_out, "no end after {PATIENCE:?}");
        }
    }
}

/// Ends the sending side of a connection.
pub(crate) trait Shut {
    fn shut(&self) -> std::io::Result<()>;
}

impl Shut for TcpStream {
    fn shut(&self) -> std::io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }
}
