//! libFuzzer's entry to the target with the name of the binary.
#![no_main]

#[path = "../targets/mod.rs"]
mod targets;

use libfuzzer_sys::fuzz_target;
use targets::{TARGETS, Target};

/// The target with this name.
fn target(name: &str) -> Target {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.expect("the binary has the name of a target").1
}

fuzz_target!(|bytes: &[u8]| target(env!("CARGO_BIN_NAME"))(bytes));
