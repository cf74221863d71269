//! Transactions: all commands between `MULTI` and `EXEC` belong to one upstream, and go over a
//! connection that their client has for itself.
//!
//! ```text
//!   client            proxy                                       upstream of {t}a
//!   MULTI        ◀── +OK       which upstream it will be, no one knows yet
//!   ECHO x       ◀── +QUEUED   held back: it has no key
//!   SET {t}a 1   ──────▶ opens the client's connection: MULTI, ECHO x, SET {t}a 1 ──▶
//!                ◀────── +QUEUED, the third answer; the first two are dropped
//!   SET b 2      ◀── -CROSSSLOT: b belongs to another upstream
//!   EXEC         ◀── -EXECABORT, as Redis answers after an error; closing the connection discards
//! ```
//!
//! Where there is one upstream nothing has to be held back: the first command opens the connection.
//! A transaction whose connection can't be made is aborted, so that its commands are never executed
//! one by one.
//!
//! `WATCH` opens the connection at once, to the upstream of its keys. Until `MULTI`, commands about
//! keys of other upstreams go over the shared connections as ever.

use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::framing::request::{DedicatedReason, Request, Route};
use crate::protocol::resp;
use crate::proxy::errors;
use crate::proxy::forwarder::Forwarder;
use crate::proxy::forwarder::gather::Fate;
use crate::upstream::ConnectionState;
use crate::upstream::{Owner, Waiting};

/// Most bytes of commands that one transaction holds back.
const HELD_LIMIT: usize = 64 * 1024;

const QUEUED: &[u8] = b"+QUEUED\r\n";

/// A transaction that has begun and has no upstream yet.
#[derive(Default)]
pub(crate) struct Pending {
    /// Commands without keys, one after the other, and how many.
    held: Vec<u8>,
    count: usize,
    /// A command was refused, so that `EXEC` must be.
    aborted: bool,
    /// What the client's connection was at `MULTI`: what `DISCARD` goes back to.
    before: ConnectionState,
}

impl Pending {
    /// `EXEC` will be refused.
    pub(super) fn abort(&mut self) {
        self.aborted = true;
    }
}

/// Where a command of a transaction has to be executed.
enum Seat {
    /// At this upstream.
    At(usize),
    /// At whichever the others are.
    Anywhere,
    /// It can't be part of a transaction; what the client reads.
    Nowhere(Vec<u8>),
}

impl Forwarder {
    /// `MULTI` outside of a transaction.
    pub(super) fn multi(&mut self, key: usize) -> Fate {
        let client = &mut self.clients[key];
        client.pending = Some(Box::new(Pending {
            before: client.face,
            ..Pending::default()
        }));
        self.answer(key, "+OK\r\n")
    }

    /// A command of a transaction that has no upstream yet.
    pub(super) fn pending(&mut self, key: usize, request: &Request<'_>) -> Fate {
        let name = request.args().map(|args| args[0].to_ascii_uppercase());
        let name = name.unwrap_or_default();
        let alone = request.args().is_some_and(|args| args.len() == 1);
        let client = &mut self.clients[key];
        let Some(pending) = &mut client.pending else {
            return Fate::Stalled;
        };
        let seat = match &name[..] {
            b"EXEC" if !alone => {
                pending.aborted = true;
                return self.answer(key, errors::EXEC_WORDS);
            }
            b"EXEC" if pending.aborted => {
                client.face = pending.before;
                client.pending = None;
                return self.answer(key, errors::EXECABORT);
            }
            b"EXEC" if pending.count == 0 => {
                client.pending = None;
                return self.answer(key, "*0\r\n");
            }
            b"EXEC" => Seat::At(self.pool.any()),
            b"DISCARD" if alone => {
                client.face = pending.before;
                client.pending = None;
                return self.answer(key, "+OK\r\n");
            }
            b"MULTI" => return self.answer(key, errors::NESTED),
            b"WATCH" => return self.answer(key, errors::WATCH_INSIDE),
            b"QUIT" | b"RESET" => {
                client.pending = None;
                return self.request(key, request);
            }
            _ => self.seat(request),
        };
        match seat {
            Seat::Nowhere(error) => {
                if let Some(pending) = &mut self.clients[key].pending {
                    pending.aborted = true;
                }
                self.answer(key, error)
            }
            _ if self.clients[key]
                .pending
                .as_ref()
                .is_some_and(|p| p.aborted) =>
            {
                self.answer(key, QUEUED)
            }
            Seat::At(number) => match self.begin(key, number) {
                Ok(()) => self.pass_on(key, request),
                Err(fate) => fate,
            },
            Seat::Anywhere => {
                let client = &mut self.clients[key];
                if let Some(args) = request.args() {
                    client.face.follow(args);
                }
                let Some(pending) = &mut client.pending else {
                    return Fate::Stalled;
                };
                if pending.held.len() + request.bytes.len() > HELD_LIMIT {
                    pending.aborted = true;
                    return self.answer(key, errors::HELD);
                }
                pending.held.extend_from_slice(request.bytes);
                pending.count += 1;
                self.answer(key, QUEUED)
            }
        }
    }

    /// Opens the connection of a transaction, and sends what was held back.
    pub(super) fn begin(&mut self, key: usize, number: usize) -> Result<(), Fate> {
        let face = match &self.clients[key].pending {
            Some(pending) => pending.before,
            None => return Err(Fate::Stalled),
        };
        match self.take_own(key, number, face) {
            Ok(()) => {}
            Err(Fate::Stalled) => return Err(Fate::Stalled),
            Err(fate) => {
                // What follows must not be executed outside of the transaction.
                if let Some(pending) = &mut self.clients[key].pending {
                    pending.aborted = true;
                }
                return Err(fate);
            }
        }
        let client = &mut self.clients[key];
        let (Some(pending), Some(own)) = (client.pending.take(), &mut client.own) else {
            return Err(Fate::Stalled);
        };
        own.multi = true;
        own.aborted = pending.aborted;
        own.before = pending.before;
        let link = own.link;
        let since = self.micros;
        let mut push = |bytes: &[u8]| {
            let waiting = Waiting::new(Owner::Nobody, ReplyShape::Resp, since);
            self.links[link].push(bytes, waiting, self.now);
        };
        push(&resp::request(&[b"MULTI"]));
        for number in 0..pending.count {
            push(if number == 0 { &pending.held } else { b"" });
        }
        Ok(())
    }

    /// Looks at a command of a client that has a connection of its own for a transaction, in a pool.
    /// `Some` where the connection is not the place for it.
    pub(super) fn elsewhere(&mut self, key: usize, request: &Request<'_>) -> Option<Fate> {
        let own = self.clients[key].own.as_ref()?;
        if own.raw || self.pool.is_single() {
            return None;
        }
        let home = self.links.get(own.link)?.upstream.id;
        let multi = own.multi;
        let is_home = |worker: &Forwarder, number: usize| worker.pool.upstreams[number].id == home;
        let refusal = match self.seat(request) {
            Seat::Anywhere => return None,
            Seat::At(number) if is_home(self, number) => return None,
            // Before MULTI a command may concern another upstream.
            _ if !multi && !matches!(request.route, Route::Dedicated(..)) => {
                if self.clients[key].is_waiting() {
                    return Some(Fate::Stalled);
                }
                if let Some(own) = &mut self.clients[key].own {
                    own.away = true;
                }
                return Some(self.route(key, request));
            }
            Seat::At(_) => self.cross_slot().to_vec(),
            Seat::Nowhere(error) => error,
        };
        if let Some(own) = &mut self.clients[key].own {
            own.aborted |= multi;
        }
        Some(self.answer(key, refusal))
    }

    fn seat(&self, request: &Request<'_>) -> Seat {
        let of = |common: Option<usize>| match common {
            Some(number) => Seat::At(number),
            None => Seat::Nowhere(self.cross_slot().to_vec()),
        };
        match request.route {
            Route::Refused => {
                Seat::Nowhere(errors::refused(self.shared.settings.protocol).to_vec())
            }
            _ if self.pool.is_single() => Seat::At(0),
            Route::Key(wanted) => Seat::At(self.locate(wanted)),
            Route::Together(keys) | Route::Split(_, keys) => of(self.common(keys)),
            Route::Dedicated(DedicatedReason::Transaction | DedicatedReason::Blocking, keys) => {
                match keys.iter().next() {
                    Some(_) => of(self.common(keys)),
                    None => Seat::Anywhere,
                }
            }
            Route::Dedicated(..) | Route::Every(_) | Route::Scan | Route::Only => {
                Seat::Nowhere(errors::only(request))
            }
            Route::Any | Route::Local(_) => Seat::Anywhere,
        }
    }
}
