//! All users, shared by the sessions.
//!
//! Cost: a change takes the lock and raises the version. Sessions compare the version once a turn, and take the lock only
//! if it has changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::log_entries::AclLog;
use super::user::{DEFAULT, User};
use crate::service::secret::{PasswordHash, Secret};

/// Users by their names.
pub(crate) type UserMap = BTreeMap<Arc<[u8]>, Arc<User>>;

/// All users.
pub(crate) struct Users {
    /// Raised after each change of the users. It would take four thousand million changes between two turns to miss one.
    version: AtomicU32,
    inner: Mutex<Inner>,
    /// The file of ACL LOAD and ACL SAVE.
    pub(crate) file: OnceLock<PathBuf>,
    pub(crate) log: AclLog,
}

struct Inner {
    users: UserMap,
    /// The text that CONFIG GET requirepass returns. As in Redis, ACL SETUSER doesn't change it.
    default_password: Option<Secret>,
}

impl Users {
    /// The default user alone, with this password.
    pub(crate) fn new(password: Option<Secret>) -> Users {
        let users = Users {
            version: AtomicU32::new(0),
            inner: Mutex::new(Inner {
                users: BTreeMap::new(),
                default_password: None,
            }),
            file: OnceLock::new(),
            log: AclLog::default(),
        };
        users.replace(BTreeMap::new());
        users.set_default_password(password);
        users
    }

    /// A number that rises with every change.
    #[inline]
    pub(crate) fn version(&self) -> u32 {
        self.version.load(Acquire)
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<Arc<User>> {
        self.locked().users.get(name).cloned()
    }

    /// The user of clients that have not named another.
    pub(crate) fn default_user(&self) -> Arc<User> {
        self.get(DEFAULT).expect("it can't be removed")
    }

    /// All users, in the order of their names.
    pub(crate) fn all(&self) -> Vec<Arc<User>> {
        self.locked().users.values().cloned().collect()
    }

    /// Changes a user, or a new one of this name. After an error nothing has changed.
    pub(crate) fn change<E>(
        &self,
        name: &[u8],
        change: impl FnOnce(&mut User) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut inner = self.locked();
        let old = inner.users.get(name);
        let mut user = old.map_or_else(|| User::new(name), |user| User::clone(user));
        change(&mut user)?;
        inner.users.insert(Arc::clone(&user.name), Arc::new(user));
        self.changed();
        Ok(())
    }

    /// Removes a user; `false` if there is none.
    pub(crate) fn remove(&self, name: &[u8]) -> bool {
        let mut inner = self.locked();
        let removed = inner.users.remove(name).is_some();
        self.changed();
        removed
    }

    /// Puts other users in the place of all. If the default user is not among them, it may do everything.
    pub(crate) fn replace(&self, mut users: UserMap) {
        users
            .entry(DEFAULT.into())
            .or_insert_with(|| Arc::new(User::unrestricted()));
        let mut inner = self.locked();
        inner.users = users;
        self.changed();
    }

    /// The user if the password is right. It takes the same time to find that a user is missing.
    pub(crate) fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
        let hash = PasswordHash::of(password);
        let user = self.get(name)?;
        (user.passwords.accept(hash) & user.enabled).then_some(user)
    }

    /// The password that was set by CONFIG SET requirepass or at the start.
    pub(crate) fn default_password(&self) -> Option<Secret> {
        self.locked().default_password.clone()
    }

    /// Sets the one password of the default user; `None` for no password.
    pub(crate) fn set_default_password(&self, password: Option<Secret>) {
        let mut inner = self.locked();
        let mut user = User::clone(&inner.users[DEFAULT]);
        user.passwords = super::passwords::Passwords::any();
        if let Some(password) = &password {
            user.passwords.add(PasswordHash::of(password.expose()));
        }
        inner.users.insert(Arc::clone(&user.name), Arc::new(user));
        inner.default_password = password;
        self.changed();
    }

    fn changed(&self) {
        self.version.fetch_add(1, AcqRel);
    }

    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
