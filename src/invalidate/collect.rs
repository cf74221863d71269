//! Collects the reports of clients: the interceptor behind a listener of `larder invalidate`.
//!
//! The writes of all clients in a worker's round form one batch, so a round costs the recorder one message. A write is
//! answered when its batch is recorded; with durability `none` it is answered at once.

use std::borrow::Cow;
use std::sync::Arc;

use crossbeam_channel::{Sender, TrySendError};

use crate::invalidate::change::{ChangeBatch, PendingAnswer, ReportedChange};
use crate::invalidate::message::RecorderMessage;
use crate::invalidate::report::binary::{NAME, done};
use crate::invalidate::report::{ReportMeaning, ReportReader, too_large};
use crate::invalidate::settings::{BATCH, BATCH_BYTES, Durability};
use crate::invalidate::target::can_be_deleted;
use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::framing::request::{LargeRequest, MetaForm, Request, Route};
use crate::protocol::memcached::binary::Status;
use crate::proxy::{
    AnswerSender, Intercepted, Interceptor, LaterAnswer, RequestId, WorkerInterceptor,
};

/// The interceptor of a listener.
pub(super) struct ChangeListener {
    pub(super) reader: Arc<ReportReader>,
    pub(super) inbox: Sender<RecorderMessage>,
    pub(super) durability: Durability,
}

impl Interceptor for ChangeListener {
    fn for_worker(&self, answers: AnswerSender) -> Box<dyn WorkerInterceptor> {
        Box::new(ChangeCollector {
            reader: Arc::clone(&self.reader),
            inbox: self.inbox.clone(),
            durability: self.durability,
            batch: ChangeBatch::new(answers),
        })
    }
}

/// The interceptor of one worker: the changes of its round.
struct ChangeCollector {
    reader: Arc<ReportReader>,
    inbox: Sender<RecorderMessage>,
    durability: Durability,
    batch: ChangeBatch,
}

impl WorkerInterceptor for ChangeCollector {
    fn request(
        &mut self,
        request: &Request<'_>,
        database: u32,
        request_id: RequestId,
    ) -> Intercepted {
        if !self.make_room() {
            return Intercepted::Full;
        }
        let before = self.batch.changes.len();
        match self
            .reader
            .meaning(request, database, &mut self.batch.changes)
        {
            ReportMeaning::Changed(reply) => {
                self.answer_later_or_now(before, reply, request.shape, request_id)
            }
            ReportMeaning::Answer(bytes) => Intercepted::Answered(bytes),
            ReportMeaning::Pass => Intercepted::Forward,
        }
    }

    /// The key of a memcached storage command is in its first line, so the change is recorded; the keys of other
    /// requests are unknown.
    fn large(&mut self, request: &LargeRequest<'_>, request_id: RequestId) -> Intercepted {
        let memcached = request.shape != ReplyShape::Resp;
        let Route::Key(key) = request.route else {
            return Intercepted::Answered(too_large(memcached).into());
        };
        if !memcached || request.meta != MetaForm::No {
            return Intercepted::Answered(too_large(memcached).into());
        }
        if !self.make_room() {
            return Intercepted::Full;
        }
        let reply = match request.shape {
            ReplyShape::Nothing => None,
            ReplyShape::Binary(_) if !can_be_deleted(key) => {
                return Intercepted::Answered(
                    request.shape.error(Status::NotSupported, NAME).into(),
                );
            }
            ReplyShape::Binary(binary) => Some(done(&binary).into()),
            _ => Some(b"STORED\r\n"[..].into()),
        };
        let before = self.batch.changes.len();
        self.batch
            .changes
            .push(ReportedChange::Key(key.into(), None));
        self.answer_later_or_now(before, reply, request.shape, request_id)
    }

    fn end_round(&mut self) -> bool {
        self.hand_over();
        !self.is_full()
    }

    fn has_backlog(&self) -> bool {
        !self.batch.changes.is_empty()
    }

    fn finish(&mut self) {
        let batch = self.take_batch();
        // The recorder ends after the workers.
        let _ = self.inbox.send(RecorderMessage::Batch(batch));
    }
}

impl ChangeCollector {
    fn is_full(&self) -> bool {
        self.batch.changes.len() >= BATCH || self.batch.bytes >= BATCH_BYTES
    }

    /// Whether there is room for a change, after the batch was handed over if necessary.
    fn make_room(&mut self) -> bool {
        if self.is_full() {
            self.hand_over();
        }
        !self.is_full()
    }

    fn take_batch(&mut self) -> ChangeBatch {
        let empty = ChangeBatch::new(self.batch.sender.clone());
        std::mem::replace(&mut self.batch, empty)
    }

    /// Sends the batch if the recorder has room for it.
    fn hand_over(&mut self) {
        if self.batch.changes.is_empty() {
            return;
        }
        let batch = self.take_batch();
        match self.inbox.try_send(RecorderMessage::Batch(batch)) {
            Ok(()) => {}
            Err(TrySendError::Full(RecorderMessage::Batch(batch))) => self.batch = batch,
            // It has ended, which it does after the workers; nothing is recorded.
            Err(TrySendError::Disconnected(RecorderMessage::Batch(batch))) => {
                batch.answer(Some("the recorder has ended"));
            }
            Err(_) => {}
        }
    }

    /// The answer to a client whose changes were added to the batch: at once or later, by the durability.
    fn answer_later_or_now(
        &mut self,
        before: usize,
        reply: Option<Cow<'static, [u8]>>,
        shape: ReplyShape,
        request_id: RequestId,
    ) -> Intercepted {
        let new = &self.batch.changes[before..];
        self.batch.bytes += new.iter().map(ReportedChange::size).sum::<usize>();
        let Some(bytes) = reply else {
            self.batch.quiet += self.batch.changes.len() - before;
            return Intercepted::Silent;
        };
        if self.durability == Durability::None && !self.reader.stats.has_problem() {
            return Intercepted::Answered(bytes);
        }
        let answer = LaterAnswer { request_id, bytes };
        self.batch.answers.push(PendingAnswer { shape, answer });
        Intercepted::Later
    }
}
