//! The limits of the server core, each with its unit, its reason, and the action on breach.
//!
//! Two more are in [`Settings`](super::Settings) because the user sets them: the number of
//! connections that may be open (further clients get an error of their protocol and are disconnected)
//! and the time that a connection may be idle (then it is closed).

use std::time::Duration;

/// Connections that may be open at once, unless the user says otherwise: memcached's default.
///
/// A further one is accepted, gets [`Service::refusal`](super::Service::refusal) as its reply, and is
/// closed.
pub(crate) const MAX_CONNECTIONS: usize = 1024;

/// Threads of the model [`Threads`](super::Model::Threads) unless the user says otherwise.
///
/// Each serves one connection until that ends, so this many are served at once, and further ones
/// wait.
pub const THREADS: usize = 256;

/// Connections that the kernel completes and queues before they are accepted. Further clients wait
/// in their connect.
///
/// The kernel caps it at its own `somaxconn`. memcached's default.
pub(crate) const BACKLOG: u32 = 1024;

/// The mode of a Unix socket: only its owner may connect, as with memcached. A directory's mode and
/// `chmod` admit a group.
pub(crate) const SOCKET_MODE: u32 = 0o700;

/// Bytes of a worker's read buffer, so the most that one read takes and the most that one
/// connection is served before the next one has its turn.
pub const READ_BUFFER: usize = 64 * 1024;

/// Bytes that one read takes at most into the memory of a large value, before the next connection has its turn.
pub(crate) const READ_AT_ONCE: usize = 256 * 1024;

/// Bytes of output after which a session ends its turn with [`Next::Again`](super::Next::Again).
///
/// Small enough that a thousand clients that pipeline reads of large values hold little memory,
/// large enough that a pipeline of small replies goes out in one write.
pub const OUTPUT_SOFT_LIMIT: usize = 256 * 1024;

/// Bytes that the replies and unfinished requests of all connections may take by default. If they would take more, connections wait or are
/// closed, by the rules of `replies`.
pub const MAX_REPLY_MEMORY: usize = 64 * 1024 * 1024;

/// Bytes of an unfinished request from which it counts for that bound. A connection holds fewer anyway.
pub(crate) const COUNTED_REQUEST: usize = 4 * 1024;

/// The smallest bound for the replies and unfinished requests of all connections: some turns' output.
pub const LEAST_REPLY_MEMORY: usize = 1024 * 1024;

/// The time after which a client that waits for memory for its reply has another closed that leaves its own unread.
///
/// Clients of a cache give up after about this time. One that reads at all takes hundreds of megabytes meanwhile.
pub(crate) const REPLY_PATIENCE: Duration = Duration::from_secs(1);

/// The time after which a connection that waits for memory looks for it again.
pub(crate) const REPLY_RETRY: Duration = Duration::from_millis(5);

/// The time that the answer to a wrong password waits, and with it the connection.
///
/// A client that guesses passwords has one guess a connection in this time. Its connection counts for that time, even if
/// the client closes it early, so the guesses of all clients together are bounded by the number of connections: 4,000 a
/// second with the default of 1,024. A person who mistypes hardly notices.
pub(crate) const FAILED_LOGIN_DELAY: Duration = Duration::from_millis(250);

/// The time after which a session that answered [`Next::Later`](super::Next::Later) has its turn.
///
/// Short enough that a person sees no delay, long enough that the turns cost nothing that one notices.
pub(crate) const LATER: Duration = Duration::from_millis(20);

/// Bytes that a connection's unconsumed input may reach by default.
///
/// A backstop: a session refuses a command that is too large long before, with an error of its
/// protocol. If a session leaves more than this unconsumed, that is logged and the connection is
/// closed without a reply.
pub(crate) const MAX_INPUT: usize = 64 * 1024 * 1024;

/// Events taken from the kernel with one wait. Further ones stay queued there.
pub(crate) const EVENTS: usize = 1024;

/// Time that a listener pauses when accepting fails for lack of descriptors or memory.
///
/// The connection stays in the backlog meanwhile, so trying again at once would spin.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// At most one line about failing accepts is logged in this time.
pub(crate) const ACCEPT_LOG_EVERY: Duration = Duration::from_secs(10);

/// Silence after which the kernel probes whether the peer's machine is still up. Redis's default.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(300);

/// Bytes of the longest datagram that UDP can carry, rounded up.
pub(crate) const LONGEST_DATAGRAM: usize = 64 * 1024;

/// The longest time that a datagram waits for the system to accept it. Then it is lost, as UDP allows.
pub(crate) const DATAGRAM_SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Datagrams that are answered when the server ends, of those that have arrived. The system keeps about as many.
pub(crate) const ANSWERED_AT_END: usize = 1024;

/// Time that a graceful shutdown waits for all connections together before it closes those that are
/// left.
pub const GRACE: Duration = Duration::from_secs(10);

/// Time that a graceful shutdown leaves a connection for its first request, and the age up to which it counts as new.
///
/// A client that was accepted just before the end has its request on the way: across a network that takes a fraction of
/// a second. A connection that stays silent is closed then.
pub(crate) const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Descriptors kept free beside those of connections: standard streams, logs, pollers,
/// configuration files.
pub(crate) const SPARE_FILES: u64 = 64;

/// Maximum number of bytes to read and discard before the server closes a connection that it ends.
///
/// Closing a socket with unread bytes resets the connection, and a reset can overtake the last
/// reply.
pub(crate) const DISCARD_LIMIT: usize = 256 * 1024;

/// The longest time of a TLS handshake, from the moment at which a worker takes the connection. Then it is closed.
///
/// A handshake takes two messages from the client, so only a client that has stopped needs longer.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Most milliseconds between two checks for silent connections, and so the most by which an idle
/// timeout is late.
pub(crate) const IDLE_SWEEP_MS: u64 = 1000;
