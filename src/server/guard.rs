//! Calls into a service, with its panics caught.
//!
//! A panic costs the one connection in whose turn it happened: it is logged with the peer and the
//! message, the connection is closed, and the worker continues with the others. The state that might
//! be left broken is the session's, which is dropped. Services must keep the state that they share
//! across connections consistent themselves; a poisoned lock shows that it may not be.

use std::any::Any;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::connections::{Connection, Membership};
use super::service::{DatagramSession, Insertion, Next, Peer, Refusal, Service, Session, Turn};
use super::stream::Address;
use super::waiter::Waiter;

/// A session whose creation, turns and drop may panic without harm to other connections.
pub(super) struct GuardedSession {
    connection: Arc<Connection>,
    /// `None` once it is dropped.
    session: Option<Box<dyn Session>>,
}

impl GuardedSession {
    /// Begins a connection's session; `None` if the service panicked.
    pub(super) fn open(service: &dyn Service, membership: &Membership) -> Option<GuardedSession> {
        let connection = Arc::clone(&membership.connection);
        let peer = Peer {
            connection: Arc::clone(&connection),
        };
        let session = catch_panic(connection.protocol(), connection.peer(), || {
            let mut session = service.open(peer);
            session.allow_insertions();
            session
        })?;
        Some(GuardedSession {
            connection,
            session: Some(session),
        })
    }

    /// Gives the session its turn; one that panicked is closed without a reply.
    ///
    /// The result is bounded: at most the whole input is consumed, and no [`Next::Again`] follows a
    /// turn that did nothing.
    pub(super) fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        let before = output.len();
        let turn = self.session.as_mut().and_then(|session| {
            catch_panic(self.connection.protocol(), self.connection.peer(), || {
                session.turn(input, output)
            })
        });
        let Some(mut turn) = turn else {
            output.truncate(before);
            return Turn {
                consumed: input.len(),
                next: Next::Close,
            };
        };
        debug_assert!(
            turn.consumed <= input.len(),
            "a session consumed more than its input"
        );
        turn.consumed = turn.consumed.min(input.len());
        if turn.next == Next::Again && turn.consumed == 0 && output.len() == before {
            turn.next = Next::Read;
        }
        if turn.next == Next::Receive && turn.consumed < input.len() {
            // Bytes read into the session's own space would overtake the rest of the input.
            turn.next = Next::Read;
        }
        turn
    }

    /// The memory for the next bytes of a large value.
    pub(super) fn space(&mut self) -> Option<&mut [u8]> {
        let session = self.session.as_mut()?;
        let space = catch_panic(self.connection.protocol(), self.connection.peer(), || {
            session.space()
        });
        space.flatten().filter(|space| !space.is_empty())
    }

    /// The values that belong into the output of the turn that answered `next`.
    pub(super) fn insertions(&mut self, next: Next) -> Vec<Insertion> {
        let session = self.session.as_mut().filter(|_| next == Next::Send);
        let insertions = session.and_then(|session| {
            catch_panic(self.connection.protocol(), self.connection.peer(), || {
                session.insertions()
            })
        });
        insertions.unwrap_or_default()
    }

    /// The waiter of a session whose turn answered `next`.
    pub(super) fn waiter(&mut self, next: Next) -> Option<Arc<Waiter>> {
        let session = self.session.as_mut().filter(|_| next == Next::Wait)?;
        catch_panic(self.connection.protocol(), self.connection.peer(), || {
            session.waiter()
        })
        .flatten()
    }

    /// Notifies the session that this many bytes were written to its [`space`](GuardedSession::space); after a panic the
    /// connection is closed without a reply.
    pub(super) fn arrived(&mut self, bytes: usize, output: &mut Vec<u8>) -> Next {
        let before = output.len();
        let next = self.session.as_mut().and_then(|session| {
            catch_panic(self.connection.protocol(), self.connection.peer(), || {
                session.arrived(bytes, output)
            })
        });
        next.unwrap_or_else(|| {
            output.truncate(before);
            Next::Close
        })
    }
}

impl Drop for GuardedSession {
    fn drop(&mut self) {
        let session = self.session.take();
        catch_panic(self.connection.protocol(), self.connection.peer(), || {
            drop(session)
        });
    }
}

/// The reply to a client that is refused; nothing if the service panicked.
pub(super) fn refusal(service: &dyn Service, peer: &Address, why: Refusal) -> Cow<'static, [u8]> {
    catch_panic(service.protocol(), peer, || service.refusal(why)).unwrap_or_default()
}

/// Gives a session its datagram; `false` if it panicked, which costs this one datagram.
pub(super) fn answer(
    session: &mut dyn DatagramSession,
    peer: SocketAddr,
    datagram: &[u8],
    send: &mut dyn FnMut(&[u8]),
) -> bool {
    let answered = catch_unwind(AssertUnwindSafe(|| session.answer(datagram, send)));
    if let Err(panic) = &answered {
        let message = message(&**panic);
        log::error!("udp {peer}: dropping a datagram because the service panicked: {message}");
    }
    answered.is_ok()
}

fn catch_panic<T>(protocol: &str, peer: &Address, call: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(value) => Some(value),
        Err(panic) => {
            log::error!(
                "{protocol} {peer}: closing the connection because its session panicked: {}",
                message(&*panic),
            );
            None
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}
