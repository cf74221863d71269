//! Redis's glob patterns, as KEYS, SCAN MATCH and HSCAN MATCH take them.
//!
//! `*` is any run of bytes, `?` one byte, `[abc]`, `[a-z]` and `[^a]` one byte of (or not of) a class, `\x` the byte
//! `x` itself. A class that is never closed ends with the pattern.
//!
//! Redis reads the pattern anew for every key and matches a `*` by recursion, which some patterns turn
//! into hours. Here a pattern is read once, a class into a set of bytes. A mismatch goes back to the
//! last `*` only. That is enough: the last one can take all bytes that the earlier ones could take. So
//! there is no recursion, matching allocates nothing, and its cost is at most the parts of the pattern
//! times the bytes of the text, a class counting as one part however long it is.
//!
//! No crate follows these rules: the known glob crates work on paths or on text, and differ in
//! classes and escapes. A translation to `regex` needs the same reading of the pattern, and a long
//! pattern exceeds its limits of size.

/// Whether `pattern` is `*` alone, which Redis doesn't even try to match: it also takes the empty
/// text.
pub(super) fn matches_everything(pattern: &[u8]) -> bool {
    pattern == b"*"
}

/// Whether the whole of `text` matches `pattern`; for a pattern that is used once.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    GlobPattern::new(pattern).matches(text)
}

/// A pattern, read.
#[derive(Debug)]
pub(super) struct GlobPattern {
    parts: Vec<PatternPart>,
    classes: Vec<ByteClass>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PatternPart {
    /// Any run of bytes.
    Star,
    /// Any byte.
    Any,
    Byte(u8),
    /// The number of a class.
    Class(u32),
}

/// A set of bytes.
#[derive(Debug, Clone, Copy, Default)]
struct ByteClass([u64; 4]);

impl ByteClass {
    fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    /// Reads the class whose content starts at `p`; also the position behind it.
    fn read(pattern: &[u8], mut p: usize) -> (ByteClass, usize) {
        let negated = pattern.get(p) == Some(&b'^');
        if negated {
            p += 1;
        }
        let mut class = ByteClass::default();
        loop {
            match pattern.get(p..).unwrap_or_default() {
                [] => break,
                [b'\\', escaped, ..] => {
                    class.insert(*escaped);
                    p += 2;
                }
                [b']', ..] => {
                    p += 1;
                    break;
                }
                [from, b'-', to, ..] => {
                    (*from.min(to)..=*from.max(to)).for_each(|byte| class.insert(byte));
                    p += 3;
                }
                [literal, ..] => {
                    class.insert(*literal);
                    p += 1;
                }
            }
        }
        if negated {
            class.0 = class.0.map(|bits| !bits);
        }
        (class, p)
    }
}

impl GlobPattern {
    /// Reads a pattern. Every sequence of bytes is one.
    pub(super) fn new(pattern: &[u8]) -> GlobPattern {
        let (mut parts, mut classes) = (Vec::new(), Vec::new());
        let mut p = 0;
        while let Some(&byte) = pattern.get(p) {
            p += 1;
            parts.push(match byte {
                b'*' if parts.last() == Some(&PatternPart::Star) => continue,
                b'*' => PatternPart::Star,
                b'?' => PatternPart::Any,
                b'[' => {
                    let (class, behind) = ByteClass::read(pattern, p);
                    p = behind;
                    classes.push(class);
                    PatternPart::Class(classes.len() as u32 - 1)
                }
                b'\\' if p < pattern.len() => {
                    p += 1;
                    PatternPart::Byte(pattern[p - 1])
                }
                literal => PatternPart::Byte(literal),
            });
        }
        GlobPattern { parts, classes }
    }

    /// Whether the whole of `text` matches.
    ///
    /// As in Redis, nothing but the empty pattern matches the empty text; see
    /// [`matches_everything`].
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        if text.is_empty() {
            return self.parts.is_empty();
        }
        let (mut p, mut t) = (0, 0);
        // The position to go back to after a mismatch: the part behind the last star, and the text
        // it was last tried at.
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            match self.parts.get(p) {
                Some(PatternPart::Star) => {
                    p += 1;
                    star = Some((p, t));
                }
                Some(part) if self.takes(*part, text[t]) => {
                    p += 1;
                    t += 1;
                }
                _ => {
                    let Some((behind, tried)) = star else {
                        return false;
                    };
                    star = Some((behind, tried + 1));
                    p = behind;
                    t = tried + 1;
                }
            }
        }
        self.parts[p..]
            .iter()
            .all(|part| *part == PatternPart::Star)
    }

    fn takes(&self, part: PatternPart, byte: u8) -> bool {
        match part {
            PatternPart::Star | PatternPart::Any => true,
            PatternPart::Byte(literal) => literal == byte,
            PatternPart::Class(number) => self.classes[number as usize].contains(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h*llo", "hllo", true),
            ("h[ae]llo", "hello", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("h[\\]]llo", "h]llo", true),
            ("h\\?llo", "h?llo", true),
            ("h\\?llo", "hello", false),
            ("hello\\", "hello\\", true),
            ("[abc", "b", true),
            ("[^", "x", true),
            ("[a-]", "]", true),
            ("a**", "a", true),
            ("*", "", false),
            ("", "", true),
            ("", "a", false),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxbxxcx", false),
        ] {
            let got = matches(pattern.as_bytes(), text.as_bytes());
            assert_eq!(got, expected, "{pattern:?} against {text:?}");
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_pattern_times_text() {
        let pattern = [b"a*".repeat(2_000), b"b".to_vec()].concat();
        assert!(!matches(&pattern, &b"a".repeat(10_000)));
    }

    #[test]
    fn a_long_class_costs_no_more_than_a_short_one() {
        let pattern = [b"*[", &b"a".repeat(1_000_000)[..], b"]b"].concat();
        assert!(!matches(&pattern, &b"a".repeat(1_000_000)));
    }

    /// Matches one byte against the part at `p`; the position behind it, or `None` for a mismatch.
    fn step(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
        match *pattern.get(p)? {
            b'?' => Some(p + 1),
            b'[' => class(pattern, p + 1, byte),
            b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte).then_some(p + 2),
            literal => (literal == byte).then_some(p + 1),
        }
    }

    /// Matches one byte against the class whose content starts at `p`.
    fn class(pattern: &[u8], mut p: usize, byte: u8) -> Option<usize> {
        let negated = pattern.get(p) == Some(&b'^');
        if negated {
            p += 1;
        }
        let mut found = false;
        loop {
            match pattern.get(p..).unwrap_or_default() {
                [] => break,
                [b'\\', escaped, ..] => {
                    found |= *escaped == byte;
                    p += 2;
                }
                [b']', ..] => {
                    p += 1;
                    break;
                }
                [from, b'-', to, ..] => {
                    found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                    p += 3;
                }
                [literal, ..] => {
                    found |= *literal == byte;
                    p += 1;
                }
            }
        }
        (found != negated).then_some(p)
    }

    /// The rule itself, by recursion: a star is tried with every length.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|taken| naive(rest, &text[taken..])),
            (_, []) => false,
            (_, [byte, rest @ ..]) => {
                step(pattern, 0, *byte).is_some_and(|p| naive(&pattern[p..], rest))
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_recursive_rule(pattern in "[ab*?\\[\\]^\\\\-]{0,8}", text in "[ab\\]-]{1,8}") {
            prop_assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                naive(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
