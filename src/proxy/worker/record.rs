//! Where a recorder is behind the proxy: writes go to it in place of an upstream, and are answered when it says so.
//!
//! What the clients of a round have written is one batch, so a round costs the recorder one message. A client whose
//! change finds no place waits, like one whose link is full.

use std::borrow::Cow;

use crate::invalidate::{
    Answers, BATCH, BATCH_BYTES, Batch, Change, Door, Durability, Front, Meaning, Message, Ticket,
    too_large,
};
use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::framing::request::{LargeRequest, MetaForm, Request, Route};
use crate::proxy::errors;
use crate::proxy::settings::Protocol;
use crate::proxy::worker::gather::Fate;
use crate::proxy::worker::{Worker, mark, queue};
use crossbeam_channel::{Receiver, TrySendError};

/// What a worker has for the recorder, and gets from it.
pub(super) struct Recording {
    front: std::sync::Arc<Front>,
    changes: Vec<Change>,
    tickets: Vec<Ticket>,
    quiet: usize,
    bytes: usize,
    door: Door,
    answers: Receiver<Answers>,
    /// Clients whose changes found no place.
    stalled: Vec<usize>,
}

impl Recording {
    pub(super) fn new(
        front: std::sync::Arc<Front>,
        waker: std::sync::Arc<mio::Waker>,
    ) -> Recording {
        let (sender, answers) = crossbeam_channel::unbounded();
        let door = Door {
            answers: sender,
            waker,
        };
        Recording {
            front,
            changes: Vec::new(),
            tickets: Vec::new(),
            quiet: 0,
            bytes: 0,
            door,
            answers,
            stalled: Vec::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.changes.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    /// Whether clients wait for the recorder to take what there is.
    pub(super) fn is_stalled(&self) -> bool {
        !self.changes.is_empty() || !self.stalled.is_empty()
    }

    fn batch(&mut self) -> Batch {
        Batch {
            changes: std::mem::take(&mut self.changes),
            tickets: std::mem::take(&mut self.tickets),
            quiet: std::mem::take(&mut self.quiet),
            bytes: std::mem::take(&mut self.bytes),
            door: self.door.clone(),
        }
    }

    /// Sends what is left when the worker ends, whose clients may have their answers already.
    pub(super) fn finish(mut self) {
        let batch = self.batch();
        // The recorder ends after the workers.
        let _ = self.front.inbox.send(Message::Batch(batch));
    }

    /// Sends the batch if the recorder has room for it.
    fn hand_over(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        let batch = self.batch();
        match self.front.inbox.try_send(Message::Batch(batch)) {
            Ok(()) => {}
            Err(TrySendError::Full(Message::Batch(batch))) => {
                self.changes = batch.changes;
                self.tickets = batch.tickets;
                self.quiet = batch.quiet;
                self.bytes = batch.bytes;
            }
            // It has ended, which it does after the workers; nothing is on record.
            Err(TrySendError::Disconnected(Message::Batch(batch))) => {
                let why = "the recorder has ended".into();
                self.door.answer(batch.tickets, Some(why));
            }
            Err(_) => {}
        }
    }
}

impl Worker {
    /// Takes a request that is a write, or that has no place here. `None` for what goes on as without a recorder.
    pub(super) fn record(&mut self, key: usize, request: &Request<'_>) -> Option<Fate> {
        let recording = self.recording.as_mut()?;
        if recording.is_full() {
            recording.hand_over();
            if recording.is_full() {
                recording.stalled.push(key);
                return Some(Fate::Stalled);
            }
        }
        let client = &mut self.clients[key];
        let front = &recording.front;
        let before = recording.changes.len();
        let meaning = front.understand(request, client.face.database, &mut recording.changes);
        let reply = match meaning {
            Meaning::Changed(reply) => reply,
            Meaning::Answer(bytes) => return Some(self.answer(key, bytes)),
            Meaning::Pass => {
                let protocol = self.shared.settings.protocol;
                let detaches = matches!(request.route, Route::Dedicated(..));
                // What follows a MULTI, or comes to who subscribes, would pass by the recorder.
                return detaches.then(|| self.answer(key, errors::refused(protocol)));
            }
        };
        Some(self.promise(key, before, reply))
    }

    /// Answers a client whose changes were added to the batch, or makes place for the answer, as the durability says.
    fn promise(&mut self, key: usize, before: usize, reply: Option<Cow<'static, [u8]>>) -> Fate {
        let Some(recording) = &mut self.recording else {
            return Fate::Taken;
        };
        let (client, front) = (&mut self.clients[key], &recording.front);
        let new = &recording.changes[before..];
        recording.bytes += new.iter().map(Change::size).sum::<usize>();
        let promise = front.durability != Durability::None || front.stats.has_problem();
        match reply {
            None => recording.quiet += recording.changes.len() - before,
            Some(reply) if promise => {
                let sequence = client.open(1, None);
                recording.tickets.push(Ticket {
                    client: (key, client.id),
                    sequence,
                    reply,
                });
            }
            Some(reply) => {
                client.answer(&reply);
                mark(&mut self.dirty_clients, key, &mut client.dirty);
            }
        }
        Fate::Taken
    }

    /// A request over the limit. What a storage command of memcached changes is in its first line, so it is recorded, and
    /// the rest dropped; of others nothing is known.
    pub(super) fn record_large(&mut self, key: usize, large: LargeRequest<'_>) -> Fate {
        let Some(recording) = &mut self.recording else {
            return Fate::Taken;
        };
        let memcached = self.shared.settings.protocol == Protocol::Memcached;
        let Route::Key(name) = large.route else {
            return self.pass_over(key, large.rest, too_large(memcached));
        };
        if !memcached || large.meta != MetaForm::No {
            return self.pass_over(key, large.rest, too_large(memcached));
        }
        if recording.is_full() {
            recording.hand_over();
            if recording.is_full() {
                recording.stalled.push(key);
                return Fate::Stalled;
            }
        }
        let before = recording.changes.len();
        recording.changes.push(Change::Key(name.into(), None));
        let reply = (large.shape != ReplyShape::Nothing).then_some(b"STORED\r\n"[..].into());
        self.clients[key].skip = Some(large.rest);
        self.promise(key, before, reply)
    }

    /// Hands the round's changes over, and gives clients another turn that wait for that.
    pub(super) fn hand_over(&mut self) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        recording.hand_over();
        if !recording.is_full() {
            for key in std::mem::take(&mut recording.stalled) {
                if let Some(client) = self.clients.get_mut(key) {
                    queue(&mut self.ready, key, client);
                }
            }
        }
    }

    /// Answers the clients whose changes are recorded, or could not be.
    pub(super) fn recorded(&mut self) {
        let Some(recording) = &self.recording else {
            return;
        };
        let protocol = self.shared.settings.protocol;
        while let Ok(Answers { tickets, failure }) = recording.answers.try_recv() {
            let failure = failure.map(|text| match protocol {
                Protocol::Memcached => format!("SERVER_ERROR {text}\r\n"),
                Protocol::Resp => format!("-ERR {text}\r\n"),
            });
            for ticket in tickets {
                let (key, id) = ticket.client;
                let Some(client) = self.clients.get_mut(key).filter(|c| c.id == id) else {
                    continue;
                };
                let reply = match &failure {
                    None => ticket.reply,
                    Some(text) => Cow::Borrowed(text.as_bytes()),
                };
                client.deliver(ticket.sequence, 0, &reply, true);
                mark(&mut self.dirty_clients, key, &mut client.dirty);
            }
        }
    }
}
