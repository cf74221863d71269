//! memcached's meta commands on the store.
//!
//! Each calls one operation, and writes the outcome as a code and the flags of the command that ask for something, in
//! their order. `read` has `mg` and `me`, `change` has `md` and `ma`, `set` has `ms`. memcached's program decides which
//! replies `q` omits: `EN` of `mg`, `HD` of `ms` and `md`, `HD` and `VA` of `ma`.
//!
//! Cost of an `mg` that hits, with the usual flags: the same as of a `get`. A key in base64 costs an allocation.

mod change;
mod elsewhere;
mod read;
mod set;

use crate::protocol::memcached::text::MetaCommand;
use crate::protocol::memcached::text::meta::response;

use super::context::with_path;
use super::output::Output;

pub(super) use set::write_set_reply;

/// Calls `work` with the path of a command, and with its key.
fn with_key<R>(command: &MetaCommand<'_>, work: impl FnOnce(&[&[u8]], &[u8]) -> R) -> R {
    let mut decoded = Vec::new();
    let key = command.key(&mut decoded);
    let Some(separator) = command.flags.separator() else {
        return work(&[key], key);
    };
    let names = key.split(|byte| *byte == separator);
    with_path(names.filter(|name| !name.is_empty()), |names| {
        work(names, key)
    })
}

/// Repeats the opaque and the key of a command whose reply has nothing of an item.
fn repeat(output: &mut Output<'_>, command: &MetaCommand<'_>, key: &[u8]) {
    for word in command.flags.words() {
        match word[0] {
            b'O' => response::repeated(output.bytes, word),
            b'k' => response::key(output.bytes, key, command.flags.has(b'b')),
            _ => {}
        }
    }
}
