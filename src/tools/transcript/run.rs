//! Replays a transcript against a target and compares the replies.

use std::io;
use std::time::Duration;

use super::connection::ConnectionState;
use super::delivery::TranscriptDelivery;
use super::difference::{Difference, Mismatch};
use super::format::{Expectation, Expected, Sent, Side, Step, Transcript, TranscriptExchange};
use super::hex;
use super::readable::readable;
use super::target::{Connection, Target};
use super::values::{Bindings, HexPattern};

/// The longest line that a pattern is matched against, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

/// The wait for the rest of a wrong reply, so that it can be shown.
const REST: Duration = Duration::from_millis(100);

/// The result of one replay.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The replies are those of the transcript, to the byte.
    Passed,
    /// It was not tried, for this reason.
    Skipped(String),
    /// The first difference.
    Failed(Box<Difference>),
}

/// One replay of a transcript.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The transcript to replay.
    pub transcript: &'a Transcript,
    /// The side whose answers are right if the transcript declares a difference.
    pub side: Side,
    /// The cuts of the sent bytes.
    pub delivery: TranscriptDelivery,
    /// The longest wait for a reply.
    pub patience: Duration,
}

impl Run<'_> {
    /// The reason not to try it against `target`, if there is one: the delivery makes no sense for
    /// the transcript, or the target can't let enough time pass.
    pub fn cannot(&self, target: &dyn Target) -> Option<String> {
        let order = match (self.delivery, &self.transcript.only_as_written) {
            (TranscriptDelivery::AsWritten, _) => None,
            (_, Some(reason)) => return Some(format!("it is for delivery as written: {reason}")),
            (TranscriptDelivery::InOneWrite, None) => self.needs_order(),
            _ => None,
        };
        if let Some(reason) = order {
            return Some(format!("it can't be sent in one write: {reason}"));
        }
        let too_long = self
            .transcript
            .advances()
            .find(|by| !target.time().can_pass(*by))?;
        Some(format!("it would have to wait {too_long:?}"))
    }

    /// The reason why the bytes can't all be sent before the first reply.
    fn needs_order(&self) -> Option<&'static str> {
        if self.transcript.connections.len() > 1 {
            Some("it has several connections")
        } else if self.transcript.advances().next().is_some() {
            Some("it lets time pass")
        } else if self
            .transcript
            .exchanges()
            .flat_map(|e| &e.sends)
            .any(|s| match &s.what {
                Sent::Bytes(bytes) => bytes.needs().next().is_some(),
                Sent::End => false,
            })
        {
            Some("it sends captured values")
        } else {
            None
        }
    }

    /// Replays it against `target`.
    pub fn against(&self, target: &dyn Target) -> Outcome {
        if let Some(reason) = self.cannot(target) {
            return Outcome::Skipped(reason);
        }
        let began = Bindings::at(target.time().now_ms());
        let mut replay = Replay {
            run: *self,
            target,
            known: began,
            open: Vec::new(),
        };
        replay
            .open
            .resize_with(self.transcript.connections.len(), ConnectionState::default);
        match replay.all() {
            Ok(()) => Outcome::Passed,
            Err(difference) => Outcome::Failed(difference),
        }
    }
}

struct Replay<'a> {
    run: Run<'a>,
    target: &'a dyn Target,
    known: Bindings,
    open: Vec<ConnectionState>,
}

type ReplayResult = Result<(), Box<Difference>>;

impl Replay<'_> {
    fn all(&mut self) -> ReplayResult {
        let transcript = self.run.transcript;
        let at_once = self.run.delivery == TranscriptDelivery::InOneWrite;
        if at_once {
            self.send_everything()?;
        }
        for step in &transcript.steps {
            match step {
                Step::Advance { by, .. } => self.target.time().pass(*by),
                Step::Exchange(exchange) => {
                    if at_once {
                        self.remember(exchange);
                    } else {
                        self.send(exchange)?;
                    }
                    for expected in &exchange.expects {
                        if expected.holds_for(self.run.side) {
                            self.expect(expected)?;
                        }
                    }
                }
            }
        }
        (0..self.open.len()).try_for_each(|at| self.close(at))
    }

    /// Notes the bytes that an exchange sends, for the report, and returns them: consecutive lines
    /// of one connection together, unless they are datagrams.
    fn remember(&mut self, exchange: &TranscriptExchange) -> Vec<(usize, Option<Vec<u8>>)> {
        self.open.iter_mut().for_each(|open| open.sent.clear());
        let mut blocks: Vec<(usize, Option<Vec<u8>>)> = Vec::new();
        for sending in &exchange.sends {
            let at = sending.connection;
            self.open[at].line = sending.line;
            let Sent::Bytes(bytes) = &sending.what else {
                blocks.push((at, None));
                continue;
            };
            let bytes = bytes.bytes(&self.known);
            self.open[at].sent.extend_from_slice(&bytes);
            match blocks.last_mut() {
                Some((last, Some(block))) if *last == at && !self.run.transcript.over_udp => {
                    block.extend_from_slice(&bytes);
                }
                _ => blocks.push((at, Some(bytes))),
            }
        }
        blocks
    }

    fn send(&mut self, exchange: &TranscriptExchange) -> ReplayResult {
        for (at, block) in self.remember(exchange) {
            let delivery = self.run.delivery;
            match block {
                Some(bytes) => {
                    let pieces = delivery.pieces(&bytes);
                    let middle = pieces.len() / 2;
                    for (n, piece) in pieces.into_iter().enumerate() {
                        if n > 0 && n == middle {
                            self.with(at, |connection| {
                                connection.pause();
                                Ok(())
                            })?;
                        }
                        self.with(at, |connection| connection.write(piece))?;
                    }
                }
                None => self.with(at, |connection| connection.finish())?,
            }
        }
        Ok(())
    }

    fn send_everything(&mut self) -> ReplayResult {
        let mut all = Vec::new();
        let mut end = false;
        for exchange in self.run.transcript.exchanges() {
            for (_, block) in self.remember(exchange) {
                match block {
                    Some(bytes) => all.extend_from_slice(&bytes),
                    None => end = true,
                }
            }
        }
        self.with(0, |connection| connection.write(&all))?;
        if end {
            self.with(0, |connection| connection.finish())
        } else {
            Ok(())
        }
    }

    /// Does something with a connection, which is opened if it is not yet.
    fn with(
        &mut self,
        at: usize,
        act: impl FnOnce(&mut dyn Connection) -> io::Result<()>,
    ) -> ReplayResult {
        let open = &mut self.open[at];
        match open.connection(self.target).and_then(act) {
            Ok(()) => Ok(()),
            Err(error) => {
                let line = open.line;
                let expected = String::from("a connection");
                Err(self.difference(at, line, expected, 0, Mismatch::Broken(error.to_string())))
            }
        }
    }

    fn expect(&mut self, expected: &Expectation) -> ReplayResult {
        let at = expected.connection;
        self.open[at].line = expected.line;
        match &expected.what {
            Expected::Bytes(bytes) => {
                let bytes = bytes.bytes(&self.known);
                self.expect_bytes(at, expected.line, &bytes, || readable(&bytes))
            }
            Expected::Hex(pattern) => self.expect_hex(at, expected.line, pattern),
            Expected::Line(pattern) => {
                let shown = format!("/{}/\\r\\n", pattern.text());
                let ends = |arrived: &[u8]| {
                    let end = arrived.windows(2).position(|w| w == b"\r\n");
                    end.is_some() || arrived.len() > LONGEST_LINE
                };
                if let Err(why) = self.fill(at, ends) {
                    return Err(self.difference(at, expected.line, shown, usize::MAX, why));
                }
                let arrived = &self.open[at].arrived;
                let end = arrived
                    .windows(2)
                    .position(|w| w == b"\r\n")
                    .unwrap_or(arrived.len());
                if !pattern.matches(&arrived[..end], &mut self.known) {
                    let shows = end.saturating_add(2);
                    return Err(self.difference(
                        at,
                        expected.line,
                        shown,
                        shows,
                        Mismatch::NoMatch,
                    ));
                }
                self.open[at].arrived.drain(..end + 2);
                Ok(())
            }
            Expected::Close => {
                let shown = String::from("(the server closes the connection)");
                match self.fill(at, |arrived| !arrived.is_empty()) {
                    Err(Mismatch::Closed) => Ok(()),
                    Err(Mismatch::Silence(waited)) => {
                        let why = Mismatch::StayedOpen(waited);
                        Err(self.difference(at, expected.line, shown, usize::MAX, why))
                    }
                    Err(why) => Err(self.difference(at, expected.line, shown, usize::MAX, why)),
                    Ok(()) => self.leftover(at, expected.line, shown),
                }
            }
        }
    }

    /// Bytes of any kind are taken from the answer; then all are compared.
    fn expect_hex(&mut self, at: usize, line: usize, pattern: &HexPattern) -> ReplayResult {
        let known = std::mem::take(&mut self.known);
        let filled = self.fill(at, |arrived| {
            let bytes = pattern.bytes(arrived, &known);
            arrived.len() >= bytes.len() || !bytes.starts_with(arrived)
        });
        let bytes = pattern.bytes(&self.open[at].arrived, &known);
        self.known = known;
        let shown = || pattern.text().to_owned();
        if let Err(why) = filled {
            return Err(self.difference(at, line, shown(), usize::MAX, why));
        }
        self.expect_bytes(at, line, &bytes, shown)?;
        pattern.capture(&bytes, &mut self.known);
        Ok(())
    }

    fn expect_bytes(
        &mut self,
        at: usize,
        line: usize,
        bytes: &[u8],
        shown: impl Fn() -> String,
    ) -> ReplayResult {
        // The number of bytes that are known to be equal: bytes that arrive in many pieces are compared once, not again
        // with each piece.
        let mut equal = 0;
        let done = |arrived: &[u8]| {
            let end = arrived.len().min(bytes.len());
            let agrees = arrived[equal..end] == bytes[equal..end];
            if agrees {
                equal = end;
            }
            !agrees || equal == bytes.len()
        };
        let filled = self.fill(at, done);
        let compared = self.open[at].arrived[equal..].iter().zip(&bytes[equal..]);
        let first = compared.into_iter().position(|(a, b)| a != b);
        match (filled, first.map(|first| equal + first)) {
            (Ok(()), None) => {
                self.open[at].arrived.drain(..bytes.len());
                Ok(())
            }
            (_, Some(first)) => {
                // The whole of the wrong line, so that the reader sees all of it.
                let end = move |arrived: &[u8]| {
                    let rest = arrived[first..].iter();
                    let end = rest.copied().position(|byte| byte == b'\n');
                    end.filter(|_| !hex::are_frames(arrived))
                };
                let ends = move |arrived: &[u8]| end(arrived).is_some();
                let _ = self.open[at].fill(self.target, REST, ends);
                let end = end(&self.open[at].arrived);
                let shows = end.map_or(usize::MAX, |end| first + end + 1);
                Err(self.difference(at, line, shown(), shows, Mismatch::At(first)))
            }
            (Err(why), None) => Err(self.difference(at, line, shown(), usize::MAX, why)),
        }
    }

    /// After the last step: the sending side is shut, and no more bytes may come.
    fn close(&mut self, at: usize) -> ReplayResult {
        if !self.open[at].is_open() {
            return Ok(());
        }
        self.with(at, |connection| connection.finish())?;
        let line = self.open[at].line;
        let shown = String::from("(nothing more, and the end of the connection)");
        match self.fill(at, |arrived| !arrived.is_empty()) {
            Err(Mismatch::Closed) => Ok(()),
            Err(Mismatch::Silence(waited)) => {
                Err(self.difference(at, line, shown, usize::MAX, Mismatch::StayedOpen(waited)))
            }
            Err(why) => Err(self.difference(at, line, shown, usize::MAX, why)),
            Ok(()) => self.leftover(at, line, shown),
        }
    }

    fn leftover(&mut self, at: usize, line: usize, expected: String) -> ReplayResult {
        let _ = self.open[at].fill(self.target, REST, |_| false);
        Err(self.difference(at, line, expected, usize::MAX, Mismatch::Leftover))
    }

    fn fill(&mut self, at: usize, done: impl FnMut(&[u8]) -> bool) -> Result<(), Mismatch> {
        self.open[at].fill(self.target, self.run.patience, done)
    }

    /// The report; `shows` is the number of received bytes that belong to it.
    fn difference(
        &self,
        at: usize,
        line: usize,
        expected: String,
        shows: usize,
        why: Mismatch,
    ) -> Box<Difference> {
        let open = &self.open[at];
        Box::new(Difference {
            file: self.run.transcript.file.clone(),
            line,
            connection: self.run.transcript.connections[at].clone(),
            delivery: self.run.delivery,
            sent: open.sent.clone(),
            expected,
            got: open.arrived[..shows.min(open.arrived.len())].to_vec(),
            why,
        })
    }
}

#[cfg(test)]
mod tests;
