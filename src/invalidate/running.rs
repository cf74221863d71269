//! A started invalidation server: its end, and its targets while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use crate::invalidate::message::RecorderMessage;
use crate::invalidate::monitor::Monitor;
use crate::invalidate::settings::Target;
use crate::invalidate::stats::InvalidationStats;
use crate::invalidate::target;
use crate::proxy::{self, Protocol};
use crate::server::{self, Address, Handle};

/// A started invalidation server. Dropping it ends it; undelivered changes stay in the spool.
pub struct Running {
    pub(super) listeners: Vec<(Protocol, server::Running)>,
    /// The forwarding of each listener.
    pub(super) proxies: Vec<proxy::Monitor>,
    recorder: Option<JoinHandle<()>>,
    inbox: Sender<RecorderMessage>,
    grace: Duration,
    stats: Arc<InvalidationStats>,
}

impl Running {
    pub(super) fn new(
        recorder: JoinHandle<()>,
        inbox: Sender<RecorderMessage>,
        grace: Duration,
        stats: Arc<InvalidationStats>,
    ) -> Running {
        Running {
            listeners: Vec::new(),
            proxies: Vec::new(),
            recorder: Some(recorder),
            inbox,
            grace,
            stats,
        }
    }

    /// Reads the figures, for programs that watch it.
    pub(crate) fn monitor(&self) -> Monitor {
        let listeners = self.listeners.iter();
        Monitor {
            stats: Arc::clone(&self.stats),
            proxies: self.proxies.clone(),
            handles: listeners.map(|(_, running)| running.handle()).collect(),
        }
    }

    /// The listeners, with protocol and address.
    pub fn listeners(&self) -> impl Iterator<Item = (Protocol, &Address)> {
        self.listeners.iter().flat_map(|(protocol, listener)| {
            let addresses = listener.addresses().iter();
            addresses.map(move |address| (*protocol, address))
        })
    }

    /// Handles to end the listeners from another thread; a thread must be in [`Running::join`].
    pub fn handles(&self) -> Vec<Handle> {
        self.listeners
            .iter()
            .map(|(_, listener)| listener.handle())
            .collect()
    }

    /// Waits until the listeners have ended, then delivers the changes under way. The others stay in
    /// the spool.
    pub fn join(mut self) {
        for (_, listener) in self.listeners.drain(..) {
            listener.join();
        }
        self.end(self.grace);
    }

    fn end(&mut self, grace: Duration) {
        let Some(recorder) = self.recorder.take() else {
            return;
        };
        let stop = RecorderMessage::Stop(Instant::now() + grace);
        // The recorder ends for no other reason, unless it has panicked, which `join` reports.
        let _ = self.inbox.send(stop);
        if recorder.join().is_err() {
            log::error!("the recorder panicked; all answered changes are in the spool");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.listeners.clear();
        self.end(Duration::ZERO);
    }
}

/// Changes a running invalidation server.
pub struct Control {
    pub(super) inbox: Sender<RecorderMessage>,
    pub(super) proxies: Vec<(Protocol, proxy::Control)>,
    pub(super) wants_values: Arc<AtomicBool>,
}

impl Control {
    /// Replaces the targets. A server that stays is unaffected; one that comes back is flushed first.
    ///
    /// # Errors
    /// A sentence for a person; then the old targets stay.
    pub fn replace_targets(&self, targets: Vec<Target>) -> Result<(), String> {
        target::check(&targets)?;
        self.wants_values
            .fetch_or(target::wants_values(&targets), Relaxed);
        let lists: Vec<_> = self
            .proxies
            .iter()
            .filter_map(|(protocol, proxy)| {
                Some((
                    proxy,
                    target::readable(*protocol, &targets)?.servers.clone(),
                ))
            })
            .collect();
        let (done, outcome) = bounded(1);
        let ended = "the recorder has ended";
        self.inbox
            .send(RecorderMessage::Replace(targets, done))
            .map_err(|_| ended)?;
        outcome.recv().map_err(|_| ended)??;
        for (proxy, servers) in lists {
            proxy.replace_servers(&servers);
        }
        Ok(())
    }
}
