//! Empties a server between transcripts, with nothing but the protocol.

use std::io;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use regex::bytes::Regex;

use crate::tools::transcript::{Protocol, Received, Target, Transcript};

/// Bytes of an answer that are looked at.
const LONGEST: usize = 4096;

/// The first key of a line that can leave an item behind.
static STORES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m-u)^(?:set|add|replace|append|prepend|cas|incr|decr) ([^ \r\n]+)")
        .expect("it is valid")
});

/// Empties the server as far as it can be emptied. Nothing here fails: a server that answers
/// nothing, or is full of old items, is found by the transcript that follows.
pub(super) fn clean(target: &dyn Target, transcript: &Transcript, patience: Duration) {
    match transcript.protocol {
        Protocol::Echo => {}
        Protocol::Memcached => {
            let answer = first_line(target, b"flush_all\r\n", patience);
            if answer.is_ok_and(|line| line != b"OK\r\n") {
                delete_named(target, transcript, patience);
            }
        }
        Protocol::Resp => {
            let _ = first_line(target, b"*1\r\n$8\r\nFLUSHALL\r\n", patience);
        }
    }
}

/// For a memcached server that doesn't know `flush_all` yet: deletes the keys that the transcript
/// stores.
fn delete_named(target: &dyn Target, transcript: &Transcript, patience: Duration) {
    let sent = transcript.sent();
    let mut keys: Vec<&[u8]> = STORES
        .captures_iter(&sent)
        .filter_map(|found| found.get(1))
        .map(|key| key.as_bytes())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let _ = first_line(target, &[b"delete ", key, b"\r\n"].concat(), patience);
    }
}

/// Sends `request` on a connection of its own and returns the first line of the answer, CRLF
/// included; less if the server closes or `patience` is over.
pub(super) fn first_line(
    target: &dyn Target,
    request: &[u8],
    patience: Duration,
) -> io::Result<Vec<u8>> {
    let mut connection = target.connect()?;
    connection.write(request)?;
    let deadline = Instant::now() + patience;
    let mut answer: Vec<u8> = Vec::new();
    loop {
        if let Some(end) = answer.iter().position(|&b| b == b'\n') {
            answer.truncate(end + 1);
            return Ok(answer);
        }
        match connection.read(deadline.saturating_duration_since(Instant::now()))? {
            Received::Bytes(bytes) if answer.len() <= LONGEST => answer.extend_from_slice(&bytes),
            _ => return Ok(answer),
        }
    }
}
