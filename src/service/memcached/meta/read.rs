//! `mg` and `me`.

use std::io::Write;

use crate::protocol::memcached::text::meta::{base64, response};
use crate::protocol::memcached::text::{MetaCommand, MetaFlags};
use crate::service::memcached::context::TurnContext;
use crate::service::memcached::operations::{
    FoundItem, GetOutcome, MetaGet, ReadState, seconds_left,
};
use crate::service::memcached::output::Output;
use crate::service::memcached::step::ReadProgress;
use crate::store::{Item, Marks};

use super::{repeat, with_key};

impl TurnContext<'_> {
    /// `mg`.
    pub(in crate::service::memcached) fn meta_get(
        &mut self,
        command: &MetaCommand<'_>,
    ) -> ReadProgress {
        let flags = &command.flags;
        let mut request = match flags.has_any(b"TNREu") {
            true => request(flags),
            false => MetaGet::default(),
        };
        let output = &mut self.output;
        let operations = &mut self.operations;
        request.for_copy = operations.is_read_for_copy();
        with_key(command, |path, key| {
            let outcome = operations.meta_get(path, &request, |found, state| {
                write_hit(output, command, key, found, state)
            });
            if matches!(outcome, GetOutcome::Miss) && !flags.has(b'q') {
                output.push(b"EN");
                repeat(output, command, key);
                output.push(b"\r\n");
            }
            ReadProgress::from(&outcome)
        })
    }

    /// `me`: what is known about an item, for a person who looks for a fault.
    pub(in crate::service::memcached) fn meta_debug(&mut self, command: &MetaCommand<'_>) {
        let out = &mut *self.output.bytes;
        let operations = &mut self.operations;
        let found = with_key(command, |path, key| {
            operations.inspect(path, |item, now_ms| {
                out.extend_from_slice(b"ME ");
                match item.marks().base64_key {
                    true => base64::encode(key, out),
                    false => out.extend_from_slice(key),
                }
                let left = seconds_left(item.expires_ms(), now_ms);
                // Writing to a Vec can't fail.
                let _ = write!(
                    out,
                    " exp={} la={} cas={} fetch={} cls=1 size={}\r\n",
                    left.map_or(-1, |left| left.cast_signed()),
                    now_ms.saturating_sub(item.last_access_ms()) / 1000,
                    item.cas(),
                    if item.is_fetched() { "yes" } else { "no" },
                    item.size(),
                );
            })
        });
        if !found {
            self.output.push(b"EN\r\n");
        }
    }
}

fn request(flags: &MetaFlags<'_>) -> MetaGet {
    MetaGet {
        exptime: flags.exptime().map(i64::from),
        vivify: flags.vivify().map(i64::from),
        vivify_exptime_stays: flags.are_ordered(b'T', b'N'),
        new_cas: flags.new_cas(),
        recache: flags.recache().map(i64::from),
        recache_sees_exptime: flags.are_ordered(b'T', b'R'),
        unseen: flags.has(b'u'),
        base64_key: false,
        for_copy: false,
    }
}

/// Appends a hit; `None` if there is no memory for the value.
#[inline]
fn write_hit(
    output: &mut Output<'_>,
    command: &MetaCommand<'_>,
    key: &[u8],
    found: &mut FoundItem<'_, '_>,
    state: &ReadState,
) -> Option<()> {
    let flags = &command.flags;
    let item = found.item();
    let value = item.value().unwrap_or_default();
    let length = value.len();
    let with_value = flags.has(b'v') && flags.expected() != Some(item.cas());
    if with_value {
        if !output.has_memory(length) {
            return None;
        }
        output.push(b"VA ");
        output.push(itoa::Buffer::new().format(length).as_bytes());
    } else {
        output.push(b"HD");
    }
    if flags.has_any(b"stcflhO") {
        write_flags(output, command, key, item, state);
    } else if flags.has(b'k') {
        // Alone, as in reads of several keys.
        response::key(output.bytes, key, state.marks.base64_key);
    }
    if state.marks != Marks::default() || state.won {
        write_marks(output.bytes, state);
    }
    output.push(b"\r\n");
    if with_value {
        if !output.copy_small(value) {
            output.value(found);
        }
        output.push(b"\r\n");
    }
    Some(())
}

/// Appends the flags of the reply to a hit.
#[inline]
fn write_flags(
    output: &mut Output<'_>,
    command: &MetaCommand<'_>,
    key: &[u8],
    item: Item<'_>,
    state: &ReadState,
) {
    let flags = &command.flags;
    let out = &mut *output.bytes;
    // An item that was made has its exptime from the flag on.
    let (before, after) = state.expires_ms;
    let mut expires_ms = before.filter(|_| !state.created);
    for word in flags.words() {
        match word[0] {
            b'T' => expires_ms = after,
            b'N' if state.created => expires_ms = before,
            b's' => response::number(out, b's', item.value().map_or(0, <[u8]>::len) as u64),
            b't' => response::time_to_live(out, seconds_left(expires_ms, state.now_ms)),
            b'c' => response::number(out, b'c', item.cas()),
            b'f' => response::number(out, b'f', u64::from(item.flags())),
            b'l' => response::number(out, b'l', state.idle_seconds()),
            b'h' => response::number(out, b'h', u64::from(state.was_fetched)),
            b'O' => response::repeated(out, word),
            b'k' => response::key(out, key, state.marks.base64_key),
            _ => {}
        }
    }
}

fn write_marks(out: &mut Vec<u8>, state: &ReadState) {
    for (mark, letters) in [
        (state.marks.won, b" Z"),
        (state.marks.stale, b" X"),
        (state.won, b" W"),
    ] {
        if mark {
            out.extend_from_slice(letters);
        }
    }
}
