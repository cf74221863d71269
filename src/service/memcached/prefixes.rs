//! `stats detail`: how often the keys of each prefix were read, stored and deleted. A prefix is the part of a key before
//! its first colon; other keys are not counted.
//!
//! Nothing is counted until a client switches it on. Then each command takes a lock that all connections share, so it is
//! for finding a fault, as in memcached. Bound: a table of [`MOST`] prefixes, none longer than a key; the keys of
//! further ones are not counted.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use memchr::memchr;

/// The most prefixes.
const MOST: usize = 256;

/// The counts of one prefix.
#[derive(Debug, Default)]
struct PrefixCounts {
    gets: u64,
    hits: u64,
    sets: u64,
    deletes: u64,
}

/// A counted use of a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum KeyUse {
    Get { hit: bool },
    Set,
    Delete,
}

/// The counts of all prefixes, kept while they are switched on and after that.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    on: AtomicBool,
    counts: Mutex<BTreeMap<Box<[u8]>, PrefixCounts>>,
}

impl Prefixes {
    /// Whether keys are counted.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    pub(super) fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// Counts a use of a key, if that is switched on.
    #[inline]
    pub(super) fn count(&self, key: &[u8], key_use: KeyUse) {
        if self.is_on() {
            self.count_key(key, key_use);
        }
    }

    fn count_key(&self, key: &[u8], key_use: KeyUse) {
        let Some(length) = memchr(b':', key) else {
            return;
        };
        let prefix = &key[..length];
        let mut counts = self.locked();
        if !counts.contains_key(prefix) {
            if counts.len() >= MOST {
                return;
            }
            counts.insert(prefix.into(), PrefixCounts::default());
        }
        let Some(counts) = counts.get_mut(prefix) else {
            return;
        };
        match key_use {
            KeyUse::Get { hit } => {
                counts.gets += 1;
                counts.hits += u64::from(hit);
            }
            KeyUse::Set => counts.sets += 1,
            KeyUse::Delete => counts.deletes += 1,
        }
    }

    /// Forgets all counts.
    pub(super) fn reset(&self) {
        self.locked().clear();
    }

    /// Appends a line for each prefix.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (prefix, counts) in &*self.locked() {
            let PrefixCounts {
                gets,
                hits,
                sets,
                deletes,
            } = counts;
            out.extend_from_slice(b"PREFIX ");
            out.extend_from_slice(prefix);
            // Writing to a Vec can't fail.
            let _ = write!(out, " get {gets} hit {hits} set {sets} del {deletes}\r\n");
        }
    }

    /// The counts are whole between any two statements that change them.
    fn locked(&self) -> MutexGuard<'_, BTreeMap<Box<[u8]>, PrefixCounts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_prefixes_are_counted() {
        let prefixes = Prefixes::default();
        prefixes.count(b"a:1", KeyUse::Set);
        prefixes.switch(true);
        for number in 0..MOST + 1 {
            prefixes.count(format!("p{number:03}:x").as_bytes(), KeyUse::Set);
        }
        prefixes.count(b"p000:y", KeyUse::Delete);
        prefixes.count(b"without", KeyUse::Delete);
        let mut out = Vec::new();
        prefixes.write(&mut out);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), MOST);
        assert_eq!(lines[0], "PREFIX p000 get 0 hit 0 set 1 del 1");
        prefixes.reset();
        let mut out = Vec::new();
        prefixes.write(&mut out);
        assert!(out.is_empty());
    }
}
