//! The passwords of a user.

use crate::service::secret::PasswordHash;

/// The passwords of a user: hashes, or none at all.
#[derive(Clone, Default)]
pub(crate) struct Passwords {
    /// Any password is right.
    any: bool,
    hashes: Vec<PasswordHash>,
}

impl Passwords {
    /// Any password is right.
    pub(crate) fn any() -> Passwords {
        Passwords {
            any: true,
            hashes: Vec::new(),
        }
    }

    pub(crate) fn are_any(&self) -> bool {
        self.any
    }

    pub(crate) fn hashes(&self) -> &[PasswordHash] {
        &self.hashes
    }

    /// Adds a password, once.
    pub(crate) fn add(&mut self, hash: PasswordHash) {
        if !hash.is_among(&self.hashes) {
            self.hashes.push(hash);
        }
        self.any = false;
    }

    /// Removes a password; `false` if it is none.
    pub(crate) fn remove(&mut self, hash: PasswordHash) -> bool {
        let before = self.hashes.len();
        self.hashes.retain(|one| !bool::from(one.matches(&hash)));
        self.hashes.len() < before
    }

    /// Whether a password is right. The time to find that out does not depend on it.
    pub(crate) fn accept(&self, hash: PasswordHash) -> bool {
        hash.is_among(&self.hashes) | self.any
    }
}
