//! A scripted cache: it notes when each key was last deleted, and to which value it was last set.

use std::collections::HashMap;

use crate::invalidate::settings::TargetKind;
use crate::proxy::simulation::network::ConnectionPipes;
use crate::proxy::simulation::trace;

/// The behaviour of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CacheBehaviour {
    Well,
    /// It refuses connections; those that it had are closed.
    Refuses,
    /// It accepts connections and reads nothing.
    Frozen,
    /// It has no memory for every other value, and no meta commands.
    Full,
    /// Its replies fit no request.
    Lies,
}

/// A server of a target.
pub(super) struct Server {
    kind: TargetKind,
    /// Whether it speaks memcached's binary protocol.
    binary: bool,
    pub(super) behaviour: CacheBehaviour,
    /// For each key, the step at which it was last deleted or set.
    changed: HashMap<Vec<u8>, u64>,
    /// For each key, the number that it was last set to; none if it was deleted since.
    set: HashMap<Vec<u8>, u64>,
    flushed: u64,
}

impl Server {
    pub(super) fn new(kind: TargetKind, binary: bool) -> Server {
        Server {
            kind,
            binary,
            behaviour: CacheBehaviour::Well,
            changed: HashMap::new(),
            set: HashMap::new(),
            flushed: 0,
        }
    }

    /// The step at which this key was last deleted or set.
    pub(super) fn last_change(&self, key: &[u8]) -> u64 {
        self.changed
            .get(key)
            .copied()
            .unwrap_or(0)
            .max(self.flushed)
    }

    /// The number that a key was last set to, if it was not deleted since.
    pub(super) fn set(&self, key: &[u8]) -> Option<u64> {
        self.set.get(key).copied()
    }

    /// Serves the complete requests at the start of `input`, and takes them from it.
    ///
    /// # Errors
    /// When a key is set to an older value than it had, or a request is none.
    pub(super) fn serve(
        &mut self,
        input: &mut Vec<u8>,
        pipes: &mut ConnectionPipes,
        step: u64,
    ) -> Result<(), String> {
        while let Some((words, length)) = match self.kind {
            TargetKind::Memcached if self.binary => binary_request(input),
            TargetKind::Memcached => memcached_request(input),
            TargetKind::Redis => resp_request(input),
        } {
            let opcode = input[1];
            input.drain(..length);
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let behaviour = self.behaviour;
            trace(|| {
                let line = words.join(&b' ');
                format!("step {step} {behaviour:?} serves {}", line.escape_ascii())
            });
            let greets = matches!(words[0], b"version" | b"PING" | b"AUTH" | b"SELECT");
            let reply = match self.behaviour {
                CacheBehaviour::Full if is_too_much(&words) => match (self.kind, words[0]) {
                    (TargetKind::Memcached, b"md") => "ERROR\r\n",
                    (TargetKind::Memcached, _) => "SERVER_ERROR out of memory\r\n",
                    (TargetKind::Redis, _) => "-OOM out of memory\r\n",
                },
                CacheBehaviour::Lies if !greets => match self.kind {
                    TargetKind::Memcached => "TOUCHED\r\n",
                    TargetKind::Redis => "+QUEUED\r\n",
                },
                _ => self.execute(&words, step)?,
            };
            match self.binary {
                true => pipes.inward.send(&binary_reply(opcode, reply)),
                false => pipes.inward.send(reply.as_bytes()),
            }
        }
        Ok(())
    }

    fn execute(&mut self, words: &[&[u8]], step: u64) -> Result<&'static str, String> {
        let forget = |server: &mut Server, key: &[u8]| {
            server.changed.insert(key.to_vec(), step);
            server.set.remove(key);
        };
        Ok(match words {
            [b"version"] => "VERSION 1.6.45\r\n",
            [b"PING"] => "+PONG\r\n",
            [b"AUTH", b"secret"] | [b"SELECT", _] => "+OK\r\n",
            [b"flush_all"] | [b"FLUSHDB"] => {
                self.flushed = step;
                self.set.clear();
                match self.kind {
                    TargetKind::Memcached => "OK\r\n",
                    TargetKind::Redis => "+OK\r\n",
                }
            }
            [b"delete", key] => {
                forget(self, key);
                "DELETED\r\n"
            }
            [b"UNLINK", key] => {
                forget(self, key);
                ":1\r\n"
            }
            [b"md", key, b"I", b"T30"] => {
                forget(self, key);
                "HD\r\n"
            }
            [b"set", key, _, _, _, value] => {
                self.set_value(key, value, step)?;
                "STORED\r\n"
            }
            [b"SET", key, value, ..] => {
                self.set_value(key, value, step)?;
                "+OK\r\n"
            }
            other => {
                let words: Vec<_> = other.iter().map(|word| word.escape_ascii()).collect();
                return Err(format!("an unexpected request: {words:?}"));
            }
        })
    }

    fn set_value(&mut self, key: &[u8], value: &[u8], step: u64) -> Result<(), String> {
        let number = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
        let number: u64 = number.ok_or("a value that no change had")?;
        let before = self.set.insert(key.to_vec(), number);
        if before.is_some_and(|before| before > number) {
            let key = key.escape_ascii();
            return Err(format!("{key} was set to {before:?}, and then to {number}"));
        }
        self.changed.insert(key.to_vec(), step);
        Ok(())
    }
}

/// Whether a server that is full refuses the request.
fn is_too_much(words: &[&[u8]]) -> bool {
    let odd = |value: &[u8]| value.last().is_some_and(|digit| digit % 2 == 1);
    match words {
        [b"md", ..] => true,
        [b"set", .., value] | [b"SET", _, value, ..] => odd(value),
        _ => false,
    }
}

/// The words of the request at the start, its value last, and its length.
fn memcached_request(input: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let end = input.windows(2).position(|end| end == b"\r\n")?;
    let line = input[..end].split(|byte| *byte == b' ');
    let mut words: Vec<Vec<u8>> = line.map(<[u8]>::to_vec).collect();
    let mut length = end + 2;
    if words[0] == b"set" {
        let size: usize = std::str::from_utf8(&words[4]).ok()?.parse().ok()?;
        words.push(input.get(length..length + size)?.to_vec());
        length += size + 2;
    }
    (length <= input.len()).then_some((words, length))
}

/// The same, in the words of the text protocol, for a request in binary.
fn binary_request(input: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let header = input.get(..24)?;
    let key_length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let extras = usize::from(header[4]);
    let body = u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize;
    let body = input.get(24..24 + body)?;
    let key = body[extras..extras + key_length].to_vec();
    let value = body[extras + key_length..].to_vec();
    let name: &[u8] = match header[1] {
        0x0a => b"version",
        0x08 => b"flush_all",
        0x04 => b"delete",
        0x01 => b"set",
        _ => b"unknown",
    };
    let words = match header[1] {
        0x01 => vec![name.to_vec(), key, vec![], vec![], vec![], value],
        0x04 => vec![name.to_vec(), key],
        _ => vec![name.to_vec()],
    };
    Some((words, 24 + body.len()))
}

/// The reply in binary that means the same as one in text.
fn binary_reply(opcode: u8, text: &str) -> Vec<u8> {
    let status = match text {
        "SERVER_ERROR out of memory\r\n" => 0x82,
        "TOUCHED\r\n" => 0x81,
        _ => 0,
    };
    [&[0x81, opcode, 0, 0, 0, 0, 0, status][..], &[0; 16]].concat()
}

/// The words of the request at the start, and its length.
fn resp_request(input: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let (count, mut length) = resp_number(input, 0)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (size, start) = resp_number(input, length)?;
        words.push(input.get(start..start + size)?.to_vec());
        length = start + size + 2;
    }
    (length <= input.len()).then_some((words, length))
}

/// The number of the line that begins there, behind its type, and where the next line begins.
fn resp_number(input: &[u8], start: usize) -> Option<(usize, usize)> {
    let line = input.get(start..)?;
    let end = line.windows(2).position(|end| end == b"\r\n")?;
    let number = std::str::from_utf8(&line[1..end]).ok()?.parse().ok()?;
    Some((number, start + end + 2))
}
