//! Replays a trace on a server as fast as it answers, to find the hit ratio: a get that misses is followed by a set, as
//! in an application.
//!
//! ```text
//!   rows ──▶ batch: all gets, or all sets and deletes; each key once ──▶ one write ──▶ replies
//!                                                                                       │ misses
//!                                           the next batch ◀── one write of sets ◀──────┘
//! ```
//!
//! One connection sends all requests, and a batch ends before a key comes a second time. So the order of the requests of
//! each key is the trace's, and the same trace has the same hits on the same server. A batch is written whole before
//! replies are read: gets are small and so are the replies to sets, so neither side waits for the other.

use std::collections::hash_map::DefaultHasher;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{BufReader, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::action::{Action, Reply};
use super::connection::{Connection, Request};
use super::dialect::Dialect;
use super::items::Values;
use super::measured::Measured;
use super::process::own_processor_time;
use super::server::LoadedServer;
use super::trace::{Row, Trace};
use crate::server::Stream;

/// Requests in one write.
const BATCH: usize = 64;

/// Bytes of values in one write.
const BATCH_BYTES: usize = 1024 * 1024;

/// The longest key of memcached.
const LONGEST_KEY: usize = 250;

/// A trace on its way to a server.
pub(super) struct Replay {
    stream: Stream,
    dialect: Dialect,
    connection: Connection,
    values: Values,
    measured: Measured,
    began: Instant,
    buffer: Vec<u8>,
    /// Requests whose key memcached doesn't accept.
    pub(super) skipped: u64,
}

impl Replay {
    /// Replays the first `most` requests of a trace. Returns the results and the number of skipped
    /// requests.
    ///
    /// # Errors
    /// A sentence for the person at the terminal.
    pub(super) fn run(
        path: &Path,
        server: &LoadedServer,
        dialect: Dialect,
        patience: Duration,
        most: u64,
        bar: &ProgressBar,
    ) -> Result<(Measured, u64), String> {
        let file = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let mut trace = Trace::new(BufReader::new(
            File::open(path).map_err(|error| file(&error))?,
        ));
        let stream = server
            .open(patience)
            .map_err(|error| format!("no server answers at {server}: {error}"))?;
        let tuned = stream
            .tune()
            .and_then(|()| stream.set_timeouts(Some(patience)));
        tuned.map_err(|error| format!("{server}: {error}"))?;
        let mut replay = Replay {
            stream,
            dialect,
            connection: Connection::new(dialect),
            values: Values::up_to(BATCH_BYTES),
            measured: Measured::new(),
            began: Instant::now(),
            buffer: vec![0; 64 * 1024],
            skipped: 0,
        };
        let before = own_processor_time();
        let mut batch = Vec::new();
        let mut left = most;
        while left > 0
            && let Some(row) = trace.next().map_err(|error| file(&error))?
        {
            for _ in 0..u64::from(row.count).min(left) {
                left -= 1;
                replay
                    .take(&row, &mut batch)
                    .map_err(|error| format!("{server}: {error}"))?;
            }
            if !bar.is_hidden() && left.is_multiple_of(4096) {
                bar.set_message(format!("{} requests", most - left));
                bar.tick();
            }
        }
        replay
            .send(&mut batch)
            .map_err(|error| format!("{server}: {error}"))?;
        let mut measured = replay.measured;
        measured.elapsed = replay.began.elapsed();
        measured.processor = own_processor_time().saturating_sub(before);
        measured.threads = 1;
        Ok((measured, replay.skipped))
    }

    /// Adds a row to the batch; sends the batch first if the row can't be in it.
    fn take(&mut self, row: &Row, batch: &mut Vec<Row>) -> Result<(), String> {
        let refused = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
        if row.key.len() > LONGEST_KEY || row.key.iter().any(refused) {
            self.skipped += 1;
            return Ok(());
        }
        let reads = |row: &Row| row.action == Action::Get;
        let full =
            batch.len() == BATCH || batch.iter().map(|row| row.size).sum::<usize>() >= BATCH_BYTES;
        let differs = batch
            .first()
            .is_some_and(|first| reads(first) != reads(row));
        if full || differs || batch.iter().any(|other| other.key == row.key) {
            self.send(batch)?;
        }
        batch.push(row.clone());
        Ok(())
    }

    /// Sends a batch, and then a set for each get that missed.
    fn send(&mut self, batch: &mut Vec<Row>) -> Result<(), String> {
        let missed = self.exchange(batch)?;
        let mut number = 0;
        batch.retain_mut(|row| {
            row.action = Action::Set;
            number += 1;
            missed.contains(&(number - 1))
        });
        self.exchange(batch)?;
        batch.clear();
        Ok(())
    }

    /// Sends requests and reads their replies. Returns the numbers of the gets that missed.
    fn exchange(&mut self, batch: &[Row]) -> Result<Vec<u64>, String> {
        let sent = self.now();
        for (item, row) in (0..).zip(batch) {
            let request = Request {
                action: row.action,
                due: sent,
                sent,
            };
            self.values.grow(row.size);
            let value = self.values.of(hash(&row.key), row.size);
            self.connection
                .push(request, item, &row.key, value, row.ttl);
        }
        while !self.connection.output().is_empty() {
            let count = self.stream.write(self.connection.output()).map_err(lost)?;
            self.connection.wrote(count);
            self.measured.sent += count as u64;
        }
        let mut missed = Vec::new();
        while self.connection.unanswered() > 0 {
            let before = self.now();
            let count = self.stream.read(&mut self.buffer).map_err(lost)?.count;
            let now = self.now();
            self.measured.waiting += Duration::from_nanos(now - before);
            self.measured.received += count as u64;
            if count == 0 {
                return Err("the server closed the connection".into());
            }
            let (measured, values, dialect) = (&mut self.measured, &mut self.values, self.dialect);
            self.connection
                .receive(&self.buffer[..count], |request, items, reply| {
                    let row = &batch[items[0] as usize];
                    let reply = dialect.read(request.action, &row.key, reply);
                    let mut expected: &[u8] = &[];
                    if let Reply::Value(value) = reply {
                        // Another request may have set another size.
                        values.grow(value.len());
                        expected = values.of(hash(&row.key), value.len());
                    }
                    measured.time(&request, now);
                    measured.count(request.action, &row.key, expected, reply);
                    if request.action == Action::Get && reply == Reply::Miss {
                        missed.push(items[0]);
                    }
                })?;
        }
        Ok(missed)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn lost(error: std::io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "no reply in time; see --timeout".into(),
        _ => format!("the connection is lost: {error}"),
    }
}

/// A hash of a key: the same in every run.
fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
