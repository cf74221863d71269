//! The large values of a session's last turn, until the connection writes them.

use crate::server::Insertion;

/// Eight bytes while it is empty, which it nearly always is: ten thousand quiet sessions are held in memory.
#[derive(Default)]
pub(super) struct KeptInsertions(Option<Box<Insertions>>);

struct Insertions(Vec<Insertion>);

impl KeptInsertions {
    /// Keeps the insertions of a turn.
    pub(super) fn keep(&mut self, insertions: Vec<Insertion>) {
        if !insertions.is_empty() {
            self.0 = Some(Box::new(Insertions(insertions)));
        }
    }

    pub(super) fn take(&mut self) -> Vec<Insertion> {
        self.0.take().map_or_else(Vec::new, |kept| kept.0)
    }
}
