//! Requests of RESP as bytes. Pure.

use std::time::Duration;

use crate::protocol::resp;

/// The request for the values of several keys.
pub(super) fn get_many<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let words: Vec<&[u8]> = std::iter::once(&b"MGET"[..]).chain(keys).collect();
    resp::request(&words)
}

/// An option of `SET` and `GETEX`.
pub(super) struct Expiry(&'static [u8], String);

impl Expiry {
    pub(super) fn of(lifetime: Option<Duration>) -> Option<Expiry> {
        Some(match milliseconds(lifetime?) {
            // A lifetime of 0 is an error; a time that has passed isn't.
            0 => Expiry(b"PXAT", "1".to_owned()),
            milliseconds => Expiry(b"PX", milliseconds.to_string()),
        })
    }

    pub(super) fn words(&self) -> [&[u8]; 2] {
        [self.0, self.1.as_bytes()]
    }
}

/// The milliseconds of a lifetime, rounded up. The longest can be added to the time of day.
pub(super) fn milliseconds(lifetime: Duration) -> i64 {
    let part = u128::from(!lifetime.subsec_nanos().is_multiple_of(1_000_000));
    let milliseconds = i64::try_from(lifetime.as_millis() + part);
    milliseconds.unwrap_or(i64::MAX).min(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_become_options() {
        for (lifetime, expected) in [
            (Duration::ZERO, "PXAT 1"),
            (Duration::from_nanos(1), "PX 1"),
            (Duration::from_millis(1500), "PX 1500"),
            (Duration::MAX, "PX 4611686018427387903"),
        ] {
            let option = Expiry::of(Some(lifetime)).expect("it expires");
            let option = option.words().join(&b' ');
            assert_eq!(String::from_utf8_lossy(&option), expected, "{lifetime:?}");
        }
        assert!(Expiry::of(None).is_none());
    }
}
