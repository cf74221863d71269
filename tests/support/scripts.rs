//! The scripts in `tests/clients/`, which use the clients that people already have.
//!
//! Python is the one in `target/venv` if that is there (`.ci/run` makes it), else `python3`, if it has the modules. Node's
//! modules are those in `target/node`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::find;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A Python that has the modules, given as in `import`, if there is one.
pub(crate) fn python(modules: &str) -> Option<PathBuf> {
    let places = [
        Some(root().join("target/venv/bin/python3")),
        find("python3"),
    ];
    places.into_iter().flatten().find(|python| {
        let mut import = Command::new(python);
        import.args(["-c", &format!("import {modules}")]);
        import.output().is_ok_and(|done| done.status.success())
    })
}

const NODE_MODULES: &str = "target/node/node_modules";

/// Node, if it is installed and has the modules.
pub(crate) fn node(modules: &[&str]) -> Option<PathBuf> {
    let there = |module: &&str| root().join(NODE_MODULES).join(module).is_dir();
    find("node").filter(|_| modules.iter().all(there))
}

/// Runs a script of `tests/clients/` to its end and prints its output if one of its checks failed.
#[track_caller]
pub(crate) fn run(python: &Path, script: &str, arguments: &[&str]) {
    finish(python_command(python), script, arguments);
}

pub(crate) fn python_command(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg("-B"); // leaves no __pycache__ in the sources
    command
}

/// The same for a script for Node.
#[track_caller]
pub(crate) fn run_node(node: &Path, script: &str, arguments: &[&str]) {
    finish(node_command(node), script, arguments);
}

pub(crate) fn node_command(node: &Path) -> Command {
    let mut command = Command::new(node);
    command.env("NODE_PATH", root().join(NODE_MODULES));
    command
}

#[track_caller]
pub(crate) fn finish(mut command: Command, script: &str, arguments: &[&str]) {
    let done = command
        .arg(root().join("tests/clients").join(script))
        .args(arguments)
        .output()
        .expect("it starts");
    let printed = String::from_utf8_lossy(&done.stdout);
    let complaints = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "{script} {arguments:?}\n{printed}\n{complaints}"
    );
    // A script that checked nothing would succeed as well.
    assert!(printed.lines().filter(|l| l.starts_with("ok ")).count() >= 10);
}
