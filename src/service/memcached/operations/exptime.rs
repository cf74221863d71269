//! Expiration times, as memcached's clients give and see them.

/// The time at which an item with this exptime expires, in Unix milliseconds; `None` for never.
///
/// Up to 30 days it is a number of seconds from now, beyond that a Unix time, as in memcached; a
/// negative one has expired at once.
pub(in crate::service::memcached) fn expires_ms(exptime: i64, now_ms: u64) -> Option<u64> {
    const RELATIVE_LIMIT: u64 = 60 * 60 * 24 * 30;
    match u64::try_from(exptime) {
        Ok(0) => None,
        Ok(seconds) if seconds <= RELATIVE_LIMIT => Some(now_ms + seconds * 1000),
        Ok(unix) => Some(unix.saturating_mul(1000)),
        Err(_) => Some(now_ms),
    }
}

/// The whole seconds, rounded up, until the time at which an item expires, as memcached counts them; `None` for never.
pub(in crate::service::memcached) fn seconds_left(
    expires_ms: Option<u64>,
    now_ms: u64,
) -> Option<u64> {
    expires_ms.map(|expires_ms| expires_ms.saturating_sub(now_ms).div_ceil(1000))
}
