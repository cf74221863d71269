//! memcached over UDP: a session for each datagram, and the bound of replies.
//!
//! ```text
//!   datagram ─▶ udp::request ─▶ ConnectionSession: turn, turn, … ─▶ reply, at most MAX_REPLY ─▶ udp::send_reply
//! ```
//!
//! The commands of a datagram run as on a connection that begins and ends with it. Their replies are one message. memcached
//! numbers the reply of each command, and of each key of a `get`, from 0, so that a client can't tell them apart.
//!
//! Senders are forged easily, so a datagram can't cause more than a bounded amount of work and of bytes. A reply over the
//! bound is replaced by an error, and the commands behind it are not run. Large values are not copied for that. memcached
//! keeps a command that is cut off, and takes the next datagram of any client for its rest; here it is dropped.
//!
//! Cost: that of the commands, and an allocation for a session's state if it is large. The memory for replies is used again.

use std::sync::Arc;

use crate::protocol::memcached::binary::{self, Header, REQUEST_MAGIC, Status};
use crate::protocol::memcached::udp::{self, MAX_REPLY, TOO_LARGE};
use crate::server::{Connection, DatagramService, DatagramSession, Next, Peer, Session, ticks};
use crate::store::SharedValue;

use super::Memcached;
use super::connection_session::ConnectionSession;
use super::counters::TurnCounts;
use super::service_state::Shared;

/// A value that is not copied into the output is too large for a reply.
const _: () = assert!(SharedValue::LEAST > MAX_REPLY);

impl DatagramService for Memcached {
    fn open_socket(&self, peer: Peer) -> Box<dyn DatagramSession> {
        // Statistics show the first socket.
        let _ = self.shared.udp.set(Arc::clone(&peer.connection));
        Box::new(SocketSession {
            shared: Arc::clone(&self.shared),
            connection: peer.connection,
            reply: Vec::new(),
            frame: Vec::new(),
        })
    }
}

/// The memory of a socket's replies.
struct SocketSession {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    reply: Vec<u8>,
    frame: Vec<u8>,
}

impl DatagramSession for SocketSession {
    fn answer(&mut self, datagram: &[u8], send: &mut dyn FnMut(&[u8])) {
        let Some(udp::Request { id, commands }) = udp::request(datagram) else {
            self.shared.counters.add(&TurnCounts {
                udp_ignored: 1,
                ..TurnCounts::default()
            });
            return;
        };
        self.connection.touch(ticks());
        self.reply.clear();
        let fits = self.run(commands);
        if !fits {
            self.reply.clear();
            self.refuse(commands);
        }
        // Before the reply, so that its receiver finds it counted.
        self.shared.counters.add(&TurnCounts {
            udp_requests: 1,
            udp_too_large: u64::from(!fits),
            ..TurnCounts::default()
        });
        udp::send_reply(id, &self.reply, &mut self.frame, send);
        self.reply.shrink_to(MAX_REPLY);
    }
}

impl SocketSession {
    // ANCHOR: run
    /// Runs commands, until a reply is too large: then `false`.
    fn run(&mut self, commands: &[u8]) -> bool {
        let (shared, connection) = (Arc::clone(&self.shared), Arc::clone(&self.connection));
        let mut session = ConnectionSession::for_datagram(shared, connection);
        let mut rest = commands;
        loop {
            let turn = session.turn(rest, &mut self.reply);
            rest = &rest[turn.consumed..];
            let too_large = matches!(turn.next, Next::Send | Next::AwaitMemory);
            if too_large || self.reply.len() > MAX_REPLY {
                return false;
            }
            if turn.next != Next::Again {
                return true;
            }
        }
    }
    // ANCHOR_END: run

    /// The error in place of the replies to these commands.
    fn refuse(&mut self, commands: &[u8]) {
        match Header::read(commands) {
            Some(header) if header.magic == REQUEST_MAGIC => {
                binary::reply::error(&mut self.reply, (&header).into(), Status::TooLarge);
            }
            _ => self.reply.extend_from_slice(TOO_LARGE),
        }
    }
}
