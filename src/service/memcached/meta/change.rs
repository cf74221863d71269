//! `md` and `ma`.

use crate::protocol::memcached::text::meta::response;
use crate::protocol::memcached::text::{MetaCommand, reply};
use crate::service::memcached::context::TurnContext;
use crate::service::memcached::operations::{
    Arithmetic, ArithmeticOutcome, DeleteOutcome, Initial, Invalidation,
};
use crate::service::memcached::output::Output;
use crate::service::memcached::watch::DeleteVerb;

use super::{repeat, with_key};

impl TurnContext<'_> {
    /// `md`: removes an item, marks it as stale, or empties it.
    pub(in crate::service::memcached) fn meta_delete(&mut self, command: &MetaCommand<'_>) {
        let flags = &command.flags;
        let invalidation = Invalidation {
            expected: flags.expected(),
            stale: flags.has(b'I'),
            empty: flags.has(b'x'),
            flags: flags.client_flags(),
            exptime: flags.exptime().map(i64::from),
            new_cas: flags.new_cas(),
        };
        let leaves_item = invalidation.stale || invalidation.empty;
        let operations = &mut self.operations;
        let output = &mut self.output;
        with_key(command, |path, key| {
            let outcome = match leaves_item {
                true => operations.invalidate(path, &invalidation),
                false => operations.delete(path, flags.expected(), DeleteVerb::MetaDelete),
            };
            output.push(match outcome {
                DeleteOutcome::Deleted if flags.has(b'q') => return,
                DeleteOutcome::Deleted => b"HD",
                DeleteOutcome::NotFound => b"NF",
                DeleteOutcome::Exists => b"EX",
                DeleteOutcome::NoMemory => return output.push(reply::OUT_OF_MEMORY),
            });
            repeat(output, command, key);
            output.push(b"\r\n");
        });
    }

    /// `ma`: adds to a number, or subtracts from it.
    pub(in crate::service::memcached) fn meta_arithmetic(&mut self, command: &MetaCommand<'_>) {
        let flags = &command.flags;
        let request = Arithmetic {
            delta: flags.delta(),
            down: matches!(flags.mode(), Some(b'D' | b'-')),
            // 0 is no condition, as in memcached.
            expected: flags.expected().filter(|cas| *cas != 0),
            initial: flags.vivify().map(|exptime| Initial {
                number: flags.initial(),
                exptime: exptime.into(),
            }),
            exptime: flags.exptime().map(i64::from),
            initial_exptime_stays: flags.are_ordered(b'T', b'N'),
            new_cas: flags.new_cas(),
        };
        let operations = &mut self.operations;
        let output = &mut self.output;
        with_key(command, |path, key| {
            let outcome = operations.arithmetic(path, &request);
            write_number(output, command, key, outcome);
        });
    }
}

fn write_number(
    output: &mut Output<'_>,
    command: &MetaCommand<'_>,
    key: &[u8],
    outcome: ArithmeticOutcome,
) {
    let flags = &command.flags;
    match outcome {
        ArithmeticOutcome::Now { .. } if flags.has(b'q') => {}
        ArithmeticOutcome::Now {
            number,
            cas,
            created,
            left: (before, after),
        } => {
            let mut buffer = itoa::Buffer::new();
            let number = buffer.format(number).as_bytes();
            let out = &mut *output.bytes;
            match flags.has(b'v') {
                true => {
                    out.extend_from_slice(b"VA ");
                    out.extend_from_slice(itoa::Buffer::new().format(number.len()).as_bytes());
                }
                false => out.extend_from_slice(b"HD"),
            }
            let mut left = before.filter(|_| !created);
            for word in flags.words() {
                match word[0] {
                    b'T' => left = after,
                    b'N' if created => left = before,
                    b't' => response::time_to_live(out, left),
                    b'c' => response::number(out, b'c', cas),
                    b'O' => response::repeated(out, word),
                    b'k' => response::key(out, key, flags.has(b'b')),
                    _ => {}
                }
            }
            out.extend_from_slice(b"\r\n");
            if flags.has(b'v') {
                out.extend_from_slice(number);
                out.extend_from_slice(b"\r\n");
            }
        }
        ArithmeticOutcome::NotFound | ArithmeticOutcome::Exists => {
            output.push(match outcome {
                ArithmeticOutcome::NotFound => b"NF",
                _ => b"EX",
            });
            repeat(output, command, key);
            output.push(b"\r\n");
        }
        ArithmeticOutcome::NonNumeric => output.push(reply::NON_NUMERIC),
        ArithmeticOutcome::NoMemory { created } => output.push(match created {
            true => reply::OUT_OF_MEMORY_ALLOCATING,
            false => reply::OUT_OF_MEMORY,
        }),
    }
}
