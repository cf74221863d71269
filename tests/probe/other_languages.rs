//! The servers of chapter 4 in other languages: the first try fails where the chapter says, the
//! finished ones pass.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use tempfile::TempDir;

use super::support::{find, skip};
use super::{failed, probe, report};

/// The longest wait for a server to report its address.
const START: Duration = Duration::from_secs(60);

/// A program in Python or C that listens; it is ended with this.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// `None` if there is no Python.
    fn python(file: &str) -> Option<Server> {
        let mut command = Command::new(find("python3")?);
        command.arg(examples().join("in_python").join(file));
        Some(Server::start(command))
    }

    /// `None` if there is no C compiler.
    fn c(file: &str, directory: &Path) -> Option<Server> {
        let program = directory.join("server");
        let status = Command::new(find("cc")?)
            .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&program)
            .arg(examples().join("in_c").join(file))
            .status()
            .expect("cc starts");
        assert!(status.success(), "{file} doesn't compile");
        Some(Server::start(Command::new(program)))
    }

    fn start(mut command: Command) -> Server {
        let mut child = command
            .arg("0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut server = Server {
            child,
            address: String::new(),
        };
        // A program that ends without output ends the line as well.
        let (sender, printed) = channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(stdout).read_line(&mut line);
            let _ = sender.send(read.map(|_| line));
        });
        // A program that has printed nothing by then is killed when this returns.
        let line = printed.recv_timeout(START).expect("it prints a line");
        let line = line.expect("its standard output can be read");
        let address = line.trim_end().strip_prefix("listening on memcached ");
        address
            .expect("it says where it listens")
            .clone_into(&mut server.address);
        server
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// Holds all conversations of chapter 4 and before against it.
#[track_caller]
fn passes_stage_4(server: &Server) {
    let arguments = [
        &server.address,
        "--suite",
        "memcached",
        "--stage",
        "4",
        "--erase",
    ];
    let (passed, table) = probe(&arguments).expect("the probe is made");
    assert!(passed, "{table}");
    assert!(table.contains("memcached/values_are_bytes "), "{table}");
    assert!(table.contains(" 0 failed"), "{table}");
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_finished_server_in_python_passes_stage_4() {
    match Server::python("server.py") {
        Some(server) => passes_stage_4(&server),
        None => skip!("python3 is not installed, so the server in Python was not tried"),
    }
}

#[test]
fn the_finished_server_in_c_passes_stage_4() {
    let directory = TempDir::new().expect("a directory");
    match Server::c("server.c", directory.path()) {
        Some(server) => passes_stage_4(&server),
        None => skip!("cc is not installed, so the server in C was not tried"),
    }
}

#[test]
fn the_first_version_fails_as_in_the_chapter() {
    let Some(server) = Server::python("early.py") else {
        skip!("python3 is not installed, so the first try in Python was not tried");
    };
    let arguments = [
        &server.address,
        "--erase",
        "--only",
        "memcached/set_and_get",
        "--only",
        "memcached/noreply_storage",
        "--only",
        "memcached/values_are_bytes",
    ];
    let report = report(&arguments);
    assert_eq!(
        failed(&report),
        ["memcached/noreply_storage", "memcached/values_are_bytes"]
    );
}
