//! MULTI, EXEC, DISCARD, WATCH and UNWATCH.
//!
//! ```text
//!   WATCH a      remembers a's cas number, 0 if a is not there
//!   MULTI        from here on commands are checked and copied into the queue: +QUEUED
//!   SET b 1      an error now spoils the transaction: EXEC will say EXECABORT
//!   EXEC         takes the store for itself, compares the cas numbers, runs the queue or answers null
//! ```
//!
//! A watched key costs its name and nine bytes in this client; the store knows nothing of it, and other clients' writes
//! cost nothing more. It works because every change of a key, or below it, gives it a cas number that no key has had
//! before: equal numbers mean that nothing happened in between.

use crate::protocol::resp::{Args, Words};

use super::table::Entry;

/// The commands between MULTI and EXEC.
#[derive(Default)]
pub(crate) struct Queue {
    words: Words,
    /// Each command and where its words end; they begin where those of the one before end.
    commands: Vec<(&'static Entry, usize)>,
    /// A command was refused: EXEC will not run any.
    pub spoiled: bool,
}

impl Queue {
    pub(crate) fn push(&mut self, entry: &'static Entry, args: Args<'_>) {
        self.words.extend_from(args);
        self.commands.push((entry, self.words.len()));
    }

    pub(crate) fn len(&self) -> usize {
        self.commands.len()
    }

    /// Bytes held.
    pub(crate) fn size(&self) -> usize {
        self.words.copied() + 8 * self.words.len() + 16 * self.commands.len()
    }

    /// The commands in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static Entry, Args<'_>)> {
        let mut first = 0;
        self.commands.iter().map(move |&(entry, end)| {
            let args = self.words.slice(first, end);
            first = end;
            (entry, args)
        })
    }
}

/// A key as it was when it was watched.
pub(crate) struct Watch {
    pub db: u8,
    pub key: Box<[u8]>,
    pub cas: u64,
}
