//! `get`, `gets`, `gat`, `gats`, `getn` and `getns`.

use crate::protocol::memcached::text::{PathRead, ReadPath, Words, reply};

use super::context::{TurnContext, with_path};
use super::operations::{FoundItem, GetOutcome};
use super::output::Output;

impl TurnContext<'_> {
    /// One key of a `get`, `gets`, `gat` or `gats`: its value if it has one, nothing otherwise. `false` if there is no
    /// memory for the value; then nothing is done.
    pub(super) fn retrieve(&mut self, key: &[u8], exptime: Option<i32>, cas: bool) -> bool {
        let output = &mut self.output;
        let outcome = self
            .operations
            .get(&[key], exptime.map(i64::from), |found| {
                write_item(output, Words::new(key), cas, found)
            });
        !matches!(outcome, GetOutcome::NoMemory)
    }

    /// The reads of nested keys. `false` if there is no memory for the reply; then nothing is done.
    pub(super) fn read_path(&mut self, command: ReadPath<'_>) -> bool {
        match command.read {
            PathRead::Item { cas } => self.retrieve_path(command.path, cas),
            PathRead::Children => self.children(command.path),
        }
    }

    /// `getn` and `getns`: the item at a path.
    fn retrieve_path(&mut self, path: Words<'_>, cas: bool) -> bool {
        let output = &mut self.output;
        let outcome = with_path(path, |names| {
            let write = |found: &mut FoundItem<'_, '_>| write_item(output, path, cas, found);
            self.operations.get(names, None, write)
        });
        if let GetOutcome::NoMemory = outcome {
            return false;
        }
        self.output.push(reply::END);
        true
    }
}

/// Appends an item in the form of `get`; `None` if there is no memory for it.
#[inline]
fn write_item(
    output: &mut Output<'_>,
    path: Words<'_>,
    cas: bool,
    found: &mut FoundItem<'_, '_>,
) -> Option<()> {
    let item = found.item();
    let length = item.value().map_or(0, <[u8]>::len);
    if !output.has_memory(length) {
        return None;
    }
    let unique = cas.then(|| item.cas());
    reply::value_line(output.bytes, path, item.flags(), length, unique);
    output.value(found);
    output.push(b"\r\n");
    Some(())
}
