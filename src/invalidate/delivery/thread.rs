//! The thread of a delivery: its socket, its channels, and the clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, select};

use crate::invalidate::delivery::{Delivery, DeliveryAction, DeliveryEvent};
use crate::invalidate::message::{DeliveryStep, Now, RecorderMessage};
use crate::invalidate::settings::{WINDOW, WINDOW_BYTES};
use crate::invalidate::spool::{DeliveryId, PendingChange, Spool, SpoolResult};
use crate::pool::UpstreamFailure;
use crate::server::ClientTls;
use crate::upstream::BlockingStream;

/// A delivery, with its socket and channels.
pub(crate) struct DeliveryThread {
    pub(crate) id: DeliveryId,
    pub(crate) delivery: Delivery,
    pub(crate) address: String,
    pub(crate) tls: Option<Arc<ClientTls>>,
    pub(crate) spool: Arc<Spool>,
    /// The longest time to connect to the upstream, and to send to it.
    pub(crate) timeout: Duration,
    pub(crate) changes: Receiver<Vec<PendingChange>>,
    pub(crate) steps: Receiver<DeliveryStep>,
    pub(crate) inbox: Sender<RecorderMessage>,
    /// Dropped with the thread, so that the recorder finds that it has ended.
    pub(crate) _alive: Arc<()>,
}

impl DeliveryThread {
    /// Delivers until the recorder ends it.
    pub(crate) fn run(mut self) {
        let mut stream: Option<BlockingStream> = None;
        let mut buffer = vec![0; 16 << 10];
        loop {
            let event = match self.delivery.next(Now::take()) {
                DeliveryAction::End => return,
                DeliveryAction::Close => {
                    stream = None;
                    continue;
                }
                DeliveryAction::Report(report) => {
                    let message = RecorderMessage::Delivery(self.id, report);
                    match self.inbox.send(message) {
                        Ok(()) => continue,
                        Err(_) => DeliveryEvent::RecorderGone,
                    }
                }
                DeliveryAction::Connect => {
                    let connected =
                        BlockingStream::connect(&self.address, self.tls.as_deref(), self.timeout);
                    DeliveryEvent::Connected(connected.map(|connected| stream = Some(connected)))
                }
                DeliveryAction::Send(bytes) => DeliveryEvent::Sent(match &mut stream {
                    Some(stream) => stream.send(bytes, self.timeout),
                    None => Err(UpstreamFailure::Closed),
                }),
                DeliveryAction::Receive(until) => DeliveryEvent::Received(match &mut stream {
                    Some(stream) => stream
                        .receive(&mut buffer, until.saturating_duration_since(Instant::now()))
                        .map(|count| &buffer[..count]),
                    None => Err(UpstreamFailure::Closed),
                }),
                DeliveryAction::AwaitStep => match self.steps.recv() {
                    Ok(step) => DeliveryEvent::Step(step),
                    Err(_) => DeliveryEvent::RecorderGone,
                },
                DeliveryAction::Pause(until) => match self.steps.recv_deadline(until) {
                    Ok(step) => DeliveryEvent::Step(step),
                    Err(RecvTimeoutError::Timeout) => DeliveryEvent::Paused,
                    Err(RecvTimeoutError::Disconnected) => DeliveryEvent::RecorderGone,
                },
                DeliveryAction::Scan(after) => match self.steps.try_recv() {
                    Ok(step) => DeliveryEvent::Step(step),
                    Err(TryRecvError::Empty) => DeliveryEvent::Scanned(self.scan(after)),
                    Err(TryRecvError::Disconnected) => DeliveryEvent::RecorderGone,
                },
                DeliveryAction::AwaitChanges(until) => self.await_changes(until),
                DeliveryAction::TakeChanges => self.take_changes(),
            };
            self.delivery.handle(event, Now::take());
        }
    }

    /// The next changes of the pending set, in the order of the keys.
    pub(crate) fn scan(&self, after: Option<Box<[u8]>>) -> SpoolResult<Vec<PendingChange>> {
        self.spool
            .scan(self.id, after.as_deref(), 4 * WINDOW, 4 * WINDOW_BYTES)
    }

    fn await_changes(&self, until: Instant) -> DeliveryEvent<'static> {
        let timeout = until.saturating_duration_since(Instant::now());
        select! {
            recv(self.changes) -> changes => match changes {
                Ok(changes) => self.with_more(changes),
                Err(_) => DeliveryEvent::RecorderGone,
            },
            recv(self.steps) -> step => match step {
                Ok(step) => DeliveryEvent::Step(step),
                Err(_) => DeliveryEvent::RecorderGone,
            },
            default(timeout) => self.take_changes(),
        }
    }

    /// Takes changes if there are any. It first reads whether the recorder has marked the delivery as behind: then no
    /// more changes follow those in the channel.
    pub(crate) fn take_changes(&self) -> DeliveryEvent<'static> {
        let behind = self.delivery.stats.is_behind();
        match self.changes.try_recv() {
            Ok(changes) => self.with_more(changes),
            Err(_) => DeliveryEvent::NoChanges { behind },
        }
    }

    /// Adds changes that have arrived meanwhile.
    fn with_more(&self, mut changes: Vec<PendingChange>) -> DeliveryEvent<'static> {
        while changes.len() < WINDOW
            && let Ok(more) = self.changes.try_recv()
        {
            changes.extend(more);
        }
        DeliveryEvent::Changes(changes)
    }
}
