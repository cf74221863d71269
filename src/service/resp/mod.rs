//! Redis's commands on larder's store.
//!
//! [`Resp`] is the service; a session per client reads commands, finds each in one table, and runs it. A family of
//! commands is a file: its table, then its functions, which see the store, the client and the reply through one `Ctx`.
//! To add a command: a line in its family's table and the function, a transcript, a row in the documentation.
//!
//! What larder has answers as Redis 7.0 does, byte for byte; what it doesn't have answers as Redis answers an unknown
//! command.

#![allow(dead_code)]

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use self::client::{Client, Clients};
use self::session::RespSession;
use self::table::Command;
use crate::server::{Peer, Refusal, Service, Session};
use crate::store::Store;

mod client;
mod connection;
mod databases;
mod errors;
mod session;
mod strings;
mod table;
mod transactions;

/// Every family of commands.
const FAMILIES: &[&[Command]] = &[
    connection::COMMANDS,
    transactions::COMMANDS,
    databases::COMMANDS,
    strings::COMMANDS,
];

/// The version whose commands these are, told to clients that choose what they use by it.
const REDIS_VERSION: &str = "7.0.15";

/// What the service can be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What AUTH must bring before other commands are answered; none for an open door.
    pub password: Option<String>,
    /// Bytes that one request, or the commands queued by MULTI, may take; a client that sends more is closed. Redis's
    /// `client-query-buffer-limit`. The server's input buffer must hold as much.
    pub max_request: usize,
    /// Bytes that the reply to one command may take; a client that asks for more is closed. Redis's
    /// `client-output-buffer-limit`.
    pub max_reply: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            password: None,
            max_request: 64 << 20,
            max_reply: 64 << 20,
        }
    }
}

/// The service.
pub struct Resp {
    shared: Arc<Shared>,
}

/// What all sessions have in common.
pub(crate) struct Shared {
    pub store: Arc<Store>,
    pub settings: Settings,
    pub clients: Clients,
    /// Commands handled, refused ones too.
    pub commands: AtomicU64,
    /// Errors answered.
    pub errors: AtomicU64,
}

impl Shared {
    /// What AUTH must bring.
    pub(crate) fn password(&self) -> Option<&str> {
        self.settings.password.as_deref()
    }
}

impl Resp {
    /// Redis's commands on `store`.
    pub fn new(store: Arc<Store>, settings: Settings) -> Resp {
        Resp {
            shared: Arc::new(Shared {
                store,
                settings,
                clients: Clients::default(),
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
        let entry = self.shared.clients.enter(peer.connection);
        let client = Client::new(entry, self.shared.settings.password.is_some());
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
