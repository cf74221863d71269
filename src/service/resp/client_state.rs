//! The state of one client between its commands.
//!
//! The state is small, because memory holds ten thousand idle clients. Parts that few clients have (a
//! transaction, watched keys) are boxed. Parts that other clients may ask for (name, database, last
//! command) are in a [`ClientInfo`], which the registry of clients shares.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::acl::user::User;
use super::acl::users::Users;
use super::client_info::{ClientInfo, shown};
use super::command_queue::CommandQueue;
use crate::server::Next;
use crate::store::{Store, WatchLook, Watcher};

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
    /// The modes of this client. For nearly all clients it is 0, and that is the only check on the path of every command.
    pub mode: u16,
    user: Arc<User>,
    /// The version of the users that `user` and `mode` follow from.
    users_version: u32,
    transaction: Option<Box<Transaction>>,
}

/// The state of a client with a transaction or watched keys.
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

    /// A turn begins, on so many bytes of input.
    #[inline]
    pub(crate) fn begin_turn(&mut self, output: usize, input: usize) {
        self.info.turn_start.store(shown(output), Relaxed);
        self.info.turn_input.store(shown(input), Relaxed);
    }

    /// A turn has ended, before its client has been asked to monitor.
    #[inline]
    pub(crate) fn end_turn(&mut self, next: Next) {
        self.info.turn_input.store(0, Relaxed);
        // A client whose session tries its command again and again stays blocked meanwhile.
        let blocked = matches!(next, Next::AwaitMemory | Next::Wait | Next::Later);
        if self.info.blocked.load(Relaxed) != blocked {
            self.info.blocked.store(blocked, Relaxed);
        }
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
        // The version is read first, so that the next call takes over a change that happens meanwhile.
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

    /// Whether EXEC must not run the queue: a watched key has changed. `None` if that is not known after this piece of the look.
    pub(crate) fn look_for_change(&self, store: &Store, look: &mut WatchLook) -> Option<bool> {
        match &self.transaction {
            Some(own) => store.look_for_change(&own.watcher, look),
            None => Some(false),
        }
    }

    pub(crate) fn transaction(&mut self) -> &mut Transaction {
        self.transaction.get_or_insert_default()
    }

    /// Shows other clients that this one watches keys, and the memory that they take.
    pub(crate) fn show_watches(&mut self) {
        let transaction = self.transaction();
        let (flag, bytes) = (transaction.watcher.flag(), transaction.watched_bytes);
        self.info.show_watches(flag, bytes);
    }

    /// Ends the watches.
    pub(crate) fn unwatch(&mut self, store: &Store) {
        if let Some(transaction) = &mut self.transaction {
            // This also ends the flag that other clients see.
            store.unwatch(&mut transaction.watcher);
            transaction.watched_bytes = 0;
        }
        self.info.watched_bytes.store(0, Relaxed);
        self.info.watching.store(false, Relaxed);
    }

    /// Ends the watches and takes the queue, which ends a transaction.
    pub(crate) fn end_transaction(&mut self, store: &Store) -> CommandQueue {
        self.unwatch(store);
        self.set(MULTI, false);
        self.info.show_queue(-1, 0);
        self.transaction
            .take()
            .map(|own| own.queue)
            .unwrap_or_default()
    }
}
