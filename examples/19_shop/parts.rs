//! The other processes of the shop: started, watched, started again, and ended with the shop.
//!
//! ```text
//!   19_shop 7019 ─┬─ 19_shop serve …        its standard input is a pipe from the shop, which only ever ends
//!                 └─ 19_shop invalidate …   likewise
//! ```
//!
//! A part ends when its pipe ends. The kernel closes the pipe when the shop ends in whatever way, `kill -9` included, so no
//! part is left behind. Each part is a process group of its own: Ctrl-C in a terminal reaches only the shop, which then ends
//! the parts in their order.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, fmt};

use signal_hook::consts::SIGTERM;

/// The time between two looks at the parts, and before one is started again.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The time that an ending part has: larder's own is 10 s.
const END: Duration = Duration::from_secs(12);

// ANCHOR: end_with_the_shop
/// In a part: ends this process as TERM does when the shop has ended.
pub(crate) fn end_with_the_shop() {
    thread::spawn(|| {
        let mut pipe = io::stdin().lock();
        while pipe.read(&mut [0; 64]).is_ok_and(|bytes| bytes > 0) {}
        signal_hook::low_level::raise(SIGTERM)
    });
}
// ANCHOR_END: end_with_the_shop

/// A running part.
pub(crate) struct Part {
    arguments: Vec<String>,
    directory: PathBuf,
    child: Child,
    /// Open as long as the part has to run.
    pipe: Option<ChildStdin>,
    address: String,
}

impl Part {
    // ANCHOR: start
    /// Starts this program with other arguments and waits until it has printed its address. The directory has no larder.toml.
    pub(crate) fn start(directory: &Path, mut arguments: Vec<String>) -> io::Result<Part> {
        let mut child = Command::new(env::current_exe()?)
            .args(&arguments)
            .current_dir(directory)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipe = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let address = line.strip_prefix("listening on memcached ")?;
            Some(address.to_owned())
        });
        let Some(address) = address else {
            let status = child.wait()?;
            let role = &arguments[0];
            return Err(io::Error::other(format!(
                "larder {role} didn't start: {status}"
            )));
        };
        // It gets the same port when it is started again.
        for argument in arguments
            .iter_mut()
            .filter(|argument| argument.ends_with(":0"))
        {
            argument.clone_from(&address);
        }
        Ok(Part {
            arguments,
            directory: directory.to_owned(),
            child,
            pipe,
            address,
        })
    }
    // ANCHOR_END: start

    /// The address of its memcached listener.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Starts it again, at its address, if it has ended.
    fn look(&mut self) {
        let Ok(Some(status)) = self.child.try_wait() else {
            return;
        };
        eprintln!("{self} has ended ({status}); starting it again");
        match Part::start(&self.directory, self.arguments.clone()) {
            Ok(part) => *self = part,
            Err(error) => eprintln!("{error}; trying again"),
        }
    }

    /// Ends it, by force when its time is over.
    fn end(mut self) -> io::Result<ExitStatus> {
        drop(self.pipe.take());
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        eprintln!("{self} doesn't end; killing it");
        self.child.kill()?;
        self.child.wait()
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "larder {}", self.arguments[0])
    }
}

/// All parts, and the thread that watches them.
pub(crate) struct Parts {
    stop: Sender<()>,
    watcher: JoinHandle<Vec<Part>>,
}

impl Parts {
    /// Watches parts that run.
    pub(crate) fn watch(mut parts: Vec<Part>) -> io::Result<Parts> {
        let (stop, stopped) = mpsc::channel();
        let watcher = thread::Builder::new().name("parts".into()).spawn(move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                parts.iter_mut().for_each(Part::look);
            }
            parts
        })?;
        Ok(Parts { stop, watcher })
    }

    /// Ends them, the last started first.
    pub(crate) fn end(self) {
        drop(self.stop);
        let parts = self.watcher.join().expect("the thread doesn't panic");
        for part in parts.into_iter().rev() {
            if let Err(error) = part.end() {
                eprintln!("a part can't be ended: {error}");
            }
        }
    }
}
