//! A path as the one word that a meta command has for its key.

/// Bytes that may stand between the names, the usual ones first.
const SEPARATORS: &[u8] =
    b"/:|;,.!#$%&*+-=?@^_~abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// The key, and for a nested one the flag `n` with the byte between its names. `None` if a name is empty, or if there is no byte
/// that none of them has.
pub(super) fn path_word(names: &[Vec<u8>]) -> Option<(Vec<u8>, Option<String>)> {
    if let [name] = names {
        return Some((name.clone(), None));
    }
    if names.iter().any(Vec::is_empty) {
        return None;
    }
    let is_free = |byte: &&u8| !names.iter().any(|name| name.contains(*byte));
    let separator = *SEPARATORS.iter().find(is_free)?;
    let flag = format!("n{}", char::from(separator));
    Some((names.join(&separator), Some(flag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_is_in_none_of_the_names() {
        for (names, expected) in [
            (&["user"][..], Some(("user", None))),
            (&["user", "42"], Some(("user/42", Some("n/")))),
            (&["a/b", "c:d", "e"], Some(("a/b|c:d|e", Some("n|")))),
            (&["user", ""], None),
        ] {
            let names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
            let expected = expected.map(|(key, flag)| (key.into(), flag.map(str::to_owned)));
            assert_eq!(path_word(&names), expected);
        }
        assert_eq!(path_word(&[SEPARATORS.to_vec(), b"x".to_vec()]), None);
    }
}
