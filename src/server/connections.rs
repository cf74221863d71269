//! The set of active connections: a record of each one until it ends, and the counts of all.
//!
//! The set is made before the server, because services keep it too: `stats conns` and `CLIENT LIST`
//! walk it, `CLIENT KILL` ends one of its members, `curr_connections` and `bytes_read` are its
//! counts.
//!
//! Invariants:
//! - A connection is in the set from its admission until it ends, for any reason: membership is the
//!   life of a [`Membership`], which the owner of the socket holds and whose drop leaves the set.
//! - A [`Connection`] does not keep its socket open. It refers to it weakly, so that the descriptor
//!   is closed when the server drops it, even if a service still holds the record.
//! - The lock guards only the map and is never held while a caller's code runs.
//!
//! Cost: about 200 bytes a connection. A turn costs one store for the time of last activity and two
//! additions to counters that each worker has for itself; accepting and closing take the lock once
//! each.

use std::collections::BTreeMap;
use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::end_reason::{ConnectionEnd, EndReason};
use super::limits;
use super::reply_memory::{ReplyMemory, ReplyShare};
use super::stream::{Address, Stream};
use super::traffic::Traffic;

/// Milliseconds since the first call in this process: eight bytes where an [`Instant`] takes sixteen.
pub(crate) fn ticks() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_millis() as u64
}

/// The listener that a connection came from.
pub(super) struct Endpoint {
    /// The name of its service.
    pub(super) protocol: &'static str,
    pub(super) address: Address,
}

/// One connection, as the server and the services see it.
pub struct Connection {
    id: u64,
    pub(super) endpoint: Option<Arc<Endpoint>>,
    peer: Address,
    pub(super) stream: Weak<Stream>,
    pub(super) opened: u64,
    /// The time at which bytes last passed, always later than `opened`. Before the first byte, both are equal.
    active: AtomicU64,
    end: ConnectionEnd,
    /// Under threads: the worker waits for the next request, and none is in flight.
    pub(super) between_requests: AtomicBool,
    /// The session waits for the rest of a value.
    awaits_value: AtomicBool,
    pub(super) replies: ReplyShare,
}

impl Connection {
    /// A connection without a socket.
    pub fn detached() -> Connection {
        let now = ticks();
        Connection {
            id: 0,
            endpoint: None,
            peer: Address::Detached,
            stream: Weak::new(),
            opened: now,
            active: AtomicU64::new(now),
            end: ConnectionEnd::default(),
            between_requests: AtomicBool::new(true),
            awaits_value: AtomicBool::new(false),
            replies: ReplyShare::default(),
        }
    }

    /// A number that no other connection of this server has had; they rise from 1, or from behind the
    /// [reserved](Connections::reserve_numbers) ones. 0 for datagrams and for a session that
    /// runs inside a program.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The protocol spoken: its service's name.
    pub fn protocol(&self) -> &'static str {
        self.endpoint
            .as_ref()
            .map_or("detached", |endpoint| endpoint.protocol)
    }

    /// The other end. For a Unix socket the path that it connected to.
    pub fn peer(&self) -> &Address {
        &self.peer
    }

    /// Our end, as the socket reports it: the address that the client reached, even if the listener has a wildcard.
    pub fn local(&self) -> Address {
        let reached = self.stream.upgrade().and_then(|stream| stream.local_addr());
        match (reached, &self.endpoint) {
            (Some(address), _) => Address::Tcp(address),
            (None, Some(endpoint)) => endpoint.address.clone(),
            (None, None) => Address::Detached,
        }
    }

    /// [`peer`](Connection::peer) as text.
    pub fn peer_addr(&self) -> String {
        self.peer.to_string()
    }

    /// [`local`](Connection::local) as text.
    pub fn local_addr(&self) -> String {
        self.local().to_string()
    }

    /// Time since the connection was accepted, to the millisecond.
    pub fn age(&self) -> Duration {
        Duration::from_millis(ticks().saturating_sub(self.opened))
    }

    /// Time since bytes last passed in either direction, to the millisecond.
    pub fn idle(&self) -> Duration {
        Duration::from_millis(ticks().saturating_sub(self.active.load(Relaxed)))
    }

    /// Whether its session waits for the rest of a value.
    pub(crate) fn awaits_value(&self) -> bool {
        self.awaits_value.load(Relaxed)
    }

    pub(crate) fn note_awaits_value(&self, awaits: bool) {
        if self.awaits_value() != awaits {
            self.awaits_value.store(awaits, Relaxed);
        }
    }

    /// Ends the connection from any thread: its socket is shut down in both directions, and the
    /// server closes it as if the peer had disconnected. Does nothing if it has ended.
    pub fn kill(&self) {
        self.shut(Shutdown::Both);
    }

    /// Why the server ended the connection. `None` before that, and if the client or the session ended it.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.end.reason()
    }

    /// Notes the error that ends the connection, before its session is dropped.
    pub(super) fn note_end(&self, error: &io::Error) {
        self.end.note(error);
    }

    /// Whether it is in no set: a session runs inside a program, or answers datagrams.
    pub(super) fn is_detached(&self) -> bool {
        self.id == 0
    }

    pub(super) fn shut(&self, how: Shutdown) {
        if let Some(stream) = self.stream.upgrade() {
            // An error means that the peer was faster: there is nothing left to shut down.
            let _ = stream.shutdown(how);
        }
    }

    pub(crate) fn touch(&self, now: u64) {
        self.active.store(now.max(self.opened + 1), Relaxed);
    }

    pub(super) fn last_active(&self) -> u64 {
        self.active.load(Relaxed)
    }

    /// Whether bytes have passed since this time, in milliseconds.
    pub(super) fn was_active_since(&self, time: u64) -> bool {
        let last = self.last_active();
        last > self.opened && last >= time
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id)
            .field("protocol", &self.protocol())
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// Membership in the set; dropping it leaves the set.
pub(crate) struct Membership {
    pub(crate) connection: Arc<Connection>,
    set: Arc<Connections>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.set.keep_reply(&self.connection, 0);
        self.set.settle_reply(&self.connection, 0);
        self.set.settle_request(&self.connection, 0, 0);
        if self.connection.end_reason() == Some(EndReason::Idle) {
            self.set.idle_closed.fetch_add(1, Relaxed);
        }
        self.set.leave(self.connection.id);
    }
}

/// The set of active connections, shared by the server and its services.
#[derive(Debug)]
pub struct Connections {
    /// In the order of their ids, which is the order of their arrival.
    active: Mutex<BTreeMap<u64, Arc<Connection>>>,
    /// Notified when the last connection has left, and when the deadline of the wait has changed.
    left: Condvar,
    max: AtomicUsize,
    /// Files that the server has open beside connections.
    pub(super) own_files: AtomicUsize,
    current: AtomicUsize,
    /// The number of the last connection.
    last: AtomicU64,
    // `connection_counts` has the meanings of these, and resets them.
    pub(super) total: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) idle_closed: AtomicU64,
    pub(super) traffic: [Traffic; 16],
    pub(super) replies: ReplyMemory,
}

impl Default for Connections {
    fn default() -> Connections {
        Connections {
            active: Mutex::default(),
            left: Condvar::new(),
            max: AtomicUsize::new(limits::MAX_CONNECTIONS),
            own_files: AtomicUsize::new(0),
            current: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            total: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            idle_closed: AtomicU64::new(0),
            traffic: Default::default(),
            replies: ReplyMemory::default(),
        }
    }
}

impl Connections {
    /// An empty set, to be given to the services and then to [`Server::new`](super::Server::new).
    pub fn new() -> Arc<Connections> {
        Arc::new(Connections::default())
    }

    /// Keeps the numbers from 1 on for listeners, which a service lists beside the connections. Before the first connection.
    pub(crate) fn reserve_numbers(&self, count: usize) {
        self.last.store(count as u64, Relaxed);
    }

    /// Connections that are open now.
    pub fn current(&self) -> usize {
        self.current.load(Relaxed)
    }

    /// Connections that may be open at once.
    pub fn max(&self) -> usize {
        self.max.load(Relaxed)
    }

    /// Changes the number that may be open at once; open connections beyond it stay.
    pub fn set_max(&self, max: usize) {
        self.max.store(max, Relaxed);
    }

    /// Calls `each` for every connection, oldest first. The set is not locked meanwhile, so some may have ended.
    pub fn for_each(&self, mut each: impl FnMut(&Connection)) {
        let all: Vec<_> = self.lock().values().cloned().collect();
        for connection in all {
            each(&connection);
        }
    }

    /// Calls `each` for every connection, oldest first, while the set is locked.
    pub(super) fn for_each_record(&self, mut each: impl FnMut(&Arc<Connection>)) {
        self.lock().values().for_each(&mut each);
    }

    /// The connection with this number, if it is still open.
    pub fn get(&self, id: u64) -> Option<Arc<Connection>> {
        self.lock().get(&id).cloned()
    }

    pub(crate) fn traffic(&self, worker: usize) -> &Traffic {
        &self.traffic[worker % self.traffic.len()]
    }

    /// Adds a connection to the set, or refuses it if the set is full.
    pub(super) fn admit(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        peer: Address,
        stream: &Arc<Stream>,
    ) -> Option<Membership> {
        let now = ticks();
        let mut active = self.lock();
        if active.len() >= self.max() {
            self.rejected.fetch_add(1, Relaxed);
            return None;
        }
        self.total.fetch_add(1, Relaxed);
        let id = self.last.fetch_add(1, Relaxed) + 1;
        let connection = Arc::new(Connection {
            id,
            endpoint: Some(Arc::clone(endpoint)),
            peer,
            stream: Arc::downgrade(stream),
            opened: now,
            active: AtomicU64::new(now),
            end: ConnectionEnd::default(),
            between_requests: AtomicBool::new(true),
            awaits_value: AtomicBool::new(false),
            replies: ReplyShare::default(),
        });
        active.insert(id, Arc::clone(&connection));
        self.current.store(active.len(), Relaxed);
        Some(Membership {
            connection,
            set: Arc::clone(self),
        })
    }

    fn leave(&self, id: u64) {
        let mut active = self.lock();
        active.remove(&id);
        self.current.store(active.len(), Relaxed);
        if active.is_empty() {
            self.left.notify_all();
        }
    }

    /// Waits until no connection is left or the deadline has passed; true if none is left.
    ///
    /// The deadline is computed again whenever the waiter is woken by
    /// [`recheck_deadline`](Connections::recheck_deadline).
    pub(super) fn wait_until_empty(&self, deadline: impl Fn() -> Option<Instant>) -> bool {
        let mut active = self.lock();
        while !active.is_empty() {
            // Without a deadline, any long time: the loop waits again.
            let left = deadline().map_or(Duration::from_secs(3600), |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return false;
            }
            let woken = self.left.wait_timeout(active, left);
            active = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    pub(super) fn recheck_deadline(&self) {
        // The lock makes sure that the waiter is waiting, not between its check and its wait.
        let _active = self.lock();
        self.left.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Connection>>> {
        // No code panics between two changes of the map, so a poisoned one is whole.
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
