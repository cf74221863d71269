//! Redis's glob patterns, as KEYS, SCAN MATCH and HSCAN MATCH take them.
//!
//! `*` is any run of bytes, `?` one byte, `[abc]`, `[a-z]` and `[^a]` one byte of (or not of) a class, `\x` the byte
//! `x` itself. A class that is never closed ends with the pattern.
//!
//! Redis matches a `*` by recursion. Here a mismatch goes back to the last `*` only, which is enough: whatever the
//! earlier ones could take, the last one can take as well. So there is no recursion, no allocation, and the cost is
//! at most pattern × text, whatever the pattern.

/// Whether `pattern` is `*` alone, which Redis doesn't even try to match: it also takes the empty text.
pub(super) fn matches_everything(pattern: &[u8]) -> bool {
    pattern == b"*"
}

/// Whether the whole of `text` matches `pattern`.
///
/// As in Redis, nothing but the empty pattern matches the empty text; see [`matches_everything`].
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    // Where to go on after a mismatch: the pattern behind the last star, and the text it was last tried at.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
        } else if let Some(next) = step(pattern, p, text[t]) {
            p = next;
            t += 1;
        } else if let Some((behind, tried)) = star {
            star = Some((behind, tried + 1));
            p = behind;
            t = tried + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Matches one byte against what stands at `p`; the place behind it, or `None` for a mismatch.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_mean_what_they_mean_to_redis() {
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

    /// The rule itself, by recursion: what a star takes is tried in every length.
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
