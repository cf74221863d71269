//! `larder invalidate` killed at random moments, by the program in `examples/kill9`, which can also run for longer.

use std::path::Path;
use std::process::{Command, Output};

fn kill9(arguments: &[&str]) -> Output {
    let larder = Path::new(env!("CARGO_BIN_EXE_larder"));
    let program = larder.with_file_name("examples").join("kill9");
    let mut command = Command::new(program);
    command.arg("--larder").arg(larder).args(arguments);
    command
        .output()
        .expect("the examples are built: cargo build --examples")
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn no_acknowledged_invalidation_is_lost() {
    let output = kill9(&["--kills", "8"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn no_invalidation_that_waited_for_the_disk_is_lost() {
    let output = kill9(&["--kills", "3", "--durability", "fsync"]);
    assert!(output.status.success(), "{}", said(&output));
}

/// The program would find a loss: without durability, changes under way at the kill are lost.
#[test]
fn unrecorded_changes_are_found_lost() {
    let seen = (0..10).any(|_| {
        let output = kill9(&["--kills", "2", "--durability", "none", "--patience", "2"]);
        assert_ne!(output.status.code(), Some(2), "{}", said(&output));
        output.status.code() == Some(1)
    });
    assert!(
        seen,
        "twenty kills lost nothing that was acknowledged before it was recorded"
    );
}
