//! A delivery thread: its connection to an upstream, and what it tells it.
//!
//! ```text
//!             ┌────────────── away: pause, connect ◀──────────┐
//!             ▼                                               │ any error
//!   Ready ─▶ recorder says ─▶ Flush    flush_all              │
//!     ▲                    ├▶ Replay   the spool, in order ───┤
//!     │                    ├▶ Fresh    what comes over the channel
//!     └────────────────────┴▶ Wait     a moment
//! ```
//!
//! The recorder, as the only one who writes the spool, says what a delivery does. A delivery that has connected replays its
//! pending set before it is given anything else; it goes over to fresh changes when the recorder hands it the rest. A
//! channel that is full makes the recorder mark the delivery as behind: it delivers what the channel holds, then replays.
//!
//! Nothing is given up: what was not answered as the protocol says stays in the spool.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select};

use crate::invalidate::change::NewValue;
use crate::invalidate::recorder::{DeliveryReport, RecorderMessage};
use crate::invalidate::settings::{BACKOFF, Durability, Target, WINDOW, WINDOW_BYTES};
use crate::invalidate::spool::{DeliveryId, Spool};
use crate::invalidate::stats::{DeliveryPhase, DeliveryStats};
use crate::invalidate::wire::Wire;

/// What an upstream has to be told about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeliveryItem {
    pub(crate) key: Box<[u8]>,
    pub(crate) sequence: u64,
    pub(crate) value: Option<NewValue>,
}

/// What a delivery does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryStep {
    /// Flush the upstream.
    Flush,
    /// Deliver all that the spool has for the delivery.
    Replay,
    /// Deliver what comes over the channel.
    Fresh,
    /// Ask again in a moment.
    Wait,
    /// The recorder knows that the delivery is away; nothing more comes over the channel.
    Known,
    /// End.
    End,
}

/// How long a delivery waits that was told to.
const MOMENT: Duration = Duration::from_millis(20);

/// How often a delivery that has nothing to do sees whether its upstream is still there.
const QUIET: Duration = Duration::from_secs(1);

/// One delivery thread.
pub(crate) struct Delivery {
    pub(crate) id: DeliveryId,
    pub(crate) target: Arc<Target>,
    pub(crate) address: String,
    pub(crate) spool: Arc<Spool>,
    pub(crate) durability: Durability,
    pub(crate) timeout: Duration,
    pub(crate) fresh: Receiver<Vec<DeliveryItem>>,
    pub(crate) go: Receiver<DeliveryStep>,
    pub(crate) inbox: Sender<RecorderMessage>,
    pub(crate) stats: Arc<DeliveryStats>,
}

/// Why a delivery stops what it does.
enum Stop {
    Ended,
    Failed(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Failed(error)
    }
}

type Outcome<T> = Result<T, Stop>;

impl Delivery {
    /// Delivers until the recorder says that it ends.
    pub(crate) fn run(self) {
        self.work();
        while let Ok(items) = self.fresh.try_recv() {
            // An error means that the recorder has gone, and then nobody is left to be told.
            let _ = self.give_back(items);
        }
    }

    fn work(&self) {
        let mut pause = BACKOFF.0;
        loop {
            let connected = Wire::connect(&self.target, &self.address, self.timeout);
            let ended = match connected {
                Ok(wire) => {
                    pause = BACKOFF.0;
                    self.serve(wire)
                }
                Err(error) => Err(Stop::Failed(error)),
            };
            let Err(Stop::Failed(error)) = ended else {
                return;
            };
            if self.away(&error).is_err() || self.rest(pause).is_err() {
                return;
            }
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    fn serve(&self, mut wire: Wire) -> Outcome<()> {
        loop {
            match self.ask(DeliveryReport::Ready)? {
                DeliveryStep::Flush => {
                    self.stats.set_phase(DeliveryPhase::Flush);
                    wire.flush(&self.target)?;
                    self.report(DeliveryReport::Flushed)?;
                }
                DeliveryStep::Replay => {
                    self.stats.set_phase(DeliveryPhase::Replay);
                    self.replay(&mut wire)?;
                }
                DeliveryStep::Fresh => {
                    self.stats.set_phase(DeliveryPhase::Fresh);
                    self.deliver_fresh(&mut wire)?;
                }
                DeliveryStep::Wait | DeliveryStep::Known => self.rest(MOMENT)?,
                DeliveryStep::End => return Err(Stop::Ended),
            }
        }
    }

    /// One pass through what is pending.
    fn replay(&self, wire: &mut Wire) -> Outcome<()> {
        let mut after: Option<Box<[u8]>> = None;
        loop {
            // A spool that can't be read now is the recorder's matter; it says what to do next.
            let Ok(found) =
                self.spool
                    .scan(self.id, after.as_deref(), 4 * WINDOW, 4 * WINDOW_BYTES)
            else {
                return self.rest(MOMENT);
            };
            let Some((last, _)) = found.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            let items = found.into_iter().map(|(key, record)| DeliveryItem {
                key,
                sequence: record.sequence,
                value: record.value,
            });
            self.deliver(wire, items.collect())?;
            if let Ok(DeliveryStep::End) = self.go.try_recv() {
                return Err(Stop::Ended);
            }
        }
    }

    /// What comes over the channel, until the delivery is behind or fails.
    fn deliver_fresh(&self, wire: &mut Wire) -> Outcome<()> {
        let mut used = Instant::now();
        loop {
            select! {
                recv(self.fresh) -> items => match items {
                    Ok(mut items) => {
                        // What has come meanwhile goes along.
                        while items.len() < WINDOW && let Ok(more) = self.fresh.try_recv() {
                            items.extend(more);
                        }
                        self.deliver(wire, items)?;
                        used = Instant::now();
                    }
                    Err(_) => return Err(Stop::Ended),
                },
                recv(self.go) -> go => match go {
                    Ok(DeliveryStep::End) | Err(_) => return Err(Stop::Ended),
                    Ok(_) => {}
                },
                default(MOMENT) => {
                    if self.stats.is_behind() && self.fresh.is_empty() {
                        return Ok(());
                    }
                    if used.elapsed() >= QUIET {
                        wire.ping(&self.target)?;
                        used = Instant::now();
                    }
                }
            }
        }
    }

    fn deliver(&self, wire: &mut Wire, mut items: Vec<DeliveryItem>) -> Outcome<()> {
        let mut done = 0;
        self.stats
            .sending(items.first().map_or(0, |item| item.sequence));
        let delivered = wire.deliver(&self.target, &items, &mut done);
        self.stats.sending(0);
        self.stats.delivered(done);
        let rest = items.split_off(done);
        self.report(DeliveryReport::Delivered(items))?;
        if let Err(error) = delivered {
            self.stats.retried(rest.len());
            self.give_back(rest)?;
            return Err(error.into());
        }
        Ok(())
    }

    /// Without a spool record, what was not delivered would be lost.
    fn give_back(&self, items: Vec<DeliveryItem>) -> Outcome<()> {
        match self.durability == Durability::None && !items.is_empty() {
            true => self.report(DeliveryReport::Returned(items)),
            false => Ok(()),
        }
    }

    /// Tells the recorder that the upstream is away, and empties the channel when nothing more can come.
    fn away(&self, error: &io::Error) -> Outcome<()> {
        if self.stats.failed(error) {
            let (name, address) = (&self.target.name, &self.address);
            log::warn!(
                "{name} {address}: {error}; what it misses is kept and delivered when it is back"
            );
        }
        loop {
            match self.ask(DeliveryReport::Away)? {
                DeliveryStep::Known => break,
                DeliveryStep::End => return Err(Stop::Ended),
                _ => {}
            }
        }
        while let Ok(items) = self.fresh.try_recv() {
            self.give_back(items)?;
        }
        Ok(())
    }

    fn report(&self, report: DeliveryReport) -> Outcome<()> {
        let message = RecorderMessage::Delivery(self.id, report);
        self.inbox.send(message).map_err(|_| Stop::Ended)
    }

    /// Reports, and waits for what the recorder says to it.
    fn ask(&self, report: DeliveryReport) -> Outcome<DeliveryStep> {
        self.report(report)?;
        self.go.recv().map_err(|_| Stop::Ended)
    }

    /// Waits, but not past the end.
    fn rest(&self, pause: Duration) -> Outcome<()> {
        match self.go.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(DeliveryStep::End) | Err(RecvTimeoutError::Disconnected) => Err(Stop::Ended),
            Ok(_) => Ok(()),
        }
    }
}
