//! The threads of a node that has peers, and what its services ask.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::origin::{self, Exchange, FetchThreads, PeerRequest, ReadThrough};
use crate::store::Store;

use super::courier;
use super::forward::Forwarder;
use super::group::Group;
use super::link::Peers;
use super::mark::PeerMark;
use super::members::Peer;
use super::settings::PeerSettings;
use super::source::PeerSource;
use super::statistics::PeerStatistics;

/// The part that sessions use.
#[derive(Debug)]
pub(crate) struct PeerLink {
    group: Arc<Group>,
    reads: Arc<ReadThrough>,
    forwarder: Forwarder,
}

/// The threads. Dropping it ends them when their requests have ended, which deadlines bound.
#[derive(Debug)]
pub(crate) struct RunningPeers {
    link: Arc<PeerLink>,
    _fetch_threads: FetchThreads,
    forwarders: Vec<JoinHandle<()>>,
    couriers: Mutex<Vec<JoinHandle<()>>>,
}

/// Why peers could not be started.
pub(crate) enum PeerStartError {
    /// The list, in a sentence for a person.
    List(String),
    /// The system has no threads left.
    Threads(io::Error),
}

impl RunningPeers {
    /// Starts the threads.
    pub(crate) fn start(
        store: &Arc<Store>,
        settings: PeerSettings,
        max_item_size: usize,
    ) -> Result<RunningPeers, PeerStartError> {
        let group = Arc::new(Group::new(settings).map_err(PeerStartError::List)?);
        let source = Arc::new(PeerSource(Arc::clone(&group)));
        let reads = read_settings(&group.settings);
        let fetch_threads = FetchThreads::start_for_copies(store, source, reads, max_item_size)
            .map_err(PeerStartError::Threads)?;
        let (forwarder, forwarders) =
            Forwarder::start(&group, store.max_item_size()).map_err(PeerStartError::Threads)?;
        let running = RunningPeers {
            link: Arc::new(PeerLink {
                reads: Arc::clone(fetch_threads.read_through()),
                group,
                forwarder,
            }),
            _fetch_threads: fetch_threads,
            forwarders,
            couriers: Mutex::default(),
        };
        let members = running.link.group.members();
        for peer in members.peers() {
            running
                .start_courier(peer)
                .map_err(PeerStartError::Threads)?;
        }
        Ok(running)
    }

    /// The part that sessions use.
    pub(crate) fn link(&self) -> Arc<dyn Peers> {
        self.link.clone()
    }

    /// Reads the list again. After an error the old one stays.
    pub(crate) fn reload(&self) -> Result<(), String> {
        for peer in self.link.group.reload()? {
            if let Err(error) = self.start_courier(&peer) {
                log::error!(
                    "peer {}: changes can't be sent to it: {error}",
                    peer.client.address()
                );
            }
        }
        Ok(())
    }

    fn start_courier(&self, peer: &Arc<Peer>) -> io::Result<()> {
        let courier = courier::start(&self.link.group, peer)?;
        let mut couriers = self.couriers.lock().unwrap_or_else(PoisonError::into_inner);
        couriers.retain(|courier| !courier.is_finished());
        couriers.push(courier);
        Ok(())
    }
}

impl Drop for RunningPeers {
    fn drop(&mut self) {
        let members = self.link.group.members();
        members.peers().for_each(|peer| peer.mailbox.close());
        self.link.forwarder.end(self.forwarders.len());
        let couriers = self.couriers.get_mut();
        let couriers = couriers.unwrap_or_else(PoisonError::into_inner);
        for thread in self.forwarders.drain(..).chain(couriers.drain(..)) {
            // A panic has been logged already.
            let _ = thread.join();
        }
    }
}

/// Copies are kept for their time and not refreshed. A key that the owner doesn't have is remembered for as long.
fn read_settings(settings: &PeerSettings) -> origin::Settings {
    origin::Settings {
        fresh: settings.copy_ttl,
        negative_ttl: settings.copy_ttl,
        retry: settings.copy_ttl,
        timeout: settings.timeout,
        ..origin::Settings::default()
    }
}

impl Peers for PeerLink {
    fn owns(&self, key: &[u8]) -> bool {
        self.group.members().owner(key).is_some()
    }

    fn owner(&self, key: &[u8]) -> Option<String> {
        let members = self.group.members();
        members
            .owner(key)
            .map(|peer| peer.client.address().to_owned())
    }

    fn reads(&self) -> &Arc<ReadThrough> {
        &self.reads
    }

    fn forward(&self, request: PeerRequest) -> Arc<Exchange> {
        self.forwarder.forward(request)
    }

    fn tell_changed(&self, key: &[u8], except: Option<&str>) {
        for peer in self.group.members().peers() {
            if except == Some(peer.client.address()) {
                continue;
            }
            let lost = peer.mailbox.add(key, !peer.client.is_ejected());
            for _ in 0..lost {
                PeerStatistics::add(&self.group.statistics.changes_lost);
            }
        }
    }

    fn flush(&self) -> Arc<Exchange> {
        self.forwarder.flush()
    }

    fn note_request(&self, mark: &PeerMark, key: Option<&[u8]>) -> bool {
        let statistics = &self.group.statistics;
        PeerStatistics::add(&statistics.requests);
        let members = self.group.members();
        if key.is_some_and(|key| members.owner(key).is_some()) {
            PeerStatistics::add(&statistics.not_mine);
        }
        let is_loop = mark.sender == self.group.settings.own;
        if is_loop {
            PeerStatistics::add(&statistics.loops);
            self.group.faults.note(Instant::now(), || {
                format!(
                    "{}: a request of this node came back to it and gets an error; an address in the list leads back to \
                     this node, or another node has the same --peer-self",
                    mark.sender
                )
            });
        } else if mark.list != members.fingerprint {
            PeerStatistics::add(&statistics.lists_differ);
            self.group.faults.note(Instant::now(), || {
                format!(
                    "{} has another list of peers: keys may be fetched more than once or be missed; give all nodes the same \
                     {}",
                    mark.sender,
                    self.group.settings.list.display()
                )
            });
        }
        !is_loop
    }

    fn note_refusal(&self) {
        PeerStatistics::add(&self.group.statistics.refused);
    }

    fn statistics(&self) -> Vec<(&'static str, u64)> {
        let members = self.group.members();
        let ejected = members.peers().filter(|peer| peer.client.is_ejected());
        let waiting: usize = members.peers().map(|peer| peer.mailbox.len()).sum();
        let mut lines = vec![
            ("peer_nodes", members.len() as u64),
            ("peer_nodes_skipped", ejected.count() as u64),
        ];
        lines.extend(self.group.statistics.lines());
        lines.push(("peer_changes_waiting", waiting as u64));
        lines
    }
}
