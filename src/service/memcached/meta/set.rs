//! `ms`.

use crate::protocol::memcached::text::meta::response;
use crate::protocol::memcached::text::{MetaCommand, Words, reply};
use crate::service::memcached::context::TurnContext;
use crate::service::memcached::operations::{NewValue, StoreMode, StoreOutcome, StoreRequest};
use crate::service::memcached::output::Output;
use crate::service::memcached::receiving::{ReceivedReply, Receiving, StorageLine};

use super::with_key;

impl StorageLine for (MetaCommand<'_>, usize) {
    fn length(&self) -> usize {
        self.1
    }

    fn refuse_if_too_large(&self, context: &mut TurnContext<'_>) -> Option<&'static [u8]> {
        let (command, length) = self;
        with_key(command, |path, _| {
            if context.operations.fits(path, *length) {
                return None;
            }
            // In any mode, as in memcached.
            let removes = true;
            context
                .operations
                .refuse(path, &request(command), removes, StoreOutcome::TooLarge);
            Some(reply::TOO_LARGE)
        })
    }

    fn store(&self, context: &mut TurnContext<'_>, value: &[u8]) {
        let (command, length) = self;
        if context.is_stored_elsewhere(command, value) {
            return;
        }
        let request = request(command);
        let (operations, output) = (&mut context.operations, &mut context.output);
        with_key(command, |path, key| {
            let outcome = operations.store(path, &request, NewValue::Bytes(value));
            let base64_key = command.flags.has(b'b');
            write_set_reply(
                output,
                outcome,
                command.flags.words(),
                (key, base64_key),
                *length,
            );
        });
    }

    fn bad_data_chunk(&self, context: &mut TurnContext<'_>) {
        context.bad_data_chunk(false);
    }

    fn receive(&self, context: &TurnContext<'_>) -> Option<Box<Receiving<ReceivedReply>>> {
        let (command, length) = self;
        if command.flags.separator().is_some() {
            return None;
        }
        let request = request(command);
        let reply = || ReceivedReply::Meta {
            flags: command.flags.words().as_bytes().to_vec(),
            base64_key: request.base64_key,
        };
        let reserve = |key: &[u8]| context.reserve(key, *length);
        with_key(command, |_, key| {
            Receiving::begin(key, &request, reply, reserve)
        })
    }
}

fn request(command: &MetaCommand<'_>) -> StoreRequest {
    let flags = &command.flags;
    let mode = match flags.mode() {
        Some(b'E') => StoreMode::Add,
        Some(b'A') => StoreMode::Append,
        Some(b'P') => StoreMode::Prepend,
        Some(b'R') => StoreMode::Replace,
        _ => StoreMode::Set,
    };
    let joins = matches!(mode, StoreMode::Append | StoreMode::Prepend);
    StoreRequest {
        // For an append or prepend, 0 is no condition, as in memcached.
        expected: flags.expected().filter(|cas| !joins || *cas != 0),
        allows_stale: flags.has(b'I'),
        // 0 is none, as in memcached.
        new_cas: flags.new_cas().filter(|cas| *cas != 0),
        vivify: flags.vivify().map(i64::from),
        base64_key: flags.has(b'b'),
        ..StoreRequest::new(
            mode,
            flags.client_flags(),
            flags.exptime().unwrap_or(0).into(),
        )
    }
}

/// Appends the reply to an `ms` with these flags, for a value of `length` bytes.
pub(in crate::service::memcached) fn write_set_reply(
    output: &mut Output<'_>,
    outcome: StoreOutcome,
    flags: Words<'_>,
    (key, base64_key): (&[u8], bool),
    length: usize,
) {
    let quiet = || flags.into_iter().any(|word| word[0] == b'q');
    let (code, cas, length) = match outcome {
        StoreOutcome::Stored { .. } if quiet() => return,
        StoreOutcome::Stored { cas, length } => (b"HD", cas, length),
        StoreOutcome::NotStored => (b"NS", 0, length),
        StoreOutcome::Exists => (b"EX", 0, length),
        StoreOutcome::NotFound => (b"NF", 0, length),
        StoreOutcome::TooLarge => return output.push(reply::TOO_LARGE),
        StoreOutcome::NoMemory => return output.push(reply::OUT_OF_MEMORY_STORING),
    };
    let out = &mut *output.bytes;
    out.extend_from_slice(code);
    for word in flags {
        match word[0] {
            b'O' => response::repeated(out, word),
            b'k' => response::key(out, key, base64_key),
            b'c' => response::number(out, b'c', cas),
            b's' => response::number(out, b's', length as u64),
            _ => {}
        }
    }
    out.extend_from_slice(b"\r\n");
}
