//! The flags of a meta command: words behind the key, each a letter and perhaps a token.

use crate::protocol::memcached::text::words::Words;
use crate::protocol::memcached::text::{number, reply};

/// Most words of a line, as in memcached (`MFLAG_MAX_OPT_LENGTH`): the verb, the key and the length of a value
/// included. More are refused.
const WORDS_LIMIT: usize = 20;

/// Most bytes of an opaque, its `O` included, as in memcached (`MFLAG_MAX_OPAQUE_LENGTH`).
const OPAQUE_LIMIT: usize = 32;

/// The flags of one command, checked and read. A flag that has no meaning for the command is ignored, as in memcached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetaFlags<'a> {
    words: Words<'a>,
    /// A bit for each letter from `A` on.
    letters: u64,
    exptime: i32,
    vivify: i32,
    recache: i32,
    /// `F`: the client's flags.
    pub client_flags: u32,
    expected: u64,
    new_cas: u64,
    /// `D`: the amount of `ma`.
    pub delta: u64,
    /// `J`: the number that `ma` stores if there is none.
    pub initial: u64,
    mode: u8,
    separator: u8,
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
        match self.token(letter, token) {
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
            if word == b"b" || word[0] == b'n' && flags.token(b'n', &word[1..]).is_ok() {
                flags.letters |= bit(word[0]);
            }
        }
        Ok(flags)
    }

    fn none(words: Words<'a>) -> MetaFlags<'a> {
        MetaFlags {
            words,
            letters: 0,
            exptime: 0,
            vivify: 0,
            recache: 0,
            client_flags: 0,
            expected: 0,
            new_cas: 0,
            delta: 1,
            initial: 0,
            mode: 0,
            separator: 0,
        }
    }

    fn token(&mut self, letter: u8, token: &[u8]) -> Result<(), &'static [u8]> {
        let signed = || number::strict_i32(token).ok_or(reply::BAD_TOKEN);
        let unsigned = || number::strict_u64(token).ok_or(reply::BAD_TOKEN);
        match letter {
            b'T' => self.exptime = signed()?,
            b'N' => self.vivify = signed()?,
            b'R' => self.recache = signed()?,
            b'C' => self.expected = unsigned()?,
            b'E' => self.new_cas = unsigned()?,
            b'D' => self.delta = unsigned().map_err(|_| reply::BAD_META_DELTA)?,
            b'J' => self.initial = unsigned().map_err(|_| reply::BAD_META_INITIAL)?,
            b'F' => self.client_flags = number::strict_u32(token).ok_or(reply::BAD_FORMAT)?,
            b'M' => self.mode = token.first().copied().unwrap_or(b' '),
            // larder's own: keys are paths.
            b'n' if token.len() == 1 => self.separator = token[0],
            b'b' | b'O' | b'P' | b'L' | b'k' | b's' | b't' | b'c' | b'f' | b'v' | b'h' | b'l'
            | b'u' | b'q' | b'x' | b'I' => {}
            _ => return Err(reply::INVALID_FLAG),
        }
        Ok(())
    }

    /// Whether a flag is there.
    #[inline]
    pub fn has(&self, letter: u8) -> bool {
        self.letters & bit(letter) != 0
    }

    fn token_of<T>(&self, letter: u8, token: T) -> Option<T> {
        self.has(letter).then_some(token)
    }

    /// The flags in the order of the line; replies are in that order, too.
    pub fn words(&self) -> Words<'a> {
        self.words
    }

    /// `T`: the expiration time.
    pub fn exptime(&self) -> Option<i32> {
        self.token_of(b'T', self.exptime)
    }

    /// `N`: the expiration time of an item that is made because there is none.
    pub fn vivify(&self) -> Option<i32> {
        self.token_of(b'N', self.vivify)
    }

    /// `R`: the time to live below which the client is to store the item anew.
    pub fn recache(&self) -> Option<i32> {
        self.token_of(b'R', self.recache)
    }

    /// `C`: the cas unique that the item must have.
    pub fn expected(&self) -> Option<u64> {
        self.token_of(b'C', self.expected)
    }

    /// `E`: the cas unique that the item gets.
    pub fn new_cas(&self) -> Option<u64> {
        self.token_of(b'E', self.new_cas)
    }

    /// `M`: the first byte of the mode; a space if there is none.
    pub fn mode(&self) -> Option<u8> {
        self.token_of(b'M', self.mode)
    }

    /// `n`, which only larder has: the byte between the names of a nested key.
    pub fn separator(&self) -> Option<u8> {
        self.token_of(b'n', self.separator)
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

/// The bit of a byte from `A` to `z`.
fn bit(letter: u8) -> u64 {
    1 << (letter.wrapping_sub(b'A') & 0x3f)
}
