//! Console blocks are replayed: the commands are run, and their output is compared to the
//! character.
//!
//! ```text
//!   ```console,server        the terminal of the server: one command starts it, `^C` interrupts it
//!   ```console,server,NAME   the terminal of another server that runs at the same time
//!   ```console               the reader's other terminal: each `$ ` line is run by bash, in the checkout
//! ```
//!
//! The ports in the book are those that a reader types. Here every server gets a free one, which
//! replaces the page's port in commands, and is replaced by it in output. On a page with several
//! servers the ports are chosen before the first of them starts, because the arguments of one name
//! the others, and because a server may come back at its address. `cargo run` starts the program that
//! is built already; `$(pidof NAME)` is the server of this page and no other. A command's `target/`
//! and `/tmp/` are directories of this page.
//!
//! A reader sleeps for a second until something has happened. On a busy machine that takes longer. So a command with
//! `sleep` or `timeout` in it is repeated until its output is the page's, and so are those behind it in its block.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, PipeReader};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::pages::{Fence, Page};
use crate::support::find;
pub(crate) use crate::support::skipped;

/// The longest wait before the replay is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// The directory of the reader's program after each step, among the built programs.
pub(crate) const STEPS: &str = "book-steps";

/// Programs that a reader may lack, and the tests with them.
const PEERS: [&str; 8] = [
    "memcached",
    "redis-server",
    "redis-cli",
    "nc",
    "python3",
    "mcstat",
    "cc",
    "openssl",
];

/// One command of a block, and its output on the page.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Typed {
    pub(crate) command: String,
    pub(crate) output: Vec<String>,
}

/// The commands of a block; a line that ends in a backslash goes on in the next, behind `> `. In
/// the server's terminal a block may begin with further output of the server: that is the output of
/// an empty command.
pub(crate) fn commands(body: &str, server: bool) -> Result<Vec<Typed>, String> {
    let mut commands: Vec<Typed> = Vec::new();
    if server && !body.starts_with("$ ") && !body.starts_with("^C") {
        commands.push(Typed::default());
    }
    for line in body.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(Typed {
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else if line == "^C" {
            commands.push(Typed {
                command: "^C".to_owned(),
                output: Vec::new(),
            });
        } else {
            let last = commands
                .last_mut()
                .ok_or("a block begins with `$ ` or ^C")?;
            match line.strip_prefix("> ") {
                Some(more) if last.output.is_empty() && last.command.ends_with('\\') => {
                    last.command.pop();
                    last.command.push_str(more);
                }
                _ => last.output.push(line.to_owned()),
            }
        }
    }
    if commands.is_empty() {
        return Err("a console block without a command".into());
    }
    Ok(commands)
}

/// Replays a page's console blocks in order. `programs` is where the examples and `larder` are
/// built.
pub(crate) fn replay(root: &Path, page: &Page, programs: &Path) -> Result<(), String> {
    replay_with(root, page, programs, HashMap::new())
}

/// The same, beside servers that run already: the page's ports, and those that stand for them
/// here.
pub(crate) fn replay_with(
    root: &Path,
    page: &Page,
    programs: &Path,
    ports: HashMap<String, String>,
) -> Result<(), String> {
    let files = tempfile::tempdir().map_err(|error| error.to_string())?;
    for directory in ["target", "tmp"] {
        std::fs::create_dir(files.path().join(directory)).map_err(|error| error.to_string())?;
    }
    let mut terminal = Terminal {
        root,
        files,
        programs,
        ports,
        reserved: false,
        servers: HashMap::new(),
        status: None,
        mine: String::new(),
    };
    let step = regex::Regex::new(r"steps/(\d+)/(\d+)\.diff").expect("a pattern");
    let servers = || page.fences.iter().filter(|fence| is_server(fence));
    if servers().any(|fence| !terminal_name(fence).is_empty()) {
        terminal.reserved = true;
        for fence in servers() {
            terminal.reserve(&fence.body)?;
        }
    }
    for fence in &page.fences {
        if fence.is("step")
            && let Some(step) = step.captures(&fence.body)
        {
            terminal.mine = format!("{}/s{}_{}", STEPS, &step[1], &step[2]);
        }
        if fence.language() != "console" {
            continue;
        }
        let at = |problem: String| format!("{}: {problem}", page.at(fence.line));
        terminal.block(fence).map_err(at)?;
    }
    Ok(())
}

/// The peers that a page's commands need and that are not installed.
pub(crate) fn missing_peers(page: &Page) -> Vec<&'static str> {
    let text: String = page
        .fences
        .iter()
        .filter(|fence| fence.language() == "console")
        .flat_map(|fence| fence.body.lines())
        .filter(|line| line.starts_with("$ ") || line.starts_with("> "))
        .flat_map(|line| [line, "\n"])
        .collect();
    let words: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric() && !"-_./".contains(c))
        .collect();
    PEERS
        .into_iter()
        .filter(|peer| words.contains(peer) && find(peer).is_none())
        .collect()
}

/// Whether a block is the terminal of a server.
fn is_server(fence: &Fence) -> bool {
    fence.language() == "console" && fence.is("server")
}

/// The name of a server's terminal; the page's own server has none.
fn terminal_name(fence: &Fence) -> &str {
    fence.info.split(',').nth(2).unwrap_or_default().trim()
}

struct Terminal<'a> {
    root: &'a Path,
    programs: &'a Path,
    /// Stands for the directories that pages write to, so that pages can be replayed beside one another.
    files: TempDir,
    /// The page's port and the one that stands for it here.
    ports: HashMap<String, String>,
    /// Whether all ports of the page are known before they are taken.
    reserved: bool,
    /// The running servers, by the names of their terminals.
    servers: HashMap<String, Server>,
    /// The end of the last server.
    status: Option<ExitStatus>,
    /// The reader's own program after the step that the page has shown last.
    mine: String,
}

impl Terminal<'_> {
    fn block(&mut self, fence: &Fence) -> Result<(), String> {
        let mut commands = commands(&fence.body, is_server(fence))?;
        for typed in &mut commands {
            typed.command = self.as_typed(&typed.command);
        }
        let name = terminal_name(fence);
        let mut timed = false;
        for typed in &commands {
            if !is_server(fence) {
                timed |= ["sleep ", "timeout "]
                    .iter()
                    .any(|word| typed.command.contains(word));
                let deadline = Instant::now() + PATIENCE;
                let mut done = self.client(typed);
                while timed && done.is_err() && Instant::now() < deadline {
                    thread::park_timeout(Duration::from_millis(100));
                    done = self.client(typed);
                }
                done?;
            } else if typed.command.is_empty() {
                self.printed(name, typed)?;
            } else if typed.command == "^C" {
                self.interrupt(name, typed)?;
            } else if typed.command == "echo $?" {
                let status = match self.servers.remove(name) {
                    Some(mut server) => server.ended()?,
                    None => self.status.ok_or("no server has ended")?,
                };
                self.status = Some(status);
                // As in a shell: 128 and the number of the signal.
                let code = status.code().or(status.signal().map(|signal| 128 + signal));
                let code = code.map_or(String::new(), |code| code.to_string());
                same(&typed.command, &typed.output, &[code])?;
            } else {
                self.servers.remove(name);
                self.start(name, typed)?;
            }
        }
        Ok(())
    }

    /// Chooses a port for each that a server's terminal names.
    fn reserve(&mut self, body: &str) -> Result<(), String> {
        let named = regex::Regex::new(r"(?:^| |:)(\d{4,5})\b").expect("a pattern");
        for line in body.lines().filter(|line| line.starts_with("$ ")) {
            for found in named.captures_iter(line) {
                if !self.ports.contains_key(&found[1]) {
                    let taken = crate::support::reserved_port().to_string();
                    self.ports.insert(found[1].to_owned(), taken);
                }
            }
        }
        Ok(())
    }

    /// Starts a server; its output must be the page's.
    fn start(&mut self, name: &str, typed: &Typed) -> Result<(), String> {
        let words: Vec<&str> = typed.command.split_whitespace().collect();
        let ours = words[0] == "cargo";
        let named = words
            .iter()
            .find(|word| word.len() >= 4 && word.parse::<u16>().is_ok());
        let free = named.map(|named| (*named).to_owned());
        let mut server = if ours {
            let (program, mut arguments) = self.program(&words)?;
            for argument in &mut arguments {
                if self.reserved {
                    for (named, taken) in &self.ports {
                        *argument = replace_number(argument, named, taken);
                    }
                } else if Some(&*argument) == free.as_ref() {
                    "0".clone_into(argument);
                }
            }
            Server::spawn(self.root, &program, &arguments)?
        } else {
            let mut command = typed.command.clone();
            if let Some(named) = &free {
                let taken = crate::support::reserved_port().to_string();
                command = replace_number(&command, named, &taken);
                self.ports.insert(named.clone(), taken);
            }
            let arguments = ["-c".to_owned(), format!("exec {command}")];
            Server::spawn(self.root, Path::new("bash"), &arguments)?
        };
        if ours {
            for expected in &typed.output {
                let line = server.line()?;
                // The lines that name the ports taken teach them.
                if let (Some((_, named)), Some((_, taken))) =
                    (expected.rsplit_once(':'), line.rsplit_once(':'))
                    && free.is_some()
                    && line.starts_with("listening on ")
                    && expected.starts_with("listening on ")
                {
                    self.ports.insert(named.to_owned(), taken.to_owned());
                }
                let line = self.as_printed(&line);
                same(&typed.command, std::slice::from_ref(expected), &[line])?;
            }
        } else {
            for expected in &typed.output {
                let line = self.as_printed(&server.line()?);
                same(&typed.command, std::slice::from_ref(expected), &[line])?;
            }
            if let Some(taken) = free.and_then(|named| self.ports.get(&named)) {
                until(|| TcpStream::connect(format!("127.0.0.1:{taken}")).is_ok())
                    .map_err(|_| format!("{}: does not listen", typed.command))?;
            }
        }
        self.servers.insert(name.to_owned(), server);
        Ok(())
    }

    /// The program behind a command line: `cargo run` means the built program.
    fn program(&self, words: &[&str]) -> Result<(PathBuf, Vec<String>), String> {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let arguments = |rest: &[&str]| match rest {
            [] => Ok(Vec::new()),
            ["--", rest @ ..] => Ok(owned(rest)),
            other => Err(format!("{other:?}: arguments of the program come after --")),
        };
        match words {
            [
                "cargo",
                "run",
                "-q",
                "--release",
                "--example",
                name,
                rest @ ..,
            ]
            | ["cargo", "run", "-q", "--example", name, rest @ ..] => {
                let program = match *name {
                    "mine" => self.programs.join(&self.mine),
                    name => self.programs.join("examples").join(name),
                };
                Ok((program, arguments(rest)?))
            }
            ["cargo", "run", "-q", "--release", rest @ ..] | ["cargo", "run", "-q", rest @ ..] => {
                Ok((self.programs.join("larder"), arguments(rest)?))
            }
            ["cargo", ..] => Err("only `cargo run -q` is replayed".into()),
            [program, rest @ ..] => Ok((PathBuf::from(program), owned(rest))),
            [] => Err("an empty command".into()),
        }
    }

    /// Runs the reader's command in the other terminal.
    fn client(&mut self, typed: &Typed) -> Result<(), String> {
        let mut command = typed.command.clone();
        for (named, taken) in &self.ports {
            command = replace_number(&command, named, taken);
        }
        let prelude = r#"
            pidof() { echo "$SERVER"; }
            cargo() {
                [ "$1 $2" = "run -q" ] || { echo "only cargo run -q is replayed" >&2; return 1; }
                shift 2
                [ "$1" = --release ] && shift
                local program="$PROGRAMS/larder"
                if [ "$1" = --example ]; then program="$PROGRAMS/examples/$2"; shift 2; fi
                [ "$program" = "$PROGRAMS/examples/mine" ] && program="$PROGRAMS/$MINE"
                [ "$1" = -- ] && shift
                "$program" "$@"
            }
        "#;
        let (reader, writer) = io::pipe().map_err(|error| error.to_string())?;
        let errors = writer.try_clone().map_err(|error| error.to_string())?;
        let server = self
            .servers
            .get("")
            .map_or(String::new(), |s| s.child.id().to_string());
        let mut child = Command::new("bash")
            .args(["-c", &format!("{prelude}\n{command}")])
            .current_dir(self.root)
            .env("PROGRAMS", self.programs)
            .env("MINE", &self.mine)
            .env("PATH", self.search_path()?)
            // redis-cli prints as it does to a terminal, because the page's reader has one.
            .env("FAKETTY", "1")
            .env("SERVER", server)
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("bash: {error}"))?;
        let lines = lines(reader);
        let mut printed = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => printed.push(self.as_printed(&line)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!(
                        "`{}` does not end; so far {printed:?}",
                        typed.command
                    ));
                }
            }
        }
        child.wait().map_err(|error| error.to_string())?;
        same(&typed.command, &typed.output, &printed)
    }

    /// The server's output since the last call.
    fn printed(&mut self, name: &str, typed: &Typed) -> Result<(), String> {
        let server = self
            .servers
            .get_mut(name)
            .ok_or("output without a server")?;
        let lines = typed
            .output
            .iter()
            .map(|_| server.line())
            .collect::<Result<Vec<_>, _>>()?;
        let lines: Vec<String> = lines.iter().map(|line| self.as_printed(line)).collect();
        same("the server", &typed.output, &lines)
    }

    /// Ctrl-C in the server's terminal; the output up to its end is compared.
    fn interrupt(&mut self, name: &str, typed: &Typed) -> Result<(), String> {
        let mut server = self.servers.remove(name).ok_or("^C without a server")?;
        signal(server.child.id(), "INT")?;
        self.status = Some(server.ended()?);
        let printed: Vec<String> = server
            .lines
            .iter()
            .map(|line| self.as_printed(&line))
            .collect();
        same("^C", &typed.output, &printed)
    }

    /// The page's command, with the directories that are used here.
    fn as_typed(&self, command: &str) -> String {
        let files = self.files.path().display();
        let directories = r#"(?P<before>^|[\s'"=<>])/?(?P<directory>target|tmp)/"#;
        let directories = regex::Regex::new(directories).expect("a pattern");
        let here = format!("${{before}}{files}/${{directory}}/");
        directories.replace_all(command, here).into_owned()
    }

    /// The output here, with the directories and ports of the page.
    fn as_printed(&self, line: &str) -> String {
        let files = self.files.path().display();
        let mut line = line
            .trim_end_matches('\r')
            .replace(&format!("{files}/target/"), "target/")
            .replace(&format!("{files}/tmp/"), "/tmp/");
        for (named, taken) in &self.ports {
            line = replace_number(&line, taken, named);
        }
        line
    }
}

/// A server that a page has started; it is ended with the page.
struct Server {
    child: Child,
    lines: Receiver<String>,
}

impl Server {
    fn spawn(root: &Path, program: &Path, arguments: &[String]) -> Result<Server, String> {
        let (reader, writer) = io::pipe().map_err(|error| error.to_string())?;
        let errors = writer.try_clone().map_err(|error| error.to_string())?;
        // A shell's job in the background ignores SIGINT, and all that it starts. The page's reader types ^C in a terminal.
        let child = Command::new("env")
            .arg("--default-signal=INT")
            .arg(program)
            .args(arguments)
            .current_dir(root)
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Server {
            child,
            lines: lines(reader),
        })
    }

    fn line(&mut self) -> Result<String, String> {
        let line = self.lines.recv_timeout(PATIENCE);
        line.map_err(|_| "the server printed no more".to_owned())
    }

    /// Waits until the server has ended by itself.
    fn ended(&mut self) -> Result<ExitStatus, String> {
        let mut status = None;
        until(|| {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        })
        .map_err(|_| "the server does not end".to_owned())?;
        status.ok_or_else(|| "no status".to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a real signal to a process that these tests have started.
pub(crate) fn signal(process: u32, name: &str) -> Result<(), String> {
    let sent = Command::new("bash")
        .args(["-c", &format!("kill -{name} {process}")])
        .status();
    match sent {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("kill -{name} {process}: {other:?}")),
    }
}

/// Tries again until the condition holds, or PATIENCE has passed.
pub(crate) fn until(mut so: impl FnMut() -> bool) -> Result<(), ()> {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        if Instant::now() > deadline {
            return Err(());
        }
        thread::park_timeout(Duration::from_millis(5));
    }
    Ok(())
}

fn lines(reader: PipeReader) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            if sender
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                break;
            }
        }
    });
    receiver
}

impl Terminal<'_> {
    /// The search path with `larder`, which a reader has installed.
    fn search_path(&self) -> Result<OsString, String> {
        let others = search_path(self.root)?;
        let places = std::env::split_paths(&others).chain([self.programs.to_owned()]);
        std::env::join_paths(places).map_err(|error| format!("PATH: {error}"))
    }
}

/// The search path of programs: first the Python modules that `.ci/run` installs.
pub(crate) fn search_path(root: &Path) -> Result<OsString, String> {
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let places = std::iter::once(root.join("target/venv/bin")).chain(std::env::split_paths(&usual));
    std::env::join_paths(places).map_err(|error| format!("PATH: {error}"))
}

/// Replaces a number that stands by itself.
fn replace_number(text: &str, from: &str, to: &str) -> String {
    let pattern = regex::Regex::new(&format!(r"\b{from}\b")).expect("a number is a pattern");
    pattern.replace_all(text, to).into_owned()
}

fn same(command: &str, expected: &[String], printed: &[String]) -> Result<(), String> {
    if expected == printed {
        return Ok(());
    }
    Err(format!(
        "`{command}` printed\n  {printed:?}\nand the page says\n  {expected:?}"
    ))
}

#[test]
fn blocks_are_read_as_typed() {
    let read = commands(
        "$ printf 'a' | \\\n> nc localhost 7001\nA\n\nB\n^C\n",
        false,
    )
    .unwrap();
    assert_eq!(read[0].command, "printf 'a' | nc localhost 7001");
    assert_eq!(read[0].output, ["A", "", "B"]);
    assert_eq!(
        read[1],
        Typed {
            command: "^C".into(),
            output: vec![]
        }
    );
    assert!(commands("hello", false).is_err());
    assert_eq!(commands("hello\n^C\n", true).unwrap()[0].output, ["hello"]);
}
