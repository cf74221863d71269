//! Running programs: a stage with its arguments, and the servers that it stands in front of.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use tempfile::NamedTempFile;

use larder::tools::transcript::Transcript;

use super::console::until;
use super::programs::programs;

/// The longest wait for a reply on a machine that builds other programs meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The deadline that stages 10, 17 and 18 get, in seconds: a server that answers is never late. It passes in one conversation.
const DEADLINE: &str = "20";

/// The time that stage 18 gets, in seconds, for which a row is fresh: it passes in no conversation.
const FRESH: &str = "3600";

/// A program that listens; it is ended with this.
pub(crate) struct Running {
    child: Child,
    /// The listeners that it reported: protocol and address.
    pub(crate) listening: Vec<(String, String)>,
}

impl Running {
    /// Starts a stage and waits until it has reported its address, once for each of `listeners`.
    pub(crate) fn start(
        name: &str,
        arguments: &[&str],
        listeners: usize,
    ) -> Result<Running, String> {
        let mut child = Command::new(programs().join("examples").join(name))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut running = Running {
            child,
            listening: Vec::new(),
        };
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        while running.listening.len() < listeners {
            let line = lines
                .recv_timeout(PATIENCE)
                .map_err(|_| format!("{name} does not start"))?;
            let words: Vec<&str> = line.split(' ').collect();
            let ["listening", "on", protocol, address] = words[..] else {
                return Err(format!(
                    "{name} printed {line:?}, not `listening on PROTOCOL ADDR`"
                ));
            };
            running
                .listening
                .push((protocol.to_owned(), address.to_owned()));
        }
        Ok(running)
    }

    pub(crate) fn address(&self) -> &str {
        &self.listening[0].1
    }

    /// The address of a protocol's listener, or else that of the first one.
    pub(crate) fn speaks(&self, protocol: &str) -> &str {
        let found = self.listening.iter().find(|(name, _)| name == protocol);
        found.map_or(self.address(), |(_, address)| address)
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended by itself; returns its status and its standard error.
    pub(crate) fn ended(mut self) -> Result<(ExitStatus, String), String> {
        let mut status = None;
        until(|| {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        })
        .map_err(|()| "it does not end".to_owned())?;
        let mut errors = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            stderr
                .read_to_string(&mut errors)
                .map_err(|error| error.to_string())?;
        }
        Ok((status.expect("it has ended"), errors))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number of a stage's listeners. The sixth has one for each protocol and so have those that are written from it; the
/// seventh has one more for echo, the fifteenth one for UDP. The seventeenth has an application and its cache, the
/// eighteenth three nodes of it.
fn listeners(stage: u32) -> usize {
    match stage {
        6 | 14 | 17 => 2,
        7 | 15 => 3,
        18 => 4,
        _ => 1,
    }
}

/// A program and the servers that it stands in front of.
pub(crate) struct Staged {
    pub(crate) program: Running,
    _upstreams: Option<Running>,
    _list: Option<NamedTempFile>,
}

impl Staged {
    /// Starts a program as a stage of this number is started, for this conversation if it has a wish.
    pub(crate) fn start(
        stage: u32,
        name: &str,
        transcript: Option<&Transcript>,
    ) -> Result<Staged, String> {
        let mut arguments = vec!["0".to_owned()];
        let mut list = None;
        let upstreams = match stage {
            8 => Some(Running::start("faulty", &["resp", "0"], 1)?),
            9 | 10 => Some(Running::start("faulty", &["memcached", "0", "0", "0"], 3)?),
            _ => None,
        };
        match &upstreams {
            Some(upstreams) if stage == 8 => arguments.push(upstreams.address().to_owned()),
            Some(upstreams) => {
                // Names that don't depend on the free ports, so that keys always have the same
                // servers.
                let lines = upstreams.listening.iter().zip(["a", "b", "c"]);
                let lines = lines.map(|((_, address), name)| format!("{address} 1 {name}\n"));
                let file = NamedTempFile::new().map_err(|error| error.to_string())?;
                fs::write(file.path(), lines.collect::<String>())
                    .map_err(|error| error.to_string())?;
                arguments.push(file.path().display().to_string());
                list = Some(file);
            }
            None if is_invalidator(stage) => {
                // That address has no listener: the answers to clients must not depend on it.
                let file = NamedTempFile::new().map_err(|error| error.to_string())?;
                fs::write(file.path(), "127.0.0.1:1 1\n").map_err(|error| error.to_string())?;
                arguments.push(file.path().display().to_string());
                list = Some(file);
            }
            None => {}
        }
        if [10, 17, 18].contains(&stage) {
            arguments.push(DEADLINE.to_owned());
        }
        if stage == 18 {
            arguments.push(FRESH.to_owned());
        }
        let on_failure = transcript.and_then(|transcript| transcript.option("on-failure"));
        arguments.extend(on_failure.map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Ok(Staged {
            program: Running::start(name, &arguments, listeners(stage))?,
            _upstreams: upstreams,
            _list: list,
        })
    }
}

/// Whether a stage has memcached's protocol and no store: its promises are the conversations of its
/// chapter.
pub(crate) fn is_invalidator(stage: u32) -> bool {
    matches!(stage, 11 | 12)
}
