//! The real size of an allocation.
//!
//! The bound of the store is in bytes of memory, not bytes of values. So an allocation counts as the
//! chunk that glibc's malloc takes for it on a 64-bit machine: 8 bytes of header, rounded up to 16,
//! at least 32; and whole pages from 128 KiB on, where malloc maps memory. Other allocators differ
//! by a few per cent.

/// Bytes of memory that an allocation of `length` bytes takes.
pub(super) fn allocated_bytes(length: usize) -> usize {
    const PAGED: usize = 128 * 1024;
    match length {
        0 => 0,
        1..=24 => 32,
        25..PAGED => (length + 8).next_multiple_of(16),
        PAGED.. => (length + 16).next_multiple_of(4096),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_have_the_sizes_that_glibc_takes() {
        for (length, taken) in [
            (0, 0),
            (1, 32),
            (24, 32),
            (25, 48),
            (40, 48),
            (41, 64),
            (136, 144),
            (137, 160),
        ] {
            assert_eq!(allocated_bytes(length), taken, "{length} bytes");
        }
        assert_eq!(allocated_bytes(1 << 20), (1 << 20) + 4096);
    }
}
