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
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(not shown)")
    }
}

/// A password as text. Its `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
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
    fn passwords_are_not_shown() {
        let secret = Secret::from("sesame".to_owned());
        let shown = format!("{secret:?} {:?}", PasswordHash::of(b"sesame"));
        assert!(!shown.contains("sesame"), "{shown}");
    }
}
