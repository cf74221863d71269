//! The thread that sends one peer the keys that were changed here, and notices when the peer dies, hangs or returns.
//!
//! A peer that returns gets its changes with the request that probes it. So it has dropped what was changed meanwhile before this
//! node uses it again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};

use crate::client::write_quiet_delete;

use super::group::Group;
use super::mark::PeerPurpose;
use super::members::Peer;
use super::pending::{ALL_KEYS, ChangeBatch};

/// Starts the thread of a peer. It ends when the mailbox is closed.
pub(super) fn start(group: &Arc<Group>, peer: &Arc<Peer>) -> io::Result<JoinHandle<()>> {
    let (group, peer) = (Arc::clone(group), Arc::clone(peer));
    let thread = thread::Builder::new().name("peer changes".into());
    thread.spawn(move || run(&group, &peer))
}

fn run(group: &Group, peer: &Peer) {
    while let Some(batch) = peer.mailbox.next() {
        let (requests, count) = requests(group, &batch);
        match peer.client.send_quietly(requests, count) {
            Ok(()) => {
                let sent = &group.statistics.changes_sent;
                sent.fetch_add(count as u64, Relaxed);
            }
            Err(_) => peer.mailbox.put_back(batch),
        }
    }
}

/// The requests of a batch, and their number.
fn requests(group: &Group, batch: &ChangeBatch) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let mut count = 0;
    if batch.flush {
        let mark = group.mark(PeerPurpose::Flushed);
        count += usize::from(write_quiet_delete(&mut out, ALL_KEYS, &mark));
    }
    let mark = group.mark(PeerPurpose::Changed);
    for key in &batch.keys {
        count += usize::from(write_quiet_delete(&mut out, key, &mark));
    }
    (out, count)
}
