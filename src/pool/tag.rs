//! Hash tags: the part of a key that decides its placement.
//!
//! A client that wants keys on one server writes the same word in braces into them, `{user42}.name` and `{user42}.mail`.
//! The rule is that of Redis Cluster: the text between the first `{` and the first `}` behind it is hashed instead of
//! the key, unless it is empty.

use memchr::memchr;

/// The part of a key that is hashed.
pub(crate) fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = memchr(b'{', key) else {
        return key;
    };
    let inside = &key[open + 1..];
    match memchr(b'}', inside) {
        None | Some(0) => key,
        Some(close) => &inside[..close],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_braces_count_unless_they_are_empty() {
        for (key, hashed) in [
            ("", ""),
            ("user42", "user42"),
            ("{user42}.name", "user42"),
            ("a{b}c", "b"),
            ("a{}b{c}", "a{}b{c}"),
            ("a{{b}}c", "{b"),
            ("a{b}{c}", "b"),
            ("a{b", "a{b"),
            ("a}b{c}", "c"),
            ("}{", "}{"),
        ] {
            assert_eq!(tag(key.as_bytes()), hashed.as_bytes(), "{key}");
        }
    }
}
