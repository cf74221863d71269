//! The words of a meta request: its key and its flags.

use super::base64::base64;
use super::requests::PATHS;
use super::uniques::number;

/// The flags of a meta command, in their order.
pub(super) struct Flags<'a>(pub(super) &'a [&'a str]);

impl<'a> Flags<'a> {
    /// The text behind a flag's letter; `None` if the request doesn't have the flag.
    pub(super) fn get(&self, letter: &str) -> Option<&'a str> {
        self.0.iter().find_map(|flag| flag.strip_prefix(letter))
    }

    pub(super) fn has(&self, letter: &str) -> bool {
        self.get(letter).is_some()
    }

    pub(super) fn number(&self, letter: &str) -> Option<u64> {
        self.get(letter).map(number)
    }

    pub(super) fn exptime(&self, letter: &str) -> Option<i64> {
        self.get(letter)
            .map(|time| time.parse().unwrap_or_default())
    }
}

/// The key of a request: its path, and its form in replies.
pub(super) struct Key {
    pub(super) path: String,
    is_base64: bool,
}

impl Key {
    /// The key as the flag `k` of a reply.
    pub(super) fn shown(&self, is_base64: bool) -> String {
        let key = self.path.replace(' ', "/");
        match is_base64 {
            true => format!(" k{} b", base64(key.as_bytes())),
            false => format!(" k{key}"),
        }
    }

    /// A flag of the request that replies repeat; empty for others.
    pub(super) fn repeated(&self, flag: &str) -> String {
        match &flag[..1] {
            "O" => format!(" {flag}"),
            "k" => self.shown(self.is_base64),
            _ => String::new(),
        }
    }

    /// A reply with a code and the repeated flags alone.
    pub(super) fn answer(&self, code: &str, flags: &Flags<'_>) -> Vec<u8> {
        let repeated: String = flags.0.iter().map(|flag| self.repeated(flag)).collect();
        format!("{code}{repeated}\r\n").into()
    }
}

/// The path of a key in base64, with slashes: one of those that requests have.
fn decoded(text: &str) -> String {
    let mut paths = PATHS.iter().map(|path| path.replace(' ', "/"));
    let found = paths.find(|path| base64(path.as_bytes()) == text);
    found.expect("requests have these paths")
}

/// The key and the flags of a request, which has the length of its value between them.
pub(super) fn key_and_flags<'a>(words: &'a [&'a str], has_value: bool) -> (Key, Flags<'a>) {
    let first = 2 + usize::from(has_value);
    let flags = Flags(words.get(first..).unwrap_or_default());
    let sent = words.get(1).copied().unwrap_or_default();
    let is_base64 = flags.has("b");
    let path = match is_base64 {
        true => decoded(sent),
        false => sent.to_owned(),
    };
    let path = path.replace('/', " ");
    (Key { path, is_base64 }, flags)
}
