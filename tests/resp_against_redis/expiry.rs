//! Keys that expire while real time passes.
//!
//! Every key gets an expiry in one of Redis's ways; then some time passes for all of them together; then each is read.

use crate::both::both;
use crate::passing::{PASSING, preparation, readings};
use crate::support::skip;

#[test]
fn keys_expire_as_in_redis() {
    let Some(mut both) = both() else {
        skip!("redis-server is not installed, so keys that expire were not compared");
    };
    both.begin("keys that expire", "2");
    for words in preparation() {
        both.say(&words);
    }
    std::thread::sleep(PASSING);
    for words in readings() {
        both.say(&words);
    }
}
