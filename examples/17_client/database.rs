//! A slow database: rows in memory, and time that passes. It can hold its answers back, so that a race has one order.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The time that a query takes.
const QUERY: Duration = Duration::from_millis(100);

/// Queries that run at the same time. Others wait for them.
const CONNECTIONS: usize = 4;

/// The rows, and the queries that run.
#[derive(Default)]
struct State {
    rows: HashMap<String, String>,
    /// Queries so far.
    reads: u64,
    /// Queries that have read their row and not returned it.
    running: usize,
    /// Whether answers are held back.
    held: bool,
}

/// The database.
#[derive(Default)]
pub(crate) struct Database {
    state: Mutex<State>,
    /// Notified of every change of `running` and `held`.
    changed: Condvar,
}

impl Database {
    /// Reads a row. The answer is the row at the beginning of the query.
    pub(crate) fn read(&self, key: &str) -> Option<String> {
        let mut state = self.wait_while(|state| state.running == CONNECTIONS);
        state.running += 1;
        state.reads += 1;
        let row = state.rows.get(key).cloned();
        drop(state);
        self.changed.notify_all();
        thread::sleep(QUERY);
        self.wait_while(|state| state.held).running -= 1;
        self.changed.notify_all();
        row
    }

    /// Writes a row at once.
    pub(crate) fn write(&self, key: &str, value: &str) {
        self.state().rows.insert(key.to_owned(), value.to_owned());
    }

    /// The number of queries so far.
    pub(crate) fn reads(&self) -> u64 {
        self.state().reads
    }

    /// Holds answers back, or no longer.
    pub(crate) fn hold(&self, held: bool) {
        self.state().held = held;
        self.changed.notify_all();
    }

    /// Waits until this many queries have read their rows and not returned them.
    pub(crate) fn await_running(&self, queries: usize) {
        drop(self.wait_while(|state| state.running < queries));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = self.state();
        let waited = self.changed.wait_while(state, |state| condition(state));
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}
