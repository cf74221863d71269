//! `set`, `add`, `replace`, `append`, `prepend` and `cas`.

use crate::protocol::memcached::text::{StorageCommand, StoreVerb, Words, reply};

use super::context::{TurnContext, with_path};
use super::meta::write_set_reply;
use super::operations::{NewValue, StoreMode, StoreOutcome, StoreRequest};
use super::receiving::{ReceivedReply, Receiving, StorageLine};

/// The operation of a storage command.
fn request(store: &StorageCommand<'_>) -> StoreRequest {
    let mode = match store.verb {
        StoreVerb::Set | StoreVerb::Cas => StoreMode::Set,
        StoreVerb::Add => StoreMode::Add,
        StoreVerb::Replace => StoreMode::Replace,
        StoreVerb::Append => StoreMode::Append,
        StoreVerb::Prepend => StoreMode::Prepend,
    };
    StoreRequest {
        expected: (store.verb == StoreVerb::Cas).then_some(store.unique),
        ..StoreRequest::new(mode, store.flags, store.exptime.into())
    }
}

impl StorageLine for StorageCommand<'_> {
    fn length(&self) -> usize {
        self.length
    }

    fn refuse_if_too_large(&self, context: &mut TurnContext<'_>) -> Option<&'static [u8]> {
        let operations = &mut context.operations;
        let name = self.path.last().unwrap_or_default();
        if operations.fits(&[name], self.length) {
            return None;
        }
        let removes = self.verb == StoreVerb::Set;
        let outcome = with_path(self.path, |names| {
            operations.refuse(names, &request(self), removes, StoreOutcome::TooLarge)
        });
        Some(unless(self.noreply, outcome))
    }

    fn store(&self, context: &mut TurnContext<'_>, value: &[u8]) {
        let outcome = with_path(self.path, |names| {
            let value = NewValue::Bytes(value);
            context.operations.store(names, &request(self), value)
        });
        context.output.push(unless(self.noreply, outcome));
    }

    fn bad_data_chunk(&self, context: &mut TurnContext<'_>) {
        context.bad_data_chunk(self.noreply);
    }

    fn receive(&self, context: &TurnContext<'_>) -> Option<Box<Receiving<ReceivedReply>>> {
        let noreply = self.noreply;
        let reply = || ReceivedReply::Classic { noreply };
        let reserve = |key: &[u8]| context.reserve(key, self.length);
        Receiving::begin(self.path.single()?, &request(self), reply, reserve)
    }
}

impl TurnContext<'_> {
    /// Answers a value behind which the line doesn't end.
    pub(super) fn bad_data_chunk(&mut self, noreply: bool) {
        self.operations.counts.cmd_set += 1;
        self.output.reply(noreply, reply::BAD_DATA_CHUNK);
    }

    /// A storage command whose value was received into memory of the store.
    pub(super) fn store_received(&mut self, receiving: Receiving<ReceivedReply>) {
        let noreply = matches!(receiving.reply, ReceivedReply::Classic { noreply: true });
        if receiving.reservation.line_end() != b"\r\n" {
            return self.bad_data_chunk(noreply);
        }
        let length = receiving.reservation.length();
        let value = NewValue::Received(receiving.reservation);
        let key = &receiving.key[..];
        let outcome = self.operations.store(&[key], &receiving.request, value);
        match receiving.reply {
            ReceivedReply::Classic { noreply } => self.output.push(unless(noreply, outcome)),
            ReceivedReply::Meta { flags, base64_key } => {
                let flags = Words::new(&flags);
                write_set_reply(&mut self.output, outcome, flags, (key, base64_key), length);
            }
        }
    }

    /// A storage command for whose value there is no memory, because other values on their way take too much. The reply
    /// comes when the rest of the value is discarded.
    pub(super) fn refuse_received(
        &mut self,
        receiving: &Receiving<ReceivedReply>,
    ) -> &'static [u8] {
        self.operations.counts.cmd_set += 1;
        let request = &receiving.request;
        let (noreply, removes) = match receiving.reply {
            ReceivedReply::Classic { noreply } => (noreply, request.is_plain()),
            ReceivedReply::Meta { .. } => (false, true),
        };
        let outcome =
            self.operations
                .refuse(&[&receiving.key], request, removes, StoreOutcome::NoMemory);
        unless(noreply, outcome)
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
