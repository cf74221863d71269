//! The origin `command`: a program that prints the value of a key.
//!
//! ```text
//!   ./lookup {key}       the key as an argument, where `{key}` stands; without `{key}` on standard input
//!   exit code 0          what it has printed is the value, to the byte
//!   exit code 1          the origin doesn't have the key
//!   any other, a signal  an error
//! ```
//!
//! Each fetch starts the program once, without a shell, so a key is never taken for a command. A program that is not done at the
//! deadline, or that prints more than an item may have, is killed with all processes of its group.
//!
//! Cost: a process for each fetch, a millisecond or more.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::source::{FetchError, FetchRequest, Fetched, Origin};

/// The place of the key in an argument.
const PLACE: &str = "{key}";

/// The longest time between two looks whether a program that has printed everything has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A program that is started for each fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOrigin {
    program: String,
    arguments: Vec<String>,
}

impl CommandOrigin {
    /// A program and its arguments, of which one or more may have `{key}` in them.
    pub fn new(program: impl Into<String>, arguments: Vec<String>) -> CommandOrigin {
        CommandOrigin {
            program: program.into(),
            arguments,
        }
    }

    fn start(&self, key: &[u8]) -> Result<Child, FetchError> {
        let mut command = Command::new(&self.program);
        let mut has_place = false;
        for argument in &self.arguments {
            has_place |= argument.contains(PLACE);
            let parts: Vec<&[u8]> = argument.split(PLACE).map(str::as_bytes).collect();
            command.arg(OsStr::from_bytes(&parts.join(key)));
        }
        let input = match has_place {
            true => Stdio::null(),
            false => Stdio::piped(),
        };
        command.stdin(input).stdout(Stdio::piped());
        command.stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().map_err(|error| {
            let program = &self.program;
            match error.kind() {
                // The only argument that the system refuses: one with a zero byte.
                ErrorKind::InvalidInput => FetchError::Error("the key has a zero byte".into()),
                _ => FetchError::Unavailable(format!("{program} can't be started: {error}")),
            }
        })?;
        if let Some(mut input) = child.stdin.take() {
            // A pipe holds the longest key, so this doesn't block. A program that doesn't read it is no failure.
            let _ = input.write_all(key);
        }
        Ok(child)
    }
}

impl Origin for CommandOrigin {
    fn fetch(&self, request: &FetchRequest<'_>) -> Result<Option<Fetched>, FetchError> {
        let mut running = RunningProgram {
            child: self.start(request.key)?,
            has_ended: false,
        };
        let value = running.output(request)?;
        let status = running.wait(request)?;
        match status.code() {
            Some(0) => Ok(Some(value.into())),
            Some(1) => Ok(None),
            _ => Err(FetchError::Error(format!("{}: {status}", self.program))),
        }
    }

    fn describe(&self) -> String {
        format!("command {}", self.program)
    }
}

/// A program that is killed when it is not waited for.
struct RunningProgram {
    child: Child,
    has_ended: bool,
}

impl RunningProgram {
    /// The bytes that it prints until it closes its standard output.
    fn output(&mut self, request: &FetchRequest<'_>) -> Result<Vec<u8>, FetchError> {
        let failed = |error: std::io::Error| FetchError::Error(error.to_string());
        let mut value = Vec::new();
        let Some(mut output) = self.child.stdout.take() else {
            return Ok(value);
        };
        let mut buffer = [0; 16 << 10];
        loop {
            await_output(&output, request)?;
            match output.read(&mut buffer) {
                Ok(0) => return Ok(value),
                Ok(n) => value.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
            request.check_length(value.len())?;
        }
    }

    fn wait(&mut self, request: &FetchRequest<'_>) -> Result<ExitStatus, FetchError> {
        let mut pause = Duration::from_micros(100);
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    self.has_ended = true;
                    return Ok(status);
                }
                Ok(None) => {}
                Err(error) => return Err(FetchError::Error(error.to_string())),
            }
            thread::sleep(pause.min(request.time_left()?));
            pause = (2 * pause).min(LOOK_EVERY);
        }
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        // It is not waited for yet, so no other group can have its number.
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// Waits until the program has printed something, or closed its standard output.
fn await_output(output: &ChildStdout, request: &FetchRequest<'_>) -> Result<(), FetchError> {
    loop {
        let left = request.time_left()?;
        // Rounded up, so that less than a millisecond doesn't spin.
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1));
        let mut waited = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waited, timeout.unwrap_or(PollTimeout::MAX)) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(FetchError::Error(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn fetch_within(
        time: Duration,
        arguments: &[&str],
        key: &[u8],
    ) -> Result<Option<Fetched>, FetchError> {
        let arguments = arguments.iter().map(|argument| (*argument).into());
        let origin = CommandOrigin::new("/bin/sh", arguments.collect());
        origin.fetch(&FetchRequest {
            key,
            names: &[key],
            deadline: Instant::now() + time,
            max_value: 1000,
        })
    }

    fn fetch(script: &str, key: &[u8]) -> Result<Option<Fetched>, FetchError> {
        fetch_within(MINUTE, &["-c", script], key)
    }

    fn value(bytes: &[u8]) -> Result<Option<Fetched>, FetchError> {
        Ok(Some(bytes.to_vec().into()))
    }

    #[test]
    fn the_key_is_an_argument_or_on_standard_input() {
        let arguments = ["-c", "printf %s \"$1\"", "sh", "<{key}>"];
        assert_eq!(fetch_within(MINUTE, &arguments, b"a b"), value(b"<a b>"));
        assert_eq!(
            fetch_within(MINUTE, &arguments, b"$(id);\n"),
            value(b"<$(id);\n>")
        );
        assert_eq!(fetch("cat", b"key"), value(b"key"));
        assert_eq!(fetch("printf unread", &[b'k'; 4096]), value(b"unread"));
        assert_eq!(fetch(":", b"key"), value(b""));
    }

    #[test]
    fn the_exit_code_tells_a_missing_key_from_an_error() {
        assert_eq!(fetch("printf printed; exit 1", b"k"), Ok(None));
        let error = fetch("printf printed; exit 2", b"k").unwrap_err();
        assert_eq!(
            error,
            FetchError::Error("/bin/sh: exit status: 2".to_owned())
        );
        let error = fetch("kill -9 $$", b"k").unwrap_err().to_string();
        assert!(error.contains("signal: 9"), "{error}");
    }

    #[test]
    fn a_value_over_the_limit_is_not_read_to_its_end() {
        assert_eq!(
            fetch("cat /dev/zero", b"k"),
            Err(FetchError::TooLarge(1000))
        );
        assert!(fetch("printf %1000s x", b"k").is_ok());
        assert_eq!(
            fetch("printf %1001s x", b"k"),
            Err(FetchError::TooLarge(1000))
        );
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children_at_the_deadline() {
        let short = Duration::from_millis(50);
        for script in [
            "sleep 1000",
            "sleep 1000 & sleep 1000",
            "exec >&-; sleep 1000",
            "while :; do printf ''; done",
            "sleep 1000 & exit 0",
        ] {
            let fetched = fetch_within(short, &["-c", script], b"k");
            assert_eq!(fetched, Err(FetchError::TimedOut), "{script}");
        }
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let origin = CommandOrigin::new("/nowhere/lookup", Vec::new());
        let error = origin.fetch(&FetchRequest {
            key: b"k",
            names: &[b"k"],
            deadline: Instant::now() + MINUTE,
            max_value: 10,
        });
        let error = error.unwrap_err();
        assert!(matches!(&error, FetchError::Unavailable(_)), "{error}");
        assert!(error.to_string().contains("/nowhere/lookup"), "{error}");
        assert_eq!(origin.describe(), "command /nowhere/lookup");
    }

    #[test]
    fn a_key_with_a_zero_byte_is_an_error() {
        let fetched = fetch_within(MINUTE, &["-c", ":", "{key}"], b"a\0b");
        assert!(matches!(fetched, Err(FetchError::Error(_))), "{fetched:?}");
        assert_eq!(fetch("cat", b"a\0b"), value(b"a\0b"));
    }
}
