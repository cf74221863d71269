//! The servers of chapter 4 in another language: the first try fails where the chapter says, the
//! finished one passes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::support::{find, skip};
use super::{failed, probe, report};

/// A program of `examples/in_python` that listens; it is ended with this.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// `None` where there is no Python.
    fn start(file: &str) -> Option<Server> {
        let python = find("python3")?;
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/in_python");
        let mut child = Command::new(python)
            .arg(path.join(file))
            .arg("0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut server = Server {
            child,
            address: String::new(),
        };
        // A program that ends without a word ends the line as well.
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("its standard output can be read");
        let address = line.trim_end().strip_prefix("listening on memcached ");
        address
            .expect("it says where it listens")
            .clone_into(&mut server.address);
        Some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_finished_server_passes_stage_4() {
    let Some(server) = Server::start("server.py") else {
        skip!("python3 is not installed, so the server in Python was not tried");
    };
    let arguments = [&server.address, "--suite", "memcached", "--stage", "4"];
    let (passed, table) = probe(&arguments).expect("the probe is made");
    assert!(passed, "{table}");
    assert!(table.contains("memcached/values_are_bytes "), "{table}");
    assert!(table.contains(" 0 failed"), "{table}");
}

#[test]
fn the_first_try_fails_where_the_chapter_says() {
    let Some(server) = Server::start("early.py") else {
        skip!("python3 is not installed, so the first try in Python was not tried");
    };
    let arguments = [
        &server.address,
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
