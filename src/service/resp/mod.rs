//! Redis's commands on larder's store.
//!
//! [`Resp`] is the service; a session per client reads commands, finds each in one table, and runs
//! it. A family of commands is a file: its table, then its functions, which see the store, the
//! client and the reply through one `Context`. To add a command: a line in its family's table and the
//! function, a transcript, a row in the documentation.
//!
//! Every command that larder has is answered as Redis 7.0 answers it, byte for byte. Any other name
//! gets the error that Redis gives an unknown command.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use self::acl::users::Users;
use self::client_info::ClientRegistry;
use self::client_state::ClientState;
use self::monitors::Monitors;
use self::pause_state::Pause;
use self::rates::RateSampler;
use self::service_state::ServiceState;
use self::session::RespSession;
use self::statistics::Statistics;
use self::table::CommandSpec;
use crate::origin::ReadThrough;
use crate::peers::Peers;
use crate::server::{Connections, Peer, Refusal, Service, Session};
use crate::service::memcached::Memcached;
use crate::service::slow_log::SlowLog;
use crate::snapshot::Saver;
use crate::store::Store;

mod acl;
mod arguments;
mod call_counts;
mod categories;
mod client_commands;
mod client_info;
mod client_kill;
mod client_line;
mod client_list;
mod client_state;
mod client_tracking;
mod command_description;
mod command_docs;
mod command_keys;
mod command_queue;
mod config;
mod config_parameters;
mod connection;
mod context;
mod counters;
mod databases;
mod drawn_fields;
mod dropped_replies;
mod errors;
mod expiry;
mod extended;
mod fields_in_pieces;
mod figures;
mod glob;
mod hash_counters;
mod hash_random;
mod hashes;
mod info_statistics;
mod info_text;
mod key_walk;
mod keys;
mod keys_in_pieces;
mod large_reply;
mod latency;
mod latency_doctor;
mod latency_graph;
mod lcs;
mod monitor;
mod monitors;
mod moving;
mod pause;
mod pause_state;
mod peers;
mod protected;
mod random_order;
mod ranges;
mod rates;
mod received_command;
mod receiving;
mod redaction;
mod refusals;
mod reply_budget;
mod run;
mod scan;
mod server_info;
mod service_state;
mod session;
mod set_options;
mod slow_commands;
mod snapshots;
mod statistics;
mod string_batches;
mod strings;
mod table;
mod transactions;

pub(crate) use self::figures::{CommandFigures, RespFigures};
pub use self::service_state::Settings;

/// Every family of commands.
const FAMILIES: &[&[CommandSpec]] = &[
    connection::COMMANDS,
    client_commands::COMMANDS,
    acl::commands::COMMANDS,
    command_docs::COMMANDS,
    transactions::COMMANDS,
    databases::COMMANDS,
    config::COMMANDS,
    server_info::COMMANDS,
    latency::COMMANDS,
    slow_commands::COMMANDS,
    monitor::COMMANDS,
    snapshots::COMMANDS,
    keys::COMMANDS,
    scan::COMMANDS,
    moving::COMMANDS,
    expiry::COMMANDS,
    strings::COMMANDS,
    string_batches::COMMANDS,
    ranges::COMMANDS,
    lcs::COMMANDS,
    counters::COMMANDS,
    hashes::COMMANDS,
    hash_counters::COMMANDS,
    hash_random::COMMANDS,
];

/// The service.
pub struct Resp {
    shared: Arc<ServiceState>,
}

impl Resp {
    /// Redis's commands on `store`; `connections` is the set of the server that will run the
    /// service.
    pub fn new(store: Arc<Store>, connections: Arc<Connections>, settings: Settings) -> Resp {
        table::fill(FAMILIES);
        Resp {
            shared: Arc::new(ServiceState {
                started_ms: store.now_ms(),
                connections,
                users: Users::new(settings.password.clone()),
                settings,
                clients: ClientRegistry::default(),
                statistics: Statistics::new(table::table().all().count()),
                monitors: Monitors::default(),
                pause: Pause::default(),
                rates: RateSampler::new(store.now_ms()),
                store,
                memcached: OnceLock::new(),
                snapshots: OnceLock::new(),
                origin: OnceLock::new(),
                peers: OnceLock::new(),
                slow_log: OnceLock::new(),
                run_id: run_id(),
            }),
        }
    }
}

impl Resp {
    /// Lets INFO count the requests of memcached's protocols, too.
    pub fn count_requests_of(&self, memcached: Arc<Memcached>) {
        // Only the first service counts.
        let _ = self.shared.memcached.set(memcached);
    }

    /// Puts requests that take long into a log that other services share.
    pub(crate) fn log_slow_requests_to(&self, log: Arc<SlowLog>) {
        // Only the first one counts.
        let _ = self.shared.slow_log.set(log);
    }

    /// Lets clients write snapshots.
    pub(crate) fn save_with(&self, saver: Arc<Saver>) {
        // Only the first one counts.
        let _ = self.shared.snapshots.set(saver);
    }

    /// Has reads of database 0 ask an origin for what the store doesn't have.
    pub(crate) fn read_through(&self, origin: Arc<ReadThrough>) {
        // Only the first counts.
        let _ = self.shared.origin.set(origin);
    }

    /// Forms one cache with peers, for database 0.
    pub(crate) fn share_with(&self, peers: Arc<dyn Peers>) {
        // Only the first counts.
        let _ = self.shared.peers.set(peers);
    }

    /// Reads users from a file, in the format of Redis's `aclfile`; ACL LOAD and ACL SAVE use it, too.
    ///
    /// # Errors
    /// An error names the faults of the file, line by line.
    pub fn use_acl_file(&self, path: &Path) -> Result<(), String> {
        acl::load_file(path, &self.shared.users)?;
        // Only the first file counts.
        let _ = self.shared.users.file.set(path.to_owned());
        Ok(())
    }
}

/// Whether a client of a server with the users of this file gets in without a password.
pub(crate) fn acl_file_lets_everybody_in(path: &Path) -> Result<bool, String> {
    table::fill(FAMILIES);
    let users = Users::new(None);
    acl::load_file(path, &users)?;
    Ok(users.default_user().is_open())
}

/// The text that ACL SAVE writes when the users of a file with this text are in force.
#[cfg(feature = "internals")]
pub(crate) fn acl_text_as_saved(text: &[u8]) -> Result<Vec<u8>, String> {
    table::fill(FAMILIES);
    let users = Users::new(None);
    users.replace(acl::read_text(text, "a text")?);
    Ok(acl::text_of(&users))
}

/// A random name for this run of the service.
fn run_id() -> String {
    let random = |number: u8| RandomState::new().hash_one(number);
    let digits = [0, 1, 2].map(|number| format!("{:016x}", random(number)));
    digits.concat()[..40].to_owned()
}

impl Service for Resp {
    fn protocol(&self) -> &'static str {
        "resp"
    }

    fn open(&self, peer: Peer) -> Box<dyn Session> {
        let users = &self.shared.users;
        let is_protected = self.shared.settings.protected;
        if is_protected && protected::denies(&users.default_user(), peer.connection.peer()) {
            return Box::new(protected::DeniedSession);
        }
        let info = self
            .shared
            .clients
            .register(peer.connection, users.default_user());
        let client = ClientState::new(info, users);
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
