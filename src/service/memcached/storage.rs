//! `set`, `add`, `replace`, `append`, `prepend` and `cas`.

use crate::protocol::memcached::text::{StorageCommand, StoreVerb, reply};

use super::context::{TurnContext, with_path};
use super::operations::{NewValue, StoreMode, StoreOutcome, StoreRequest};
use super::receiving::Receiving;

/// What the reply to a storage command depends on, besides its outcome: whether the command has `noreply`.
pub(super) struct Noreply(pub(super) bool);

/// The operation of a storage command.
pub(super) fn request(store: &StorageCommand<'_>) -> StoreRequest {
    StoreRequest {
        mode: match store.verb {
            StoreVerb::Set | StoreVerb::Cas => StoreMode::Set,
            StoreVerb::Add => StoreMode::Add,
            StoreVerb::Replace => StoreMode::Replace,
            StoreVerb::Append => StoreMode::Append,
            StoreVerb::Prepend => StoreMode::Prepend,
        },
        flags: store.flags,
        exptime: store.exptime.into(),
        expected: (store.verb == StoreVerb::Cas).then_some(store.unique),
    }
}

impl TurnContext<'_> {
    /// Refuses a storage command whose item is too large, before any of its value is taken in: the reply that follows
    /// the value. `None` if it is not.
    pub(super) fn refuses(&mut self, store: &StorageCommand<'_>) -> Option<&'static [u8]> {
        let name = store.path.last().unwrap_or_default();
        if self.operations.fits(&[name], store.length) {
            return None;
        }
        let removes = store.verb == StoreVerb::Set;
        let refusal = StoreOutcome::TooLarge;
        let outcome = with_path(store.path, |names| {
            self.operations.refuse(names, removes, refusal)
        });
        Some(unless(store.noreply, outcome))
    }

    /// A storage command with its value.
    pub(super) fn store(&mut self, store: &StorageCommand<'_>, value: &[u8]) {
        let outcome = with_path(store.path, |names| {
            let value = NewValue::Bytes(value);
            self.operations.store(names, &request(store), value)
        });
        self.output.push(unless(store.noreply, outcome));
    }

    /// A storage command behind whose value the line doesn't end.
    pub(super) fn bad_data_chunk(&mut self, noreply: bool) {
        self.operations.counts.cmd_set += 1;
        self.output.reply(noreply, reply::BAD_DATA_CHUNK);
    }

    /// A storage command whose value was received into memory of the store.
    pub(super) fn store_received(&mut self, receiving: Receiving<Noreply>) {
        let Noreply(noreply) = receiving.reply;
        if receiving.reservation.line_end() != b"\r\n" {
            return self.bad_data_chunk(noreply);
        }
        let value = NewValue::Received(receiving.reservation);
        let path: &[&[u8]] = &[&receiving.key];
        let outcome = self.operations.store(path, &receiving.request, value);
        self.output.push(unless(noreply, outcome));
    }

    /// A storage command for whose value there is no memory, because other values on their way take too much. The reply
    /// comes when the rest of the value is discarded.
    pub(super) fn refuse_received(&mut self, receiving: &Receiving<Noreply>) -> &'static [u8] {
        self.operations.counts.cmd_set += 1;
        let request = &receiving.request;
        let removes = request.mode == StoreMode::Set && request.expected.is_none();
        let refusal = StoreOutcome::NoMemory;
        let outcome = self.operations.refuse(&[&receiving.key], removes, refusal);
        unless(receiving.reply.0, outcome)
    }
}

/// The reply to a storage command, unless it has `noreply`.
fn unless(noreply: bool, outcome: StoreOutcome) -> &'static [u8] {
    match outcome {
        _ if noreply => b"",
        StoreOutcome::Stored { .. } => reply::STORED,
        StoreOutcome::NotStored => reply::NOT_STORED,
        StoreOutcome::Exists => reply::EXISTS,
        StoreOutcome::NotFound => reply::NOT_FOUND,
        StoreOutcome::TooLarge => reply::TOO_LARGE,
        StoreOutcome::NoMemory => reply::OUT_OF_MEMORY_STORING,
    }
}
