//! `get`, `gets`, `gat`, `gats`, `getn` and `getns`.

use crate::protocol::memcached::text::{PathRead, ReadPath, Words, reply};
use crate::store::{BATCH, Tree};

use super::context::{TurnContext, with_path};
use super::operations::{DATABASE, FoundItem};
use super::output::Output;
use super::step::ReadProgress;

impl TurnContext<'_> {
    /// The first keys of a `get`, `gets`, `gat` or `gats`, a batch of them at most, until the output is full or has a large
    /// value. Takes the keys that are done off the front; the progress is that of the next.
    pub(super) fn retrieve(
        &mut self,
        keys: &mut Words<'_>,
        exptime: Option<i32>,
        cas: bool,
    ) -> ReadProgress {
        let store = &self.operations.shared.store;
        if let Some(key) = keys.single() {
            let progress = self.retrieve_one(store.lock(DATABASE, key), key, exptime, cas);
            if progress == ReadProgress::Done {
                *keys = Words::default();
            }
            return progress;
        }
        let mut batch = [&b""[..]; BATCH];
        let mut count = 0;
        for (place, key) in batch.iter_mut().zip(*keys) {
            *place = key;
            count += 1;
        }
        let ahead = store.look_ahead(DATABASE, &batch[..count]);
        for (number, key) in batch[..count].iter().enumerate() {
            let progress = self.retrieve_one(ahead.lock(number), key, exptime, cas);
            if progress != ReadProgress::Done {
                return progress;
            }
            keys.next();
            if self.output.is_full() || !self.output.insertions.is_empty() {
                break;
            }
        }
        ReadProgress::Done
    }

    /// One key, whose shard is locked: its value if it has one, nothing otherwise.
    fn retrieve_one(
        &mut self,
        tree: Tree<'_>,
        key: &[u8],
        exptime: Option<i32>,
        cas: bool,
    ) -> ReadProgress {
        let output = &mut self.output;
        let write = |found: &mut FoundItem<'_, '_>| write_item(output, Words::new(key), cas, found);
        let exptime = exptime.map(i64::from);
        let outcome = self.operations.get_locked(tree, &[key], exptime, write);
        ReadProgress::from(&outcome)
    }

    /// The reads of nested keys.
    pub(super) fn read_path(&mut self, command: ReadPath<'_>) -> ReadProgress {
        match command.read {
            PathRead::Item { cas } => self.retrieve_path(command.path, cas),
            PathRead::Children => self.children(command.path),
        }
    }

    /// `getn` and `getns`: the item at a path.
    fn retrieve_path(&mut self, path: Words<'_>, cas: bool) -> ReadProgress {
        let output = &mut self.output;
        let outcome = with_path(path, |names| {
            let write = |found: &mut FoundItem<'_, '_>| write_item(output, path, cas, found);
            self.operations.get(names, None, write)
        });
        let progress = ReadProgress::from(&outcome);
        if progress == ReadProgress::Done {
            self.output.push(reply::END);
        }
        progress
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
    let value = item.value().unwrap_or_default();
    let length = value.len();
    if !output.has_memory(length) {
        return None;
    }
    let unique = cas.then(|| item.cas());
    reply::value_line(output.bytes, path, item.flags(), length, unique);
    if !output.copy_small(value) {
        output.value(found);
    }
    output.push(b"\r\n");
    Some(())
}
