//! `incr` and `decr`.
//!
//! The value is a number of 64 bits in decimal: `incr` wraps around at 2^64, `decr` stops at 0. A
//! result that is shorter than the value was is padded with spaces behind it to the same length,
//! because memcached changes the value in place and clients may have seen that: `10` less 1 is
//! answered `9` and read as `9 `.

use crate::protocol::memcached::text::{Words, parse_unsigned, reply};
use crate::store::Tree;

use super::context::{DATABASE, TurnContext, with_path};

/// The result of changing the number.
enum DeltaOutcome {
    Now(u64),
    Missing,
    NonNumeric,
    NoMemory,
}

impl TurnContext<'_> {
    /// `incr`, or `decr` if it goes down.
    pub(super) fn count(&mut self, path: Words<'_>, delta: u64, down: bool, noreply: bool) {
        let outcome = with_path(path, |names| {
            let mut tree = self.shared.store.lock(names[0]);
            change(&mut tree, names, delta, down)
        });
        let (hits, misses) = if down {
            (&mut self.counts.decr_hits, &mut self.counts.decr_misses)
        } else {
            (&mut self.counts.incr_hits, &mut self.counts.incr_misses)
        };
        match outcome {
            DeltaOutcome::Now(_) => *hits += 1,
            DeltaOutcome::Missing => *misses += 1,
            DeltaOutcome::NonNumeric | DeltaOutcome::NoMemory => {}
        }
        match outcome {
            DeltaOutcome::Now(number) if !noreply => reply::number(self.out, number),
            DeltaOutcome::Now(_) => {}
            DeltaOutcome::Missing => self.reply(noreply, reply::NOT_FOUND),
            DeltaOutcome::NonNumeric => self.reply(noreply, reply::NON_NUMERIC),
            DeltaOutcome::NoMemory => self.reply(noreply, reply::OUT_OF_MEMORY_STORING),
        }
    }
}

fn change(tree: &mut Tree<'_>, names: &[&[u8]], delta: u64, down: bool) -> DeltaOutcome {
    let Some(node) = tree.peek(DATABASE, names) else {
        return DeltaOutcome::Missing;
    };
    let Some(value) = tree.item(node).value() else {
        return DeltaOutcome::Missing;
    };
    let length = value.len();
    let Some(number) = parse_unsigned(value) else {
        return DeltaOutcome::NonNumeric;
    };
    let number = if down {
        number.saturating_sub(delta)
    } else {
        number.wrapping_add(delta)
    };
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(number).as_bytes();
    let padding = vec![b' '; length.saturating_sub(text.len())];
    match tree.set_value(node, &[text, &padding]) {
        Ok(()) => DeltaOutcome::Now(number),
        Err(_) => DeltaOutcome::NoMemory,
    }
}
