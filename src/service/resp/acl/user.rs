//! A user: name, passwords and permissions.

use std::sync::Arc;

use super::passwords::Passwords;
use super::permissions::Permissions;

/// The user of a client that has not named another.
pub(crate) const DEFAULT: &[u8] = b"default";

/// A user. It never changes; a change puts another in its place.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) name: Arc<[u8]>,
    /// Clients can authenticate as this user.
    pub(crate) enabled: bool,
    /// Redis's `sanitize-payload`, about RESTORE, which larder doesn't have. It is shown if it was set.
    pub(crate) sanitize: Option<bool>,
    pub(crate) passwords: Passwords,
    /// Each on its own may allow a command. The first is the user's own, the others are in parentheses.
    pub(crate) permissions: Vec<Permissions>,
}

impl User {
    /// A user that can do nothing.
    pub(crate) fn new(name: &[u8]) -> User {
        User {
            name: name.into(),
            enabled: false,
            sanitize: None,
            passwords: Passwords::default(),
            permissions: vec![Permissions::none()],
        }
    }

    /// The default user of a server without passwords.
    pub(crate) fn unrestricted() -> User {
        User {
            enabled: true,
            passwords: Passwords::any(),
            permissions: vec![Permissions::all()],
            ..User::new(DEFAULT)
        }
    }

    /// Whether a client can be this user without a password.
    pub(crate) fn is_open(&self) -> bool {
        self.enabled && self.passwords.are_any()
    }

    /// Whether no command needs a check.
    pub(crate) fn may_do_everything(&self) -> bool {
        let own = &self.permissions[0];
        own.all_commands && own.all_keys
    }

    /// The permissions outside of parentheses.
    pub(crate) fn own_permissions(&mut self) -> &mut Permissions {
        &mut self.permissions[0]
    }
}
