//! Requests of memcached's protocols that took long: the clock of a turn that finds them, and `stats slowlog`.
//!
//! The log itself is shared with RESP: [`SlowLog`]. The latency monitor gets their times, too.
//!
//! Cost: two looks at the clock for a turn with one request, and none while both are off. Requests behind the first one of a turn share
//! a look, up to [`TOGETHER`] of them, so a request in a pipeline costs an eighth of a look. If they took long together, the entry has
//! the words of the last one.

use std::time::{Duration, Instant};

use crate::protocol::memcached::binary::{self, REQUEST_MAGIC};
use crate::server::Connection;
use crate::service::latency_monitor::COMMAND;
use crate::service::slow_log::{SlowLog, SlowRequest};

use super::context::TurnContext;

/// Requests of a pipeline that share a look at the clock.
const TOGETHER: u32 = 8;

/// Bytes of a binary request's header.
const HEADER: usize = 24;

/// The clock of a turn's requests.
pub(super) struct RequestClock<'a> {
    log: &'a SlowLog,
    /// `None` if the slow log and the latency monitor are off.
    since: Option<Instant>,
    /// Requests since the last look.
    count: u32,
    most: u32,
    /// The position in the turn's input at which the last request begins.
    last: usize,
}

impl<'a> RequestClock<'a> {
    /// The clock of a turn that begins now.
    pub(super) fn begin(log: &'a SlowLog) -> RequestClock<'a> {
        RequestClock {
            log,
            since: log.is_on().then(Instant::now),
            count: 0,
            most: 1,
            last: 0,
        }
    }

    /// Notes that this turn's part of a request, which begins at this position of the input, is done. Returns the time if it was long.
    #[inline]
    pub(super) fn request_done(&mut self, start: usize) -> Option<Duration> {
        self.since?;
        (self.last, self.count) = (start, self.count + 1);
        if self.count < self.most {
            return None;
        }
        self.most = if self.log.is_exact() { 1 } else { TOGETHER };
        self.look()
    }

    /// Adds the time of the pieces of the last request that earlier turns have done.
    pub(super) fn add_earlier(&mut self, time: Duration) {
        self.since = self
            .since
            .map(|since| since.checked_sub(time).unwrap_or(since));
    }

    /// The time of the requests since the last look, if it was long.
    pub(super) fn look(&mut self) -> Option<Duration> {
        let since = self.since.filter(|_| self.count > 0)?;
        let now = Instant::now();
        (self.since, self.count) = (Some(now), 0);
        let time = now.duration_since(since);
        self.log.is_notable(time).then_some(time)
    }

    /// Notes the last request of the input, which took long.
    #[cold]
    pub(super) fn note(&self, input: &[u8], connection: &Connection, now_ms: u64, time: Duration) {
        self.log.latency().note(COMMAND, time, now_ms / 1000);
        if !self.log.is_slow(time) {
            return;
        }
        let request = SlowRequest {
            id: 0,
            at: now_ms / 1000,
            microseconds: u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
            words: Vec::new(),
            client: connection.peer_addr(),
            name: Vec::new(),
        };
        let input = input.get(self.last..).unwrap_or_default();
        match binary_words(input) {
            Some(words) => self.log.add(request, words),
            None => {
                let line = input.split(|byte| *byte == b'\n').next();
                let line = line.unwrap_or_default();
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                let words = line.split(|byte| *byte == b' ');
                self.log.add(request, words.filter(|word| !word.is_empty()));
            }
        }
    }
}

/// The command and the key of a binary request, without its value; `None` if it is none.
fn binary_words(input: &[u8]) -> Option<[&[u8]; 2]> {
    let header = input.first_chunk::<HEADER>()?;
    if header[0] != REQUEST_MAGIC {
        return None;
    }
    let name = binary::opcode_name(header[1]).unwrap_or("unknown");
    let key = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let start = HEADER + usize::from(header[4]);
    let key = input.get(start..start + key).unwrap_or_default();
    Some([name.as_bytes(), key])
}

impl TurnContext<'_> {
    /// `stats slowlog`: the entries of the slow log, the newest first, a line for each fact.
    pub(super) fn slow_log_stats(&mut self) {
        let log = self.shared.slow_log();
        self.stat("slowlog_log_slower_than", log.slower_than());
        self.stat("slowlog_max_len", log.max_len());
        self.stat("slowlog_len", log.len());
        for entry in log.latest(usize::MAX) {
            let id = entry.id;
            self.stat(&format!("slowlog:{id}:time"), entry.at);
            self.stat(&format!("slowlog:{id}:usec"), entry.microseconds);
            self.stat(&format!("slowlog:{id}:client"), &entry.client);
            let words = entry.words.join(&b' ');
            self.stat(&format!("slowlog:{id}:request"), encoded(&words));
        }
    }
}

/// Bytes as in a URI, so that they are one word: those of `watch`, with `%20` between two words.
fn encoded(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    super::watch::encode(&mut text, bytes);
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(input: &[u8], start: usize) -> Vec<Vec<u8>> {
        let log = SlowLog::default();
        log.set_slower_than(0);
        let mut clock = RequestClock::begin(&log);
        let time = clock.request_done(start).expect("every time is long");
        clock.note(input, &Connection::detached(), 5000, time);
        let entry = log.latest(1).remove(0);
        assert_eq!(entry.at, 5);
        entry.words
    }

    #[test]
    fn an_entry_has_the_words_of_a_line_and_no_value() {
        let line = b"get a\r\nset  key 0 0 6\r\nsecret\r\n";
        assert_eq!(words(line, 7), [&b"set"[..], b"key", b"0", b"0", b"6"]);
    }

    #[test]
    fn an_entry_has_name_and_key_of_a_binary_request() {
        let mut request = vec![0; 24];
        (request[0], request[1], request[3], request[4]) = (REQUEST_MAGIC, 0x01, 3, 8);
        request.extend_from_slice(b"8 bytes!keysecret");
        assert_eq!(words(&request, 0), [&b"set"[..], b"key"]);
        request.truncate(30);
        assert_eq!(words(&request, 0), [&b"set"[..], b""]);
    }

    #[test]
    fn the_clock_is_looked_at_once_for_several_requests_behind_the_first() {
        let log = SlowLog::default();
        let mut clock = RequestClock::begin(&log);
        for _ in 0..1 + TOGETHER {
            assert_eq!(clock.request_done(0), None);
        }
        assert_eq!((clock.count, clock.most), (0, TOGETHER));
        log.set_slower_than(-1);
        let mut clock = RequestClock::begin(&log);
        assert_eq!((clock.request_done(0), clock.look()), (None, None));
    }
}
