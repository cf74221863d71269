//! Redis's commands on larder's store.
//!
//! [`Resp`] is the service; a session per client reads commands, finds each in one table, and runs
//! it. A family of commands is a file: its table, then its functions, which see the store, the
//! client and the reply through one `Context`. To add a command: a line in its family's table and the
//! function, a transcript, a row in the documentation.
//!
//! What larder has answers as Redis 7.0 does, byte for byte; what it doesn't have answers as Redis
//! answers an unknown command.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use self::client_state::{ClientRegistry, ClientState};
use self::session::RespSession;
use self::table::CommandSpec;
use crate::server::{Connections, Peer, Refusal, Service, Session};
use crate::store::Store;

mod arguments;
mod client_commands;
mod client_state;
mod command_docs;
mod config;
mod connection;
mod counters;
mod databases;
mod errors;
mod expiry;
mod extended;
mod glob;
mod hash_counters;
mod hash_random;
mod hashes;
mod keys;
mod lcs;
mod moving;
mod ranges;
mod scan;
mod server_info;
mod session;
mod set_options;
mod strings;
mod table;
mod transactions;

/// Every family of commands.
const FAMILIES: &[&[CommandSpec]] = &[
    connection::COMMANDS,
    client_commands::COMMANDS,
    command_docs::COMMANDS,
    transactions::COMMANDS,
    databases::COMMANDS,
    config::COMMANDS,
    server_info::COMMANDS,
    keys::COMMANDS,
    scan::COMMANDS,
    moving::COMMANDS,
    expiry::COMMANDS,
    strings::COMMANDS,
    ranges::COMMANDS,
    lcs::COMMANDS,
    counters::COMMANDS,
    hashes::COMMANDS,
    hash_counters::COMMANDS,
    hash_random::COMMANDS,
];

/// The version whose commands these are, told to clients that choose what they use by it.
const REDIS_VERSION: &str = "7.0.15";

/// How the store evicts, worded as Redis words its policies: any key may go, and SIEVE says which.
const MAXMEMORY_POLICY: &str = "allkeys-sieve";

/// Bytes of the largest request, whatever is asked for: what the reader's offsets can address.
const MAX_REQUEST: usize = 2 << 30;

/// Bytes of the longest item that CONFIG SET allows: what the protocol can carry.
const MAX_BULK: i64 = 512 << 20;

/// What the service can be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What AUTH must bring before other commands are answered; none for an open door.
    pub password: Option<String>,
    /// Bytes that one request, or the commands queued by MULTI, may take; a client that sends more
    /// is closed. Redis's `client-query-buffer-limit`. The server's
    /// [`max_input`](crate::server::Settings::max_input) must be larger.
    pub max_request: usize,
    /// Bytes that the reply to one command may take; a client that asks for more is closed. Redis's
    /// `client-output-buffer-limit`.
    pub max_reply: usize,
    /// Silence after which the server closes a connection, zero for never. Only told to clients
    /// that ask.
    pub idle_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            password: None,
            max_request: 32 << 20,
            max_reply: 64 << 20,
            idle_timeout: Duration::ZERO,
        }
    }
}

/// The service.
pub struct Resp {
    shared: Arc<ServiceState>,
}

/// What all sessions have in common.
pub(crate) struct ServiceState {
    pub store: Arc<Store>,
    pub connections: Arc<Connections>,
    pub settings: Settings,
    pub clients: ClientRegistry,
    /// Commands handled, refused ones too.
    pub commands: AtomicU64,
    /// Errors answered.
    pub errors: AtomicU64,
    /// When the service was made, by the store's clock.
    pub started_ms: u64,
}

impl ServiceState {
    /// What AUTH must bring.
    pub(crate) fn password(&self) -> Option<&str> {
        self.settings.password.as_deref()
    }

    /// Begins to count anew.
    pub(crate) fn reset_counts(&self) {
        self.store.reset_stats();
        self.commands.store(0, Relaxed);
        self.errors.store(0, Relaxed);
    }
}

impl Resp {
    /// Redis's commands on `store`; `connections` is the set of the server that will run the
    /// service.
    pub fn new(store: Arc<Store>, connections: Arc<Connections>, mut settings: Settings) -> Resp {
        // The words of a request are found by 32-bit offsets.
        settings.max_request = settings.max_request.min(MAX_REQUEST);
        Resp {
            shared: Arc::new(ServiceState {
                started_ms: store.now_ms(),
                store,
                connections,
                settings,
                clients: ClientRegistry::default(),
                commands: AtomicU64::new(0),
                errors: AtomicU64::new(0),
            }),
        }
    }
}

impl Service for Resp {
    fn protocol(&self) -> &'static str {
        "resp"
    }

    fn open(&self, peer: Peer) -> Box<dyn Session> {
        let info = self.shared.clients.register(peer.connection);
        let client = ClientState::new(info, self.shared.settings.password.is_some());
        Box::new(RespSession::new(Arc::clone(&self.shared), client))
    }

    fn refusal(&self, why: Refusal) -> Cow<'static, [u8]> {
        match why {
            Refusal::TooManyConnections => Cow::Borrowed(b"-ERR max number of clients reached\r\n"),
        }
    }
}

#[cfg(test)]
mod tests;
