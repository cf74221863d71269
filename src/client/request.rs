//! Requests of memcached's text protocol as bytes. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::client::item::Item;
use crate::protocol::memcached::text::KEY_LIMIT;

/// The longest exptime in seconds that memcached counts from now: larger numbers are Unix times.
const LONGEST_RELATIVE: u64 = 30 * 24 * 60 * 60;

/// The reason why a key can't be sent, if there is one.
pub(super) fn refuse_key(key: &[u8]) -> Result<(), &'static str> {
    if key.is_empty() {
        return Err("is empty");
    }
    if key.len() > KEY_LIMIT {
        return Err("has more than 250 bytes");
    }
    match key.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        true => Err("has a space or a control character"),
        false => Ok(()),
    }
}

/// A line of these words.
pub(super) fn line(words: &[&[u8]]) -> Vec<u8> {
    let mut out = words.join(&b' ');
    out.extend_from_slice(b"\r\n");
    out
}

/// The request for the values of several keys.
pub(super) fn get_many<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = b"get".to_vec();
    for key in keys {
        out.push(b' ');
        out.extend_from_slice(key);
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// A storage command and its value. `cas` is the cas unique of the command of this name.
pub(super) fn store(
    verb: &str,
    key: &[u8],
    item: &Item,
    lifetime: Option<Duration>,
    cas: Option<u64>,
) -> Vec<u8> {
    let numbers = format!("{} {} {}", item.flags, exptime(lifetime), item.value.len());
    let cas = cas.map(|unique| unique.to_string());
    let mut words = vec![verb.as_bytes(), key, numbers.as_bytes()];
    words.extend(cas.as_deref().map(str::as_bytes));
    let mut out = Vec::with_capacity(numbers.len() + item.value.len() + key.len() + 64);
    for word in words {
        out.extend_from_slice(word);
        out.push(b' ');
    }
    out.pop();
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&item.value);
    out.extend_from_slice(b"\r\n");
    out
}

/// The exptime of an item that expires after this time, which is rounded up to seconds; `None` for never.
pub(crate) fn exptime(lifetime: Option<Duration>) -> String {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    exptime_at(lifetime, since_1970.unwrap_or_default().as_secs()).to_string()
}

fn exptime_at(lifetime: Option<Duration>, now: u64) -> i32 {
    let Some(lifetime) = lifetime else {
        return 0;
    };
    let part = u64::from(lifetime.subsec_nanos() > 0);
    let seconds = lifetime.as_secs().saturating_add(part);
    match seconds {
        0 => -1,
        1..=LONGEST_RELATIVE => seconds as i32,
        _ => i32::try_from(now.saturating_add(seconds)).unwrap_or(i32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_become_exptimes() {
        const DAY: u64 = 24 * 60 * 60;
        for (lifetime, exptime) in [
            (None, 0),
            (Some(Duration::ZERO), -1),
            (Some(Duration::from_millis(1)), 1),
            (Some(Duration::from_secs(7)), 7),
            (Some(Duration::from_millis(7001)), 8),
            (Some(Duration::from_secs(30 * DAY)), 2_592_000),
            (Some(Duration::from_secs(31 * DAY)), 1_000 + 2_678_400),
            (Some(Duration::MAX), i32::MAX),
        ] {
            assert_eq!(exptime_at(lifetime, 1_000), exptime, "{lifetime:?}");
        }
    }

    #[test]
    fn keys_that_would_break_a_line_are_refused() {
        for key in [
            "",
            "a b",
            "a\r\nflush_all",
            "a\0",
            "\u{7f}",
            &"k".repeat(251),
        ] {
            assert!(refuse_key(key.as_bytes()).is_err(), "{key:?}");
        }
        for key in ["a", "Zürich", &"k".repeat(250)] {
            assert!(refuse_key(key.as_bytes()).is_ok(), "{key:?}");
        }
    }

    #[test]
    fn a_storage_command_has_its_fields_in_order() {
        let item = Item {
            value: b"a\r\nb".to_vec(),
            flags: 5,
        };
        let plain = store("set", b"k", &item, None, None);
        assert_eq!(plain, b"set k 5 0 4\r\na\r\nb\r\n");
        let cas = store("cas", b"k", &item, Some(Duration::from_secs(9)), Some(77));
        assert_eq!(cas, b"cas k 5 9 4 77\r\na\r\nb\r\n");
    }
}
