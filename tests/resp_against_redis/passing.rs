//! Commands on keys that expire while real time passes.
//!
//! A key either expires within half a second, and is gone after [`PASSING`], or lasts for longer than any test.

use std::time::Duration;

use super::commands::Chance;

const KEYS: usize = 400;

/// More than the shorter expiry.
pub(crate) const PASSING: Duration = Duration::from_millis(1500);

/// The commands that give a key a time or take it away.
const WAYS: &[&str] = &[
    "SET K v PX 500",
    "SET K v EX 1000000",
    "PSETEX K 500 v",
    "SETEX K 1000000 v",
    "PEXPIRE K 500",
    "EXPIRE K 1000000",
    "PEXPIRE K 500 NX",
    "PEXPIRE K 500 LT",
    "EXPIRE K 9000000 GT",
    "GETEX K PX 500",
    "GETEX K EX 1000000",
    "GETEX K PERSIST",
    "PERSIST K",
    "SET K v KEEPTTL",
    "SET K v",
    "APPEND K v",
];

/// A command of this line, with the key of this number.
fn words(line: &str, key: usize) -> Vec<String> {
    let key = format!("key:{key}");
    let words = line.split(' ').map(|word| {
        if word == "K" {
            key.clone()
        } else {
            word.to_owned()
        }
    });
    words.collect()
}

/// The commands before the wait.
pub(crate) fn preparation() -> Vec<Vec<String>> {
    let mut chance = Chance::new(1);
    let mut commands = Vec::new();
    for key in 0..KEYS {
        let first = chance.pick(&["SET K v", "SET K v PX 1000000000", "HSET K f v"]);
        commands.push(words(first, key));
        // The last one alone may be short, so that no reply depends on how much time has passed.
        if chance.below(2) == 0 {
            let long: Vec<&str> = WAYS
                .iter()
                .copied()
                .filter(|way| !way.contains("500"))
                .collect();
            commands.push(words(chance.pick(&long), key));
        }
        commands.push(words(chance.pick(WAYS), key));
    }
    commands
}

/// The commands behind the wait.
pub(crate) fn readings() -> Vec<Vec<String>> {
    let lines = ["TTL K", "EXISTS K", "TYPE K", "SETNX K w", "PERSIST K"];
    let of_key = |key| lines.map(|line| words(line, key));
    (0..KEYS).flat_map(of_key).collect()
}
