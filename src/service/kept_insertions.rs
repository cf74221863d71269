//! The large values of a session's last turn, until the connection writes them.

use crate::server::Insertion;

/// Eight bytes while it is empty, which it nearly always is: ten thousand quiet sessions are held in memory.
#[derive(Default)]
pub(super) struct KeptInsertions(Option<Box<Insertions>>);

#[derive(Default)]
struct Insertions(Vec<Insertion>);

impl KeptInsertions {
    pub(super) fn push(&mut self, insertion: Insertion) {
        self.0.get_or_insert_default().0.push(insertion);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn take(&mut self) -> Vec<Insertion> {
        self.0.take().map_or_else(Vec::new, |kept| kept.0)
    }
}
