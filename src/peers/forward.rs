//! The threads that send commands to the owners of their keys, each one at a time.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::origin::{Answer, Exchange, PeerRequest};

use super::group::{Group, PeerError};
use super::mark::PeerPurpose;
use super::pending::ALL_KEYS;
use super::statistics::PeerStatistics;

/// Commands that are under way at a time.
const THREADS: usize = 16;

/// Commands that may wait for a thread. Further ones get an error.
const QUEUE: usize = 1024;

enum Job {
    Send(PeerRequest, Arc<Exchange>, Instant),
    Flush(Arc<Exchange>, Instant),
    End,
}

/// The queue of the threads.
#[derive(Debug)]
pub(super) struct Forwarder {
    group: Arc<Group>,
    jobs: Sender<Job>,
}

impl Forwarder {
    /// Starts the threads, which end with [`end`](Forwarder::end).
    ///
    /// Values in replies may have `max_value` bytes.
    pub(super) fn start(
        group: &Arc<Group>,
        max_value: usize,
    ) -> io::Result<(Forwarder, Vec<JoinHandle<()>>)> {
        let (jobs, queue) = bounded(QUEUE);
        let forwarder = Forwarder {
            group: Arc::clone(group),
            jobs,
        };
        let mut threads = Vec::new();
        for number in 0..THREADS {
            let (group, queue) = (Arc::clone(group), queue.clone());
            let thread = thread::Builder::new().name(format!("forward {number}"));
            match thread.spawn(move || run(&group, &queue, max_value)) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    forwarder.end(threads.len());
                    return Err(error);
                }
            }
        }
        Ok((forwarder, threads))
    }

    /// Queues a command.
    pub(super) fn forward(&self, request: PeerRequest) -> Arc<Exchange> {
        let exchange = Arc::new(Exchange::default());
        let deadline = Instant::now() + self.group.settings.timeout;
        let job = Job::Send(request, Arc::clone(&exchange), deadline);
        self.queue(job, exchange)
    }

    /// Queues the removal of all keys of all peers, which ends with [`Answer::Mine`].
    pub(super) fn flush(&self) -> Arc<Exchange> {
        let exchange = Arc::new(Exchange::default());
        let deadline = Instant::now() + self.group.settings.timeout;
        let job = Job::Flush(Arc::clone(&exchange), deadline);
        self.queue(job, exchange)
    }

    fn queue(&self, job: Job, exchange: Arc<Exchange>) -> Arc<Exchange> {
        if let Err(TrySendError::Full(_)) = self.jobs.try_send(job) {
            PeerStatistics::add(&self.group.statistics.queue_full);
            return Exchange::ended(Answer::Failed(
                "SERVER_ERROR too many commands wait for peers".into(),
            ));
        }
        exchange
    }

    /// Ends this many threads.
    pub(super) fn end(&self, threads: usize) {
        for _ in 0..threads {
            // It fails when no thread is left.
            let _ = self.jobs.send(Job::End);
        }
    }
}

fn run(group: &Group, queue: &Receiver<Job>, max_value: usize) {
    while let Ok(job) = queue.recv() {
        match job {
            Job::Send(request, exchange, deadline) => {
                exchange.end(answer(group, &request, deadline, max_value));
            }
            Job::Flush(exchange, deadline) => {
                flush(group, deadline);
                exchange.end(Answer::Mine);
            }
            Job::End => return,
        }
    }
}

/// Has all peers remove all keys. One that doesn't do so by the deadline does it when it answers again.
fn flush(group: &Group, deadline: Instant) {
    let request = PeerRequest::new("md", &[ALL_KEYS], Vec::new());
    for peer in group.members().peers() {
        let purpose = PeerPurpose::Flushed;
        let is_down = peer.client.is_ejected();
        if is_down || group.ask(peer, &request, purpose, deadline, 0).is_err() {
            peer.mailbox.flush();
        }
    }
}

/// Sends a command to the owner of its key. A peer to which nothing could be sent is skipped.
fn answer(group: &Group, request: &PeerRequest, deadline: Instant, max_value: usize) -> Answer {
    for _ in 0..=group.members().len() {
        let members = group.members();
        let Some(peer) = members.owner(request.key()) else {
            return Answer::Mine;
        };
        PeerStatistics::add(&group.statistics.forwards);
        let address = peer.client.address();
        return match group.ask(peer, request, PeerPurpose::Own, deadline, max_value) {
            Ok(reply) => Answer::Reply(reply),
            Err(PeerError::Skip) if deadline > Instant::now() => continue,
            Err(PeerError::Skip) => {
                failed(group, format!("SERVER_ERROR peer {address} is unavailable"))
            }
            Err(PeerError::Unanswered(why)) => failed(
                group,
                format!("SERVER_ERROR peer {why}; the command may have been executed"),
            ),
            Err(PeerError::Refused(why)) => Answer::Failed(why),
            Err(PeerError::TooLarge(_)) => Answer::Failed(format!(
                "SERVER_ERROR peer {address} sent a value that is too large"
            )),
        };
    }
    failed(group, "SERVER_ERROR no peer is available".into())
}

fn failed(group: &Group, why: String) -> Answer {
    PeerStatistics::add(&group.statistics.failures);
    Answer::Failed(why)
}
