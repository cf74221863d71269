//! The flags of a meta command: words behind the key, each a letter and perhaps a token.

use crate::protocol::memcached::text::words::Words;
use crate::protocol::memcached::text::{number, reply};

/// Most words of a line, as in memcached (`MFLAG_MAX_OPT_LENGTH`): the verb, the key and the length of a value
/// included. More are refused.
const WORDS_LIMIT: usize = 20;

/// Bytes behind the key in which the flags that [`MetaFlags::scan`] takes end.
const SCAN_LIMIT: usize = 256;

/// Most bytes of an opaque, its `O` included, as in memcached (`MFLAG_MAX_OPAQUE_LENGTH`).
const OPAQUE_LIMIT: usize = 32;

/// The flags of one command, checked. A flag that has no meaning for the command is ignored, as in memcached.
///
/// It keeps the words and which letters are among them, so that a command stays small; a token is read when it is asked
/// for, which few commands do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetaFlags<'a> {
    words: Words<'a>,
    /// A bit for each letter from `A` on.
    letters: u64,
}

impl<'a> MetaFlags<'a> {
    /// Reads the words behind the key, or behind the length of a value. `before` is the number of words in front of
    /// them. A word that is no flag makes the whole line malformed, then their number counts, and then the first error
    /// of a flag. The reply to several bad tokens is that of the last, as in memcached.
    pub(super) fn read(words: Words<'a>, before: usize) -> Result<MetaFlags<'a>, &'static [u8]> {
        let mut flags = MetaFlags::none(words);
        let (mut count, mut invalid, mut bad_token) = (0, None, None);
        for word in words {
            if !is_flag(word) {
                return Err(reply::BAD_FORMAT);
            }
            count += 1;
            if invalid.is_none() {
                invalid = flags.take(word, &mut bad_token).err();
            }
        }
        if count > WORDS_LIMIT - before {
            return Err(reply::TOO_MANY_FLAGS);
        }
        invalid.or(bad_token).map_or(Ok(flags), Err)
    }

    /// Reads the flags of an `mg` up to the end of its line, if they are as clients write them: one space before each, and
    /// no fault. Returns the bytes behind the line, too.
    pub(super) fn scan(behind_key: &'a [u8]) -> Option<(MetaFlags<'a>, &'a [u8])> {
        let mut flags = MetaFlags::none(Words::default());
        let mut bad_token = None;
        let mut rest = &behind_key[..behind_key.len().min(SCAN_LIMIT)];
        let mut count = 0;
        while let [b' ', words @ ..] = rest {
            // Most flags are a letter alone.
            if let [letter, behind @ ..] = words
                && matches!(behind, [b' ' | b'\r', ..])
                && is_bare(*letter)
                && !flags.has(*letter)
            {
                flags.letters |= bit(*letter);
                (rest, count) = (behind, count + 1);
                continue;
            }
            let length = words.iter().position(|&byte| byte <= b' ')?;
            let (word, behind) = words.split_at(length);
            if word.is_empty() || !is_flag(word) {
                return None;
            }
            flags.take(word, &mut bad_token).ok()?;
            count += 1;
            rest = behind;
        }
        if !rest.starts_with(b"\r\n") || bad_token.is_some() || count > WORDS_LIMIT - 2 {
            return None;
        }
        let length = rest.as_ptr().addr() - behind_key.as_ptr().addr();
        let (words, behind) = behind_key.split_at(length);
        flags.words = Words::new(words);
        Some((flags, &behind[2..]))
    }

    /// Notes a flag. An error ends the reading; a bad token does not.
    fn take(
        &mut self,
        word: &[u8],
        bad_token: &mut Option<&'static [u8]>,
    ) -> Result<(), &'static [u8]> {
        let (letter, token) = (word[0], &word[1..]);
        if letter.is_ascii_digit() {
            return Err(reply::INVALID_FLAG);
        }
        if self.has(letter) {
            return Err(reply::DUPLICATE_FLAG);
        }
        self.letters |= bit(letter);
        match check_token(letter, token) {
            Ok(()) => {}
            Err(reply::INVALID_FLAG) => return Err(reply::INVALID_FLAG),
            // memcached has no text of its own for this one.
            Err(bad) if letter == b'F' => _ = bad_token.get_or_insert(bad),
            Err(bad) => *bad_token = Some(bad),
        }
        Ok(())
    }

    /// Reads the words behind the key of `me`: only those that concern the key; others are ignored.
    pub(super) fn read_for_key(words: Words<'a>) -> Result<MetaFlags<'a>, &'static [u8]> {
        let mut flags = MetaFlags::none(words);
        for word in words {
            if !is_flag(word) {
                return Err(reply::BAD_FORMAT);
            }
            if word == b"b" || separator(word).is_some() {
                flags.letters |= bit(word[0]);
            }
        }
        Ok(flags)
    }

    fn none(words: Words<'a>) -> MetaFlags<'a> {
        MetaFlags { words, letters: 0 }
    }

    /// Whether a flag is there.
    #[inline]
    pub fn has(&self, letter: u8) -> bool {
        self.letters & bit(letter) != 0
    }

    /// Whether one of these flags is there.
    #[inline]
    pub(crate) fn has_any(&self, letters: &[u8]) -> bool {
        self.letters & bits(letters) != 0
    }

    /// The text behind the letter of a flag, if the flag is there.
    fn token(&self, letter: u8) -> Option<&'a [u8]> {
        if !self.has(letter) {
            return None;
        }
        let mut words = self.words;
        words.find(|word| word[0] == letter).map(|word| &word[1..])
    }

    /// The flags in the order of the line; replies are in that order, too.
    pub fn words(&self) -> Words<'a> {
        self.words
    }

    /// `T`: the expiration time.
    pub fn exptime(&self) -> Option<i32> {
        self.token(b'T').and_then(number::strict_i32)
    }

    /// `N`: the expiration time of an item that is made because there is none.
    pub fn vivify(&self) -> Option<i32> {
        self.token(b'N').and_then(number::strict_i32)
    }

    /// `R`: the time to live below which the client is to store the item anew.
    pub fn recache(&self) -> Option<i32> {
        self.token(b'R').and_then(number::strict_i32)
    }

    /// `F`: the client's flags.
    pub fn client_flags(&self) -> u32 {
        self.token(b'F').and_then(number::strict_u32).unwrap_or(0)
    }

    /// `C`: the cas unique that the item must have.
    pub fn expected(&self) -> Option<u64> {
        self.token(b'C').and_then(number::strict_u64)
    }

    /// `E`: the cas unique that the item gets.
    pub fn new_cas(&self) -> Option<u64> {
        self.token(b'E').and_then(number::strict_u64)
    }

    /// `D`: the amount of `ma`.
    pub fn delta(&self) -> u64 {
        self.token(b'D').and_then(number::strict_u64).unwrap_or(1)
    }

    /// `J`: the number that `ma` stores if there is none.
    pub fn initial(&self) -> u64 {
        self.token(b'J').and_then(number::strict_u64).unwrap_or(0)
    }

    /// `M`: the first byte of the mode; a space if there is none.
    pub fn mode(&self) -> Option<u8> {
        let token = self.token(b'M')?;
        Some(token.first().copied().unwrap_or(b' '))
    }

    /// `n`, which only larder has: the byte between the names of a nested key.
    pub fn separator(&self) -> Option<u8> {
        let mut words = self.words;
        match self.has(b'n') {
            true => words.find_map(separator),
            false => None,
        }
    }

    /// `P`: the mark of a peer, perhaps.
    pub(crate) fn mark(&self) -> Option<&'a [u8]> {
        self.token(b'P')
    }

    /// Whether there are only flags of these letters.
    pub(crate) fn are_among(&self, letters: &[u8]) -> bool {
        self.letters & !bits(letters) == 0
    }

    /// Whether both flags are there, `first` before `second`.
    pub fn are_ordered(&self, first: u8, second: u8) -> bool {
        if !self.has(first) || !self.has(second) {
            return false;
        }
        let mut letters = self.words.map(|word| word[0]);
        letters.find(|letter| [first, second].contains(letter)) == Some(first)
    }

    /// Whether the opaque is too long to be repeated.
    pub(super) fn has_long_opaque(&self) -> bool {
        let mut words = self.words;
        self.has(b'O') && words.any(|word| word[0] == b'O' && word.len() > OPAQUE_LIMIT)
    }
}

/// Checks the text behind the letter of a flag.
fn check_token(letter: u8, token: &[u8]) -> Result<(), &'static [u8]> {
    let (is_read, error) = match letter {
        b'b' | b'O' | b'P' | b'L' | b'k' | b's' | b't' | b'c' | b'f' | b'v' | b'h' | b'l'
        | b'u' | b'q' | b'x' | b'I' | b'M' => return Ok(()),
        b'T' | b'N' | b'R' => (number::strict_i32(token).is_some(), reply::BAD_TOKEN),
        b'C' | b'E' => (number::strict_u64(token).is_some(), reply::BAD_TOKEN),
        b'D' => (number::strict_u64(token).is_some(), reply::BAD_META_DELTA),
        b'J' => (number::strict_u64(token).is_some(), reply::BAD_META_INITIAL),
        b'F' => (number::strict_u32(token).is_some(), reply::BAD_FORMAT),
        // larder's own: keys are paths.
        b'n' => (token.len() == 1, reply::INVALID_FLAG),
        _ => (false, reply::INVALID_FLAG),
    };
    is_read.then_some(()).ok_or(error)
}

/// The byte between the names of a nested key, if the word is the flag that has it.
fn separator(word: &[u8]) -> Option<u8> {
    match *word {
        [b'n', separator] => Some(separator),
        _ => None,
    }
}

/// Whether memcached's tokenizer takes the first byte of a flag: a digit, or a byte from `A` to `z`. A line with any
/// other is malformed.
pub(crate) fn is_flag(word: &[u8]) -> bool {
    matches!(word[0], b'0'..=b'9' | b'A'..=b'z')
}

/// Whether it suppresses replies.
pub(crate) fn is_quiet(word: &[u8]) -> bool {
    word[0] == b'q'
}

/// Whether the key is sent in base64.
pub(crate) fn is_base64(word: &[u8]) -> bool {
    word[0] == b'b'
}

/// Whether a `mg` with it may make an item or change one.
pub(crate) fn changes_item(word: &[u8]) -> bool {
    matches!(word[0], b'N' | b'R' | b'T')
}

/// Whether the reply repeats it, with the key or the opaque, even if there is no item.
pub(crate) fn is_repeated(word: &[u8]) -> bool {
    matches!(word[0], b'k' | b'O' | b'b')
}

/// Whether a flag of this letter needs no token.
fn is_bare(letter: u8) -> bool {
    const BARE: u64 = bits(b"bcfhklqstuvx");
    letter.is_ascii_lowercase() && BARE & bit(letter) != 0
}

const fn bits(letters: &[u8]) -> u64 {
    let (mut bits, mut at) = (0, 0);
    while at < letters.len() {
        bits |= bit(letters[at]);
        at += 1;
    }
    bits
}

/// The bit of a byte from `A` to `z`.
const fn bit(letter: u8) -> u64 {
    1 << (letter.wrapping_sub(b'A') & 0x3f)
}
