//! The words of a line: the texts between spaces.

use memchr::{memchr, memrchr};

/// Words of a command line, borrowed from the input: separated by one or more spaces, none before
/// or after.
///
/// Read from the left as an iterator, or from the right with [`Words::pop`]. Only the space
/// separates; a tab or a carriage return inside a line is part of a word, as in memcached.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    /// The words of `line`.
    pub fn new(line: &'a [u8]) -> Words<'a> {
        Words(trim(line))
    }

    /// The words, with the spaces between them.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether there are no words.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The only word, if there is exactly one.
    pub fn single(self) -> Option<&'a [u8]> {
        let words = self.0;
        (!words.is_empty() && memchr(b' ', words).is_none()).then_some(words)
    }

    /// The number of words, counted no further than `limit`.
    pub(crate) fn count_up_to(self, limit: usize) -> usize {
        self.take(limit).count()
    }

    /// Takes the last word off.
    pub fn pop(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let Some(space) = memrchr(b' ', self.0) else {
            return Some(std::mem::take(&mut self.0));
        };
        let word = &self.0[space + 1..];
        self.0 = trim_end(&self.0[..space]);
        Some(word)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let Some(space) = first_space(self.0) else {
            return Some(std::mem::take(&mut self.0));
        };
        let word = &self.0[..space];
        self.0 = trim_start(&self.0[space..]);
        Some(word)
    }
}

impl std::fmt::Debug for Words<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Words({:?})", self.0.escape_ascii().to_string())
    }
}

/// The position of the first space. The flags of meta commands are so short that a call of memchr takes longer than a
/// look at their bytes.
#[inline]
fn first_space(bytes: &[u8]) -> Option<usize> {
    const SHORT: usize = 4;
    let Some((short, rest)) = bytes.split_at_checked(SHORT) else {
        return bytes.iter().position(|byte| *byte == b' ');
    };
    match short.iter().position(|byte| *byte == b' ') {
        None => memchr(b' ', rest).map(|space| SHORT + space),
        found => found,
    }
}

fn trim(bytes: &[u8]) -> &[u8] {
    trim_end(trim_start(bytes))
}

fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Without the spaces at the end.
pub(super) fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' '] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_read_from_the_left_are_those_read_from_the_right(line in "[ ab\t]{0,24}") {
            let words = Words::new(line.as_bytes());
            let left: Vec<&[u8]> = words.collect();
            let mut right = Vec::new();
            let mut rest = words;
            while let Some(word) = rest.pop() {
                right.insert(0, word);
            }
            let naive: Vec<&[u8]> =
                line.split(' ').filter(|word| !word.is_empty()).map(str::as_bytes).collect();
            prop_assert_eq!(&left, &naive);
            prop_assert_eq!(&right, &naive);
            prop_assert_eq!(words.count_up_to(5), naive.len().min(5));
            prop_assert_eq!(words.single().is_some(), naive.len() == 1);
        }
    }
}
