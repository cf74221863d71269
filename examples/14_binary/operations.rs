//! The rules of memcached's commands, for every protocol: values in, an outcome out, and no bytes of a protocol.

use larder::protocol::memcached::text::parse_unsigned;

use super::store::{Item, Refused, Store, expires};

/// Bytes of the largest item, key and value, as in memcached.
pub(crate) const MAX_ITEM: usize = 1 << 20;

/// Bytes of the longest key.
pub(crate) const MAX_KEY: usize = 250;

/// The end of an operation.
pub(crate) enum Outcome {
    /// Done; the item's new unique, or 0 if it is gone.
    Done(u64),
    /// Done; the counter has this number now.
    Counted {
        number: u64,
        unique: u64,
    },
    NotStored,
    /// The item has another unique than the client expects.
    Exists,
    NotFound,
    NotANumber,
    NoMemory,
}

/// The rule by which a value is stored.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    Set,
    Add,
    Replace,
    Append,
    Prepend,
}

/// A value that a client wants to store.
pub(crate) struct Write<'a> {
    pub(crate) mode: Mode,
    pub(crate) path: &'a [&'a [u8]],
    pub(crate) value: &'a [u8],
    pub(crate) flags: u32,
    pub(crate) exptime: i32,
    /// Stores only if the item has this unique.
    pub(crate) unique: Option<u64>,
}

/// Stores a value, if its mode and its unique allow it.
pub(crate) fn write(store: &mut Store, write: &Write<'_>, now: u64) -> Outcome {
    let there = store.peek(write.path, now);
    if let Err(outcome) = expected(there.as_deref(), write.unique) {
        return outcome;
    }
    let done = match (write.mode, there) {
        (Mode::Add, Some(_)) => return Outcome::NotStored,
        (Mode::Replace | Mode::Append | Mode::Prepend, None) => return Outcome::NotStored,
        (Mode::Append | Mode::Prepend, Some(item)) => {
            let value = match write.mode {
                Mode::Append => [&item.value, write.value].concat(),
                _ => [write.value, &item.value].concat(),
            };
            if write.path.last().map_or(0, |key| key.len()) + value.len() > MAX_ITEM {
                return Outcome::NotStored;
            }
            store.set_value(write.path, value, now)
        }
        _ => {
            let expires = expires(write.exptime, now);
            store.put(write.path, write.value.to_vec(), write.flags, expires, now)
        }
    };
    match done {
        Ok(()) => Outcome::Done(unique(store, write.path, now)),
        Err(Refused::NoParent) => Outcome::NotStored,
        Err(Refused::TooLarge) => Outcome::NoMemory,
    }
}

/// Adds to a number, or subtracts from it. An addition wraps around at 2^64, a subtraction stops at 0, and a number that
/// gets shorter is padded with spaces.
pub(crate) fn count(
    store: &mut Store,
    path: &[&[u8]],
    delta: u64,
    down: bool,
    wanted: Option<u64>,
    now: u64,
) -> Outcome {
    let there = store.peek(path, now);
    if let Err(outcome) = expected(there.as_deref(), wanted) {
        return outcome;
    }
    let Some(item) = there else {
        return Outcome::NotFound;
    };
    let (Some(number), width) = (parse_unsigned(&item.value), item.value.len()) else {
        return Outcome::NotANumber;
    };
    let number = match down {
        true => number.saturating_sub(delta),
        false => number.wrapping_add(delta),
    };
    match store.set_value(path, format!("{number:<width$}").into_bytes(), now) {
        Ok(()) => Outcome::Counted {
            number,
            unique: unique(store, path, now),
        },
        Err(_) => Outcome::NoMemory,
    }
}

/// Removes an item, if it has the unique that the client expects.
pub(crate) fn delete(store: &mut Store, path: &[&[u8]], wanted: Option<u64>, now: u64) -> Outcome {
    if let Err(outcome) = expected(store.peek(path, now).as_deref(), wanted) {
        return outcome;
    }
    match store.remove(path, now) {
        true => Outcome::Done(0),
        false => Outcome::NotFound,
    }
}

/// Gives an item a new expiry.
pub(crate) fn touch(store: &mut Store, path: &[&[u8]], exptime: i32, now: u64) -> Outcome {
    match store.peek(path, now) {
        Some(item) => {
            item.expires = expires(exptime, now);
            Outcome::Done(item.unique)
        }
        None => Outcome::NotFound,
    }
}

/// Compares an item's unique with the one that the client has seen.
fn expected(item: Option<&Item>, wanted: Option<u64>) -> Result<(), Outcome> {
    match (wanted, item) {
        (Some(_), None) => Err(Outcome::NotFound),
        (Some(wanted), Some(item)) if wanted != item.unique => Err(Outcome::Exists),
        _ => Ok(()),
    }
}

fn unique(store: &mut Store, path: &[&[u8]], now: u64) -> u64 {
    store.peek(path, now).map_or(0, |item| item.unique)
}
