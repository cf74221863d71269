//! The state of one client between its commands, and the registry of all clients.
//!
//! The state is small, because memory holds ten thousand idle clients. Parts that few clients have (a
//! transaction, watched keys) are boxed. Parts that other clients may ask for (name, database, last
//! command) are in a [`ClientInfo`], which the registry shares.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::acl::user::User;
use super::acl::users::Users;
use super::command_queue::CommandQueue;
use crate::server::Connection;
use crate::store::{Store, Watcher};

/// The part of a client's state that other clients see: a line of `CLIENT LIST`.
pub(crate) struct ClientInfo {
    /// Rises from 1 with every client of this service.
    pub id: u64,
    pub connection: Arc<Connection>,
    pub db: AtomicU8,
    pub resp3: AtomicBool,
    /// Position of the last command in the table; `u16::MAX` before the first.
    pub command: AtomicU16,
    /// Commands queued; -1 outside of MULTI.
    pub queued: AtomicI32,
    /// Watches keys.
    pub watching: AtomicBool,
    pub no_evict: AtomicBool,
    /// Sees the commands of all clients.
    pub monitors: AtomicBool,
    /// CLIENT KILL has chosen this client; its connection is about to be closed.
    pub killed: AtomicBool,
    /// No other lock is taken while this one is held.
    names: Mutex<Names>,
}

/// The names of a client.
struct Names {
    /// Set by CLIENT SETNAME.
    own: Option<Box<[u8]>>,
    /// The user that it has authenticated as.
    user: Arc<User>,
}

impl ClientInfo {
    /// The name, empty when there is none.
    pub(crate) fn name(&self) -> Vec<u8> {
        self.names().own.as_deref().unwrap_or_default().to_vec()
    }

    pub(crate) fn set_name(&self, name: &[u8]) {
        self.names().own = (!name.is_empty()).then(|| name.into());
    }

    /// For tests: a client without a socket, as the default user.
    #[cfg(test)]
    pub(super) fn detached() -> Arc<ClientInfo> {
        let connection = Arc::new(Connection::detached());
        ClientRegistry::default().register(connection, Users::new(None).default_user())
    }

    /// The name of the client's user.
    pub(crate) fn user(&self) -> Arc<[u8]> {
        Arc::clone(&self.names().user.name)
    }

    fn set_user(&self, user: &Arc<User>) {
        self.names().user = Arc::clone(user);
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every client of a service, by its number.
#[derive(Default)]
pub(crate) struct ClientRegistry {
    last: AtomicU64,
    /// The lock guards membership only; each client's fields are atomic or have a lock of their own.
    members: Mutex<BTreeMap<u64, Arc<ClientInfo>>>,
}

impl ClientRegistry {
    /// Registers a client.
    pub(crate) fn register(&self, connection: Arc<Connection>, user: Arc<User>) -> Arc<ClientInfo> {
        let id = self.last.fetch_add(1, Relaxed) + 1;
        let info = Arc::new(ClientInfo {
            id,
            connection,
            db: AtomicU8::new(0),
            resp3: AtomicBool::new(false),
            command: AtomicU16::new(u16::MAX),
            queued: AtomicI32::new(-1),
            watching: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            monitors: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            names: Mutex::new(Names { own: None, user }),
        });
        self.members().insert(id, Arc::clone(&info));
        info
    }

    pub(crate) fn unregister(&self, id: u64) {
        self.members().remove(&id);
    }

    /// All clients, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<ClientInfo>> {
        self.members().values().cloned().collect()
    }

    /// The client with this number.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<ClientInfo>> {
        self.members().get(&id).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.members().len()
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<ClientInfo>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client has not authenticated yet.
pub(crate) const UNAUTHENTICATED: u16 = 1 << 0;
/// Between MULTI and EXEC.
pub(crate) const MULTI: u16 = 1 << 1;
/// CLIENT REPLY OFF.
pub(crate) const REPLY_OFF: u16 = 1 << 2;
/// CLIENT REPLY SKIP: the next command's reply is dropped.
pub(crate) const REPLY_SKIP_NEXT: u16 = 1 << 3;
/// This command's reply is dropped.
pub(crate) const REPLY_SKIP: u16 = 1 << 4;
/// EXEC has dropped the parts of its reply that CLIENT REPLY asks to drop.
pub(crate) const REPLY_FILTERED: u16 = 1 << 6;
/// Close the connection when the reply is written.
pub(crate) const CLOSE: u16 = 1 << 5;
/// The user may not run every command with every key.
pub(crate) const RESTRICTED: u16 = 1 << 7;
/// MONITOR: the client gets lines about the commands of all clients.
pub(crate) const MONITORS: u16 = 1 << 10;
/// The client needed a password when it connected, and has given none.
const NO_PASSWORD_GIVEN: u16 = 1 << 9;
/// The password that the client gave was wrong: the answer waits.
pub(crate) const WRONG_PASSWORD: u16 = 1 << 8;

/// One client's state, owned by its session.
pub(crate) struct ClientState {
    pub info: Arc<ClientInfo>,
    db: u8,
    resp3: bool,
    /// The modes that this client is in; 0 for nearly all clients, which is all that the hot path
    /// checks.
    pub mode: u16,
    user: Arc<User>,
    /// The version of the users that `user` and `mode` follow from.
    users_version: u32,
    transaction: Option<Box<Transaction>>,
}

/// The state that only clients with a transaction or watched keys have.
#[derive(Default)]
pub(crate) struct Transaction {
    /// Commands between MULTI and EXEC.
    pub queue: CommandQueue,
    pub watcher: Watcher,
    /// Bytes that the watched keys take.
    pub watched_bytes: usize,
}

impl ClientState {
    pub(crate) fn new(info: Arc<ClientInfo>, users: &Users) -> ClientState {
        let mut client = ClientState {
            info,
            db: 0,
            resp3: false,
            mode: 0,
            user: users.default_user(),
            users_version: 0,
            transaction: None,
        };
        client.forget_user(users);
        client
    }

    /// The user that the client has authenticated as.
    pub(crate) fn user(&self) -> &Arc<User> {
        &self.user
    }

    /// Makes the client another user.
    pub(crate) fn become_user(&mut self, user: Arc<User>, users: &Users) {
        self.info.set_user(&user);
        self.user = user;
        self.set(NO_PASSWORD_GIVEN, false);
        self.read_user(users);
    }

    /// Makes the client the default user, as it was when it connected.
    pub(crate) fn forget_user(&mut self, users: &Users) {
        self.user = users.default_user();
        self.set(NO_PASSWORD_GIVEN, !self.user.is_open());
        self.info.set_user(&self.user);
        self.read_user(users);
    }

    /// Takes over changes of the users since the last call.
    #[inline]
    pub(crate) fn refresh_user(&mut self, users: &Users) {
        if self.users_version != users.version() {
            self.read_user(users);
        }
    }

    #[cold]
    fn read_user(&mut self, users: &Users) {
        // The version first: if a change comes meanwhile, it is read with the next call.
        self.users_version = users.version();
        match users.get(&self.user.name) {
            Some(user) => self.user = user,
            None => {
                self.set(NO_PASSWORD_GIVEN, true);
                self.set(CLOSE, true);
            }
        }
        let open = users.default_user().is_open();
        self.set(UNAUTHENTICATED, self.is(NO_PASSWORD_GIVEN) && !open);
        self.set(RESTRICTED, !self.user.may_do_everything());
    }

    /// The selected database.
    #[inline]
    pub(crate) fn db(&self) -> u8 {
        self.db
    }

    pub(crate) fn select(&mut self, db: u8) {
        self.db = db;
        self.info.db.store(db, Relaxed);
    }

    /// Whether HELLO has chosen RESP3.
    #[inline]
    pub(crate) fn resp3(&self) -> bool {
        self.resp3
    }

    pub(crate) fn set_resp3(&mut self, resp3: bool) {
        self.resp3 = resp3;
        self.info.resp3.store(resp3, Relaxed);
    }

    #[inline]
    pub(crate) fn is(&self, mode: u16) -> bool {
        self.mode & mode != 0
    }

    /// Whether CLIENT REPLY has asked to drop the present reply.
    pub(crate) fn drops_reply(&self) -> bool {
        self.is(REPLY_OFF | REPLY_SKIP)
    }

    pub(crate) fn set(&mut self, mode: u16, on: bool) {
        if on {
            self.mode |= mode;
        } else {
            self.mode &= !mode;
        }
    }

    /// Whether EXEC must not run the queue: a command was refused.
    pub(crate) fn is_spoiled(&self) -> bool {
        self.transaction
            .as_ref()
            .is_some_and(|own| own.queue.spoiled)
    }

    /// Whether EXEC must not run the queue: a watched key has changed.
    pub(crate) fn has_changed_keys(&self, store: &Store) -> bool {
        let transaction = self.transaction.as_ref();
        transaction.is_some_and(|own| store.has_changed(&own.watcher))
    }

    pub(crate) fn transaction(&mut self) -> &mut Transaction {
        self.transaction.get_or_insert_default()
    }

    /// Ends the watches.
    pub(crate) fn unwatch(&mut self, store: &Store) {
        if let Some(transaction) = &mut self.transaction {
            store.unwatch(&mut transaction.watcher);
            transaction.watched_bytes = 0;
        }
        self.info.watching.store(false, Relaxed);
    }

    /// Ends the watches and takes the queue, which ends a transaction.
    pub(crate) fn end_transaction(&mut self, store: &Store) -> CommandQueue {
        self.unwatch(store);
        self.set(MULTI, false);
        self.info.queued.store(-1, Relaxed);
        self.transaction
            .take()
            .map(|own| own.queue)
            .unwrap_or_default()
    }
}
