//! Empties a server between transcripts, with nothing but the protocol.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::answer::first_line;
use super::server::Probe;
use crate::tools::transcript::{Protocol, Transcript};

/// The first key of a line that can leave an item behind.
static STORES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m-u)^(?:set|add|replace|append|prepend|cas|incr|decr) ([^ \r\n]+)")
        .expect("it is valid")
});

/// Empties the server as far as it can be emptied. Nothing here fails: if a server doesn't answer,
/// or keeps old items, the next transcript finds that.
pub(super) fn clean(probe: &Probe, transcript: &Transcript) {
    match transcript.protocol {
        Protocol::Echo => {}
        Protocol::Memcached => {
            if first_line(probe, b"flush_all\r\n") != b"OK\r\n" {
                delete_named(probe, transcript);
            }
        }
        Protocol::Resp => {
            first_line(probe, b"*1\r\n$8\r\nFLUSHALL\r\n");
        }
    }
}

/// For a memcached server that doesn't know `flush_all` yet: deletes the keys that the transcript
/// stores.
fn delete_named(probe: &Probe, transcript: &Transcript) {
    let sent = transcript.sent();
    let mut keys: Vec<&[u8]> = STORES
        .captures_iter(&sent)
        .filter_map(|found| found.get(1))
        .map(|key| key.as_bytes())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        first_line(probe, &[b"delete ", key, b"\r\n"].concat());
    }
}
