//! Load with faults, and a soak test: the drivers in `tests/load/`, briefly.
//!
//! `LARDER_LOAD_SECONDS` lets each scenario, and the soak test, run for longer. For hours, run the drivers themselves.

mod support;

use std::path::Path;
use std::process::Command;

use support::scripts::{python, python_command};

/// Runs a driver to its end, and prints its output if it has found something.
fn run(driver: &str, seconds: &str) {
    let Some(python) = python("asyncio") else {
        support::skip!("there is no python3");
    };
    let seconds = std::env::var("LARDER_LOAD_SECONDS").unwrap_or_else(|_| seconds.to_owned());
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/load");
    let mut command: Command = python_command(&python);
    command.arg(home.join(driver));
    command.args([
        "--larder",
        env!("CARGO_BIN_EXE_larder"),
        "--seconds",
        &seconds,
    ]);
    let done = command.output().expect("it starts");
    let printed = String::from_utf8_lossy(&done.stdout);
    let complaints = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{printed}\n{complaints}");
    println!("{printed}");
}

#[test]
fn a_thousand_clients_get_no_wrong_reply_and_leave_nothing_behind() {
    run("faults.py", "4");
}

#[test]
fn memory_descriptors_and_threads_stay_flat() {
    run("soak.py", "30");
}
