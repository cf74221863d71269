//! Keys that expire while real time passes.
//!
//! Every key gets an expiry in one of Redis's ways; then a second and a half pass for all of them together; then each is read.
//! A key either expires within half a second, and is gone, or lasts for longer than any test.

use std::time::Duration;

use crate::both::both;
use crate::commands::Chance;
use crate::support::skip;

const KEYS: usize = 400;

/// More than the shorter expiry.
const PASSING: Duration = Duration::from_millis(1500);

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

#[test]
fn keys_expire_as_in_redis() {
    let Some(mut both) = both() else {
        skip!("redis-server is not installed, so keys that expire were not compared");
    };
    both.begin("keys that expire", "2");
    let mut chance = Chance::new(1);
    let words = |line: &str, key: &str| {
        let words = line
            .split(' ')
            .map(|word| if word == "K" { key } else { word });
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    for key in 0..KEYS {
        let key = format!("key:{key}");
        let first = chance.pick(&["SET K v", "SET K v PX 1000000000", "HSET K f v"]);
        both.say(&words(first, &key));
        // The last one alone may be short, so that no reply depends on how much time has passed.
        if chance.below(2) == 0 {
            let long: Vec<&str> = WAYS
                .iter()
                .copied()
                .filter(|way| !way.contains("500"))
                .collect();
            both.say(&words(chance.pick(&long), &key));
        }
        both.say(&words(chance.pick(WAYS), &key));
    }
    std::thread::sleep(PASSING);
    for key in 0..KEYS {
        let key = format!("key:{key}");
        for reading in ["TTL K", "EXISTS K", "TYPE K", "SETNX K w", "PERSIST K"] {
            both.say(&words(reading, &key));
        }
    }
}
