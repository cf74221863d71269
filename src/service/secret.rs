//! Passwords in memory: hashes that are compared in constant time, and a text that isn't shown.
//!
//! A password that a client gives is hashed with SHA-256, as Redis does, and the hashes are compared in a time that
//! doesn't depend on their bytes. The time to hash depends on the length of the client's own password only.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The SHA-256 hash of a password.
#[derive(Clone, Copy)]
pub(crate) struct PasswordHash([u8; 32]);

impl PasswordHash {
    pub(crate) fn of(password: &[u8]) -> PasswordHash {
        PasswordHash(Sha256::digest(password).into())
    }

    /// Whether both are of the same password, in constant time.
    pub(crate) fn matches(&self, other: &PasswordHash) -> Choice {
        self.0.ct_eq(&other.0)
    }

    /// Whether this is the hash of one of the passwords. It looks at all of them.
    pub(crate) fn is_among(&self, passwords: &[PasswordHash]) -> bool {
        let found = |found: Choice, one: &PasswordHash| found | self.matches(one);
        passwords.iter().fold(Choice::from(0), found).into()
    }

    /// The hash that 64 lower-case hexadecimal digits spell.
    pub(crate) fn from_hex(digits: &[u8]) -> Option<PasswordHash> {
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(PasswordHash(hash))
    }

    /// The hash as 64 hexadecimal digits.
    pub(crate) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(not shown)")
    }
}

/// A password as text. Its `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// The text.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Secret {
    fn from(text: &[u8]) -> Secret {
        Secret(text.into())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text.into_bytes().into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_redis_s_and_reads_back() {
        let hash = PasswordHash::of(b"passwd1");
        assert_eq!(
            hash.hex(),
            "3b1d7e9a7c37141350fb473fa099b8b18030cde1909f363e3758e52d4ea1a7b4"
        );
        let again = PasswordHash::from_hex(hash.hex().as_bytes()).expect("hexadecimal digits");
        assert!(again.is_among(&[PasswordHash::of(b"other"), hash]));
        assert!(!again.is_among(&[PasswordHash::of(b"other")]));
        assert!(!again.is_among(&[]));
    }

    #[test]
    fn equal_passwords_match_and_others_do_not() {
        let one = PasswordHash::of(b"sesame");
        for (other, expected) in [
            ("sesame", true),
            ("sesam", false),
            ("Sesame", false),
            ("", false),
        ] {
            let matches: bool = one.matches(&PasswordHash::of(other.as_bytes())).into();
            assert_eq!(matches, expected, "{other}");
        }
    }

    #[test]
    fn other_texts_are_no_hash() {
        let digits = PasswordHash::of(b"a").hex();
        for wrong in [&digits[1..], &digits.to_uppercase(), &"g".repeat(64), ""] {
            assert!(
                PasswordHash::from_hex(wrong.as_bytes()).is_none(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let secret = Secret::from("sesame".to_owned());
        let shown = format!("{secret:?} {:?}", PasswordHash::of(b"sesame"));
        assert!(!shown.contains("sesame"), "{shown}");
        assert!(
            !shown.contains(&PasswordHash::of(b"sesame").hex()),
            "{shown}"
        );
    }
}
