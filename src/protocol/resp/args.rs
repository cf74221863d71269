//! The words of one command: a list of ranges, filled by the reader and read by the command.
//!
//! Eight bytes an argument and no copy: a multibulk command's words are ranges into the input that
//! arrived. Only an inline command's words, which may have to lose quotes and escapes, are copied
//! into a buffer that is reused.

use std::ops::Index;

/// The range of one word, relative to the start of its command, whose size
/// [`Limits::request`](super::Limits::request) keeps far below 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WordRange {
    start: u32,
    end: u32,
}

/// The number of ranges, and of bytes of inline words, that are kept for the next command.
const KEPT: usize = 4096;

/// The words of the command that is being read; reused from command to command.
#[derive(Debug, Default)]
pub struct CommandWords {
    ranges: Vec<WordRange>,
    /// The words of an inline command, end to end.
    unquoted: Vec<u8>,
    inline: bool,
}

impl CommandWords {
    /// The words as arguments; `input` is the input of [`Reader::read`](super::Reader::read).
    pub fn args<'a>(&'a self, input: &'a [u8]) -> CommandArgs<'a> {
        CommandArgs {
            bytes: if self.inline { &self.unquoted } else { input },
            ranges: &self.ranges,
        }
    }

    /// Copies a command, to be run later.
    pub(crate) fn extend_from(&mut self, args: CommandArgs<'_>) {
        self.inline = true;
        for word in args.iter() {
            self.push_copy(word);
        }
    }

    /// Adds a copy of a word.
    pub(crate) fn push_copy(&mut self, word: &[u8]) {
        self.push_unquoted(|bytes| bytes.extend_from_slice(word));
    }

    /// The words from number `first` up to `end` as arguments, for words filled by
    /// [`CommandWords::extend_from`].
    pub fn slice(&self, first: usize, end: usize) -> CommandArgs<'_> {
        CommandArgs {
            bytes: &self.unquoted,
            ranges: &self.ranges[first..end],
        }
    }

    /// The number of words.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there are no words.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Bytes of the copied words.
    pub fn copied(&self) -> usize {
        self.unquoted.len()
    }

    pub(super) fn clear(&mut self) {
        self.ranges.clear();
        self.unquoted.clear();
        self.inline = false;
        self.ranges.shrink_to(KEPT);
        self.unquoted.shrink_to(KEPT);
    }

    #[inline]
    pub(super) fn push(&mut self, start: usize, end: usize) {
        self.ranges.push(WordRange {
            start: start as u32,
            end: end as u32,
        });
    }

    /// Adds the word that `fill` appends.
    pub(super) fn push_unquoted<T>(&mut self, fill: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.inline = true;
        let start = self.unquoted.len();
        let result = fill(&mut self.unquoted);
        self.push(start, self.unquoted.len());
        result
    }
}

/// The arguments of one command, its name first.
#[derive(Clone, Copy)]
pub struct CommandArgs<'a> {
    bytes: &'a [u8],
    ranges: &'a [WordRange],
}

impl<'a> CommandArgs<'a> {
    /// The number of arguments, the command's name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is not even a name.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The argument at `index`; the name is number 0.
    ///
    /// # Panics
    /// When there are not as many: the dispatcher has checked the command's arity, and code that
    /// goes beyond it has to check [`CommandArgs::len`] first.
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        let range = self.ranges[index];
        &self.bytes[range.start as usize..range.end as usize]
    }

    /// The arguments from `index` on; none when there are not as many.
    pub fn from(&self, index: usize) -> CommandArgs<'a> {
        CommandArgs {
            bytes: self.bytes,
            ranges: self.ranges.get(index..).unwrap_or_default(),
        }
    }

    /// The arguments in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.ranges
            .iter()
            .map(move |range| &bytes[range.start as usize..range.end as usize])
    }
}

impl Index<usize> for CommandArgs<'_> {
    type Output = [u8];

    #[inline]
    fn index(&self, index: usize) -> &[u8] {
        self.get(index)
    }
}
