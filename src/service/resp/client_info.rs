//! The parts of the clients' states that other clients see, and the registry of all clients.
//!
//! A session changes its own [`ClientInfo`]. CLIENT LIST and its like read those of all clients.
//!
//! Cost: the registry's lock when a client connects and when it disconnects. A turn stores the length of its input twice, and a
//! command its number once.

use std::collections::BTreeMap;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::acl::user::User;
#[cfg(test)]
use super::acl::users::Users;
use crate::server::Connection;

/// A number of bytes in the form in which other clients see it. A request has at most 2 GiB.
pub(super) fn shown(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The command of a client that has sent none yet, or one that does not exist.
pub(super) const NO_COMMAND: u16 = u16::MAX;

/// The part of a client's state that other clients see: a line of `CLIENT LIST`.
pub(crate) struct ClientInfo {
    /// Rises from 1 with every client of this service.
    pub id: u64,
    pub connection: Arc<Connection>,
    pub db: AtomicU8,
    pub resp3: AtomicBool,
    /// The number of the last command in the table; [`NO_COMMAND`] without one.
    pub command: AtomicU16,
    /// Commands queued; -1 outside of MULTI.
    pub queued: AtomicI32,
    /// Memory of the commands queued.
    pub queued_bytes: AtomicU32,
    /// Whether the client watches keys.
    pub watching: AtomicBool,
    /// Memory of the watched keys.
    pub watched_bytes: AtomicU32,
    /// Memory of a large value that is being received.
    pub received_bytes: AtomicU32,
    /// Bytes of the input that the present turn began with; 0 between turns.
    pub turn_input: AtomicU32,
    /// The length of the worker's output before the turn.
    pub turn_start: AtomicU32,
    /// Whether the next command of the client waits: for the end of a pause, for the origin, or for memory for its reply.
    pub blocked: AtomicBool,
    pub no_evict: AtomicBool,
    /// Whether MONITOR shows it the commands of all clients.
    pub monitors: AtomicBool,
    /// Whether CLIENT KILL has selected this client. Its connection is about to be closed, and other clients no longer see it.
    pub killed: AtomicBool,
    /// No other lock is taken while this one is held.
    names: Mutex<Names>,
}

/// The names of a client, and the flag of its watched keys.
struct Names {
    /// Set by CLIENT SETNAME.
    own: Option<Box<[u8]>>,
    /// The user that it has authenticated as.
    user: Arc<User>,
    /// Set by the first change of a watched key.
    changed: Weak<AtomicBool>,
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

    /// Whether one of the watched keys has changed. An expired key counts from the time at which the store removes it.
    pub(crate) fn has_changed_keys(&self) -> bool {
        let changed = self.names().changed.upgrade();
        changed.is_some_and(|changed| changed.load(Relaxed))
    }

    /// Shows the commands that MULTI has queued: their number, -1 outside of one, and their memory.
    pub(super) fn show_queue(&self, commands: i32, bytes: usize) {
        self.queued.store(commands, Relaxed);
        self.queued_bytes.store(shown(bytes), Relaxed);
    }

    /// Shows the flag of the watched keys, and the memory that they take.
    pub(super) fn show_watches(&self, flag: Weak<AtomicBool>, bytes: usize) {
        self.names().changed = flag;
        self.watched_bytes.store(shown(bytes), Relaxed);
        self.watching.store(true, Relaxed);
    }

    pub(super) fn set_user(&self, user: &Arc<User>) {
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
            command: AtomicU16::new(NO_COMMAND),
            queued: AtomicI32::new(-1),
            queued_bytes: AtomicU32::new(0),
            watching: AtomicBool::new(false),
            watched_bytes: AtomicU32::new(0),
            received_bytes: AtomicU32::new(0),
            turn_input: AtomicU32::new(0),
            turn_start: AtomicU32::new(0),
            blocked: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            monitors: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            names: Mutex::new(Names {
                own: None,
                user,
                changed: Weak::new(),
            }),
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

    /// The number of clients whose commands wait.
    pub(crate) fn blocked(&self) -> usize {
        let members = self.members();
        (members.values())
            .filter(|info| info.blocked.load(Relaxed))
            .count()
    }

    /// The client with this number.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<ClientInfo>> {
        self.members().get(&id).cloned()
    }

    /// The number of clients, without those that were killed.
    pub(crate) fn len(&self) -> usize {
        let members = self.members();
        (members.values())
            .filter(|info| !info.killed.load(Relaxed))
            .count()
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<ClientInfo>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
