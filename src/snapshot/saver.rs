//! Writes the snapshots of a server: when it is asked to, at intervals, and at the end.
//!
//! ```text
//!   SAVE ─────────────────────────────▶ in the client's worker, at full speed
//!   BGSAVE, USR1 ─▶ requested ─┐
//!   every N minutes ───────────┴──────▶ in the thread `snapshot`, with pauses, so that clients keep most of the processor
//!   the end of the server ────────────▶ in the thread that ends it, at full speed, when there are no clients any more
//! ```
//!
//! One snapshot is written at a time. A request during a write is refused, and an interval that ends meanwhile begins anew. The
//! end of the server breaks a write of the thread off, because it writes itself.
//!
//! After a failure the last whole snapshot stays. The log and the [status](SnapshotStatus) report it.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::file::SnapshotFile;
use super::load::load_file;
use super::status::SnapshotStatus;
use super::write::write;
use crate::store::Store;

/// The thread works for about this long, then it rests.
const WORK: Duration = Duration::from_millis(2);
/// The rest after that work, in times of it. With 3, clients lost a third of their rate, and with 15 a twentieth: a GiB then
/// takes eight seconds instead of two and a half.
const REST: u32 = 15;
/// The longest rest, also if the work took long because the processor or the disk was busy.
const LONGEST_REST: Duration = Duration::from_millis(50);

/// Why no snapshot was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SaveError {
    /// One is being written.
    InProgress,
    /// The system's words. The one before is there as before.
    Failed(String),
}

/// The part of a server that writes its snapshots.
#[derive(Debug)]
pub(crate) struct Saver {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    file: SnapshotFile,
    control: Mutex<Control>,
    changed: Condvar,
    /// Breaks the thread's write off.
    is_ending: AtomicBool,
}

#[derive(Debug)]
struct Control {
    status: SnapshotStatus,
    /// The thread is to write.
    is_requested: bool,
    every: Option<Duration>,
    /// The end of the interval.
    due: Option<Instant>,
}

impl Saver {
    /// Takes a file, loads the snapshot in it into an empty store, and starts the thread. The error is a sentence for a person.
    pub(crate) fn start(
        store: Arc<Store>,
        path: &Path,
        every: Option<Duration>,
    ) -> Result<Saver, String> {
        let file = SnapshotFile::take(path)?;
        let loaded = load_file(&store, &file)?;
        let mut control = Control {
            status: SnapshotStatus::new(store.clock().wall_ms(), loaded),
            is_requested: false,
            every: None,
            due: None,
        };
        control.set_every(every);
        let shared = Arc::new(Shared {
            store,
            file,
            control: Mutex::new(control),
            changed: Condvar::new(),
            is_ending: AtomicBool::new(false),
        });
        let this = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("snapshot".into())
            .spawn(move || this.run())
            .map_err(|error| format!("the thread for snapshots can't be started: {error}"))?;
        Ok(Saver {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Writes a snapshot now, and returns when it is on the disk.
    pub(crate) fn save(&self) -> Result<(), SaveError> {
        self.shared.begin()?;
        self.shared.save(|| Ok(()))
    }

    /// Lets the thread write a snapshot.
    pub(crate) fn save_in_background(&self) -> Result<(), SaveError> {
        self.shared.begin()?;
        self.shared.control().is_requested = true;
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Sets the interval; `None` for none.
    pub(crate) fn set_every(&self, every: Option<Duration>) {
        self.shared.control().set_every(every);
        self.shared.changed.notify_all();
    }

    pub(crate) fn status(&self) -> SnapshotStatus {
        self.shared.control().status.clone()
    }

    /// Ends the thread and writes the last snapshot, when no client is served any more. Only the first call does it.
    pub(crate) fn finish(&self) -> Result<(), SaveError> {
        match self.end_thread() {
            true => self.save(),
            false => Ok(()),
        }
    }

    /// Ends the thread; returns whether it ran.
    fn end_thread(&self) -> bool {
        let thread = self.thread.lock();
        let Some(thread) = thread.unwrap_or_else(PoisonError::into_inner).take() else {
            return false;
        };
        self.shared.is_ending.store(true, Ordering::Release);
        // The thread looks at it under this lock before it waits.
        drop(self.shared.control());
        self.shared.changed.notify_all();
        if thread.join().is_err() {
            log::error!("the thread for snapshots panicked");
        }
        // A request that it has not seen.
        self.shared.control().status.running_since = None;
        true
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.end_thread();
    }
}

impl Control {
    fn set_every(&mut self, every: Option<Duration>) {
        if every != self.every {
            self.every = every;
            self.begin_interval();
        }
    }

    fn begin_interval(&mut self) {
        self.due = self.every.map(|every| Instant::now() + every);
    }
}

impl Shared {
    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    /// Notes that a write begins, unless one goes on.
    fn begin(&self) -> Result<(), SaveError> {
        let status = &mut self.control().status;
        if status.running_since.is_some() {
            return Err(SaveError::InProgress);
        }
        status.running_since = Some(Instant::now());
        Ok(())
    }

    /// The thread.
    fn run(&self) {
        while self.wait() {
            let mut since = Instant::now();
            let saved = self.save(|| {
                if self.is_ending() {
                    return Err(ErrorKind::Interrupted.into());
                }
                let worked = since.elapsed();
                if worked >= WORK {
                    thread::sleep((worked * REST).min(LONGEST_REST));
                    since = Instant::now();
                }
                Ok(())
            });
            // It is in the log and in the status.
            drop(saved);
        }
    }

    /// Waits until there is a snapshot to write, which has begun then. Returns false if the server ends.
    fn wait(&self) -> bool {
        let mut control = self.control();
        loop {
            if self.is_ending() {
                return false;
            }
            if std::mem::take(&mut control.is_requested) {
                return true;
            }
            let now = Instant::now();
            let left = control.due.map(|due| due.saturating_duration_since(now));
            control = match left {
                Some(Duration::ZERO) if control.status.running_since.is_none() => {
                    control.status.running_since = Some(now);
                    return true;
                }
                Some(left) if left > Duration::ZERO => {
                    let waited = self.changed.wait_timeout(control, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                _ => {
                    let waited = self.changed.wait(control);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// Writes a snapshot that has begun.
    fn save(&self, after_piece: impl FnMut() -> io::Result<()>) -> Result<(), SaveError> {
        let started = Instant::now();
        let written = self
            .file
            .replace(|file| write(&self.store, file, after_piece));
        let path = self.file.path().display();
        let mut control = self.control();
        control.begin_interval();
        let status = &mut control.status;
        status.running_since = None;
        let result = match written {
            Ok(written) => {
                let duration = started.elapsed();
                status.saves += 1;
                status.last_succeeded = true;
                status.last_save_ms = self.store.clock().wall_ms();
                status.last_duration = Some(duration);
                (status.last_bytes, status.last_items) = (written.bytes, written.items);
                log::info!(
                    "wrote the snapshot {path}: {} items, {} bytes, in {duration:?}",
                    written.items,
                    written.bytes
                );
                Ok(())
            }
            Err(problem) if problem.kind() == ErrorKind::Interrupted => {
                log::info!(
                    "the snapshot {path} is broken off: the server ends, and writes another"
                );
                Err(SaveError::InProgress)
            }
            Err(problem) => {
                status.failures += 1;
                status.last_succeeded = false;
                log::error!(
                    "the snapshot {path} was not written, and the one before stays as it was: {problem}"
                );
                Err(SaveError::Failed(problem.to_string()))
            }
        };
        drop(control);
        self.changed.notify_all();
        result
    }
}
