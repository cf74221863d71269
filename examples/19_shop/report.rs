//! The reporter: sends the keys in the outbox to `larder invalidate`, and removes them when they are recorded there.
//!
//! ```text
//!   change ── commit: product and outbox ──▶ nudge ──▶ reporter ── delete KEY ──▶ larder invalidate
//!      ▲                                                  │ recorded
//!      └────────────── waits, a second at most ◀──────────┴──▶ the row leaves the outbox
//! ```
//!
//! A row is removed only after the answer. So a report is sent again if the shop, or `larder invalidate`, ended in between: a
//! second delete does no harm, and a missing one would.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use larder::client::{Cache, Client};

use crate::database::{Database, Report};

/// The time after which an outbox that couldn't be reported is read again.
const RETRY: Duration = Duration::from_millis(500);

/// The longest time that a change waits until it is recorded.
const PATIENCE: Duration = Duration::from_secs(1);

/// Rows of the outbox that are reported together.
const TOGETHER: u32 = 256;

/// The reporter's side that the shop has.
pub(crate) struct Reporter {
    nudge: SyncSender<()>,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Progress {
    /// The number of the last row that was recorded.
    recorded: Mutex<i64>,
    changed: Condvar,
}

impl Reporter {
    /// Starts the thread. It begins with the rows that an earlier run has left, and ends when the reporter is dropped.
    pub(crate) fn start(database: Arc<Database>, address: &str) -> io::Result<Reporter> {
        let (nudge, nudged) = mpsc::sync_channel(1);
        let progress = Arc::new(Progress::default());
        let client = Client::new(address);
        let shared = Arc::clone(&progress);
        let thread = thread::Builder::new().name("reporter".into());
        thread.spawn(move || report_all(&database, &client, &shared, &nudged))?;
        Ok(Reporter { nudge, progress })
    }

    /// Waits until a report is recorded. `false` if that takes too long: it stays in the outbox.
    pub(crate) fn wait_for(&self, report: &Report) -> bool {
        // A full channel holds a nudge that the thread hasn't seen yet.
        let _ = self.nudge.try_send(());
        let deadline = Instant::now() + PATIENCE;
        let recorded = self.progress.recorded.lock();
        let mut recorded = recorded.unwrap_or_else(PoisonError::into_inner);
        while *recorded < report.number {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.progress.changed.wait_timeout(recorded, left);
            recorded = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

fn report_all(database: &Database, client: &Client, progress: &Progress, nudged: &Receiver<()>) {
    loop {
        match report(database, client) {
            Ok(None) => {
                // Also without a nudge, after a failure that left rows behind.
                if let Err(mpsc::RecvTimeoutError::Disconnected) = nudged.recv_timeout(RETRY) {
                    return;
                }
            }
            Ok(Some(number)) => {
                *progress
                    .recorded
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = number;
                progress.changed.notify_all();
            }
            Err(problem) => {
                eprintln!("a change is not reported yet: {problem}");
                if let Err(mpsc::RecvTimeoutError::Disconnected) = nudged.recv_timeout(RETRY) {
                    return;
                }
            }
        }
    }
}

// ANCHOR: report
/// Reports the oldest rows of the outbox. Returns the number of the last one, or `None` if there are none.
fn report(database: &Database, client: &Client) -> Result<Option<i64>, Box<dyn std::error::Error>> {
    let mut last = None;
    for Report { number, key } in database.reports(TOGETHER)? {
        client.delete(key)?;
        last = Some(number);
    }
    if let Some(number) = last {
        database.reported(number)?;
    }
    Ok(last)
}
// ANCHOR_END: report
