//! Moves bytes from the parts' buffers to the client.

use memchr::memchr;

use crate::protocol::framing::reply::{BinaryReply, FrameState, memcached};
use crate::protocol::framing::request::MergeRule;
use crate::proxy::merge::{MergePhase, PART_LIMIT, PartReply, PartStart, ReplyMerge};
use crate::proxy::scan;

const NO_NUMBER: &[u8] = b"-ERR upstream sent a reply that is not a number\r\n";

/// The amount of a part that was passed on.
enum PartProgress {
    /// All requested bytes.
    All,
    /// The bytes at hand; more must arrive.
    Some,
    /// An error, with which the reply ends.
    Error,
}

impl PartProgress {
    fn when(all: bool) -> PartProgress {
        if all {
            PartProgress::All
        } else {
            PartProgress::Some
        }
    }
}

impl ReplyMerge {
    /// Reads the start of a part, if it is not known yet, and checks whether the part is full.
    pub(super) fn read_start(&mut self, part: usize) {
        let over = self.is_over();
        let this = &mut self.parts[part];
        if !over && this.head == PartStart::Unknown && this.begin(self.join, self.binary.as_ref()) {
            self.begun += 1;
        }
        self.pressed |= self.eager && !self.has_room(part);
    }

    /// Appends to `out` the bytes that can go to the client.
    pub(super) fn pump(&mut self, out: &mut Vec<u8>) {
        if self.phase == MergePhase::Heads {
            if self.begun < self.parts.len() && !self.pressed {
                return;
            }
            self.heads(out);
        }
        while self.phase == MergePhase::Streaming {
            let Some(&part) = self.order.get(self.next) else {
                if self.join == MergeRule::Values {
                    out.extend_from_slice(b"END\r\n");
                }
                self.complete();
                return;
            };
            let part = &mut self.parts[part as usize];
            match part.head {
                PartStart::Unknown => return,
                // Only if the reply has begun before all parts had.
                PartStart::Error(_) => return self.end(MergePhase::Broken),
                PartStart::Good(_) | PartStart::Missed => {}
            }
            let moved = match self.join {
                MergeRule::Values => part.value_block(&self.keys[self.next], out),
                MergeRule::Array | MergeRule::Fenced => part.element(out),
                _ => part.all(out),
            };
            match moved {
                PartProgress::All => self.next += 1,
                PartProgress::Some => return,
                PartProgress::Error => self.complete(),
            }
        }
    }

    /// All parts have begun: the start of the reply is known.
    fn heads(&mut self, out: &mut Vec<u8>) {
        self.phase = MergePhase::Streaming;
        if self.join.needs_whole_replies() {
            self.combine(out);
            return self.complete();
        }
        let in_order = || {
            self.order
                .iter()
                .map(|part| &self.parts[*part as usize].head)
        };
        if let Some(PartStart::Error(line)) =
            in_order().find(|head| matches!(head, PartStart::Error(_)))
        {
            out.extend_from_slice(line);
            return self.complete();
        }
        let sum = self.parts.iter().fold(0u64, |sum, part| match part.head {
            PartStart::Good(number) => sum.saturating_add(number),
            _ => sum,
        });
        let number = |out: &mut Vec<u8>, kind: u8, number: u64| {
            out.push(kind);
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            out.extend_from_slice(b"\r\n");
        };
        match self.join {
            MergeRule::Values => {}
            MergeRule::Sum => {
                number(out, b':', sum);
                self.complete();
            }
            MergeRule::Array => number(out, b'*', self.order.len() as u64),
            MergeRule::Fenced if self.parts[0].buffer.starts_with(b"MN\r\n") => self.complete(),
            MergeRule::Fenced => {}
            MergeRule::Concat => number(out, b'*', sum),
            MergeRule::Scan => {
                let cursor = self.scan.and_then(|position| position.cursor_after(sum));
                match cursor {
                    Some(cursor) => {
                        let cursor = cursor.to_string();
                        let head = format!("*2\r\n${}\r\n{cursor}\r\n", cursor.len());
                        out.extend_from_slice(head.as_bytes());
                    }
                    None => {
                        out.extend_from_slice(scan::TOO_LARGE);
                        self.complete();
                    }
                }
            }
            // The first one's reply is the reply.
            _ => self.order.truncate(1),
        }
    }

    fn complete(&mut self) {
        self.end(MergePhase::Complete);
    }

    fn end(&mut self, phase: MergePhase) {
        self.phase = phase;
        for part in &mut self.parts {
            part.buffer = Vec::new();
            part.at = 0;
        }
    }
}

impl PartReply {
    /// Reads the start of the part. Returns whether it is known.
    fn begin(&mut self, join: MergeRule, binary: Option<&BinaryReply>) -> bool {
        if join.needs_whole_replies() {
            return self.collected(binary);
        }
        let Some(end) = memchr(b'\n', &self.buffer) else {
            if self.buffer.len() < PART_LIMIT {
                return false;
            }
            // Only an error is as long as that.
            self.head =
                PartStart::Error(b"-ERR upstream sent a line that is too long\r\n".to_vec());
            return true;
        };
        let line = &self.buffer[..=end];
        let number = || {
            std::str::from_utf8(line.get(1..end - 1)?)
                .ok()?
                .parse()
                .ok()
        };
        self.head = match (join, line[0]) {
            (MergeRule::Values, _) if memcached::is_error(&line[..end - 1]) => {
                PartStart::Error(line.to_vec())
            }
            (MergeRule::Values, _) => PartStart::Good(0),
            (MergeRule::Fenced, _) => PartStart::Good(0),
            (_, b'-') => PartStart::Error(line.to_vec()),
            (MergeRule::Same, _) if memcached::is_error(&line[..end - 1]) => {
                PartStart::Error(line.to_vec())
            }
            (MergeRule::Same, _) => PartStart::Good(0),
            (MergeRule::Scan, b'*') => match scan::reply_head(&self.buffer) {
                Some((cursor, length)) => {
                    self.at = length;
                    PartStart::Good(cursor)
                }
                None if self.buffer.len() < scan::HEAD_LIMIT && !self.ended => return false,
                None => PartStart::Error(NO_NUMBER.to_vec()),
            },
            (MergeRule::Sum, b':') | (MergeRule::Array | MergeRule::Concat, b'*') => match number()
            {
                Some(number) if join == MergeRule::Array && number != self.asked => {
                    PartStart::Error(b"-ERR upstream sent a wrong number of values\r\n".to_vec())
                }
                Some(number) => {
                    self.at = end + 1;
                    PartStart::Good(number)
                }
                None => PartStart::Error(NO_NUMBER.to_vec()),
            },
            _ => PartStart::Error(
                b"-ERR upstream sent a reply that doesn't fit the request\r\n".to_vec(),
            ),
        };
        true
    }

    /// Passes on the rest of the reply.
    fn all(&mut self, out: &mut Vec<u8>) -> PartProgress {
        out.extend_from_slice(&self.buffer[self.at..]);
        self.at = self.buffer.len();
        PartProgress::when(self.ended)
    }

    /// Passes on one value of an array.
    fn element(&mut self, out: &mut Vec<u8>) -> PartProgress {
        if self.head == PartStart::Missed {
            out.extend_from_slice(b"$-1\r\n");
            return PartProgress::All;
        }
        let rest = &self.buffer[self.at..];
        let progress = self.value.feed(rest);
        out.extend_from_slice(&rest[..progress.used]);
        self.at += progress.used;
        PartProgress::when(progress.state == FrameState::Done)
    }

    /// Passes on the block of `key`, if the part has one.
    fn value_block(&mut self, key: &[u8], out: &mut Vec<u8>) -> PartProgress {
        if self.head == PartStart::Missed {
            return PartProgress::All;
        }
        let rest = &self.buffer[self.at..];
        if self.block == 0 {
            let Some(end) = memchr(b'\n', rest) else {
                return PartProgress::Some;
            };
            let line = &rest[..=end];
            let text = &rest[..end - 1];
            match memcached::value_line(text) {
                Some(value) if value.key == key => self.block = value.length + 2,
                _ if memcached::is_error(text) => {
                    out.extend_from_slice(line);
                    return PartProgress::Error;
                }
                // The block of a later key, or the end: this one is not there.
                _ => return PartProgress::All,
            }
            out.extend_from_slice(line);
            self.at += line.len();
        }
        let rest = &self.buffer[self.at..];
        let taken = rest
            .len()
            .min(usize::try_from(self.block).unwrap_or(usize::MAX));
        out.extend_from_slice(&rest[..taken]);
        self.at += taken;
        self.block -= taken as u64;
        PartProgress::when(self.block == 0)
    }
}
