//! Handing connections from worker to worker when the number of active workers changes.
//!
//! ```text
//!   first worker: ten times a second while it has work ──▶ ActiveWorkers ──▶ active: 1 → 2, all are woken
//!   each worker:  active changed? hand over what is above its share ──channel──▶ the worker with the fewest
//! ```
//!
//! A connection moves between two turns, with its session, its input and its output. The worker that receives it gives
//! it a turn at once, so no bytes that arrived meanwhile are missed.
//!
//! Cost: a comparison each round. A change costs a message and two registrations for each connection that moves.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::active_workers::ActiveWorkers;
use super::client::Client;
use super::pinning::{self, Crowded};
use super::polling::{IdleCore, Polling};
use super::worker_load::{self, WorkerLoad};
use crate::server::acceptor::Accepted;
use crate::server::connections::Connections;
use crate::server::workers::{WorkerHandle, WorkerHandles};

/// A connection on its way to a worker.
pub(in crate::server) enum Incoming {
    New(Accepted),
    Moved(Box<Client>),
}

impl From<Accepted> for Incoming {
    fn from(accepted: Accepted) -> Incoming {
        Incoming::New(accepted)
    }
}

/// The workers of a server, for each other.
pub(in crate::server) struct WorkerGroup {
    /// The number of workers that run connections.
    active: Arc<AtomicUsize>,
    /// Set once all workers have started. Weak, because the workers end when the acceptors drop the
    /// handles.
    handles: OnceLock<Weak<WorkerHandles<Incoming>>>,
    /// The files in which the kernel counts the time of each worker's thread.
    threads: Vec<OnceLock<String>>,
    /// Nanoseconds that each worker has polled.
    polled: Vec<AtomicU64>,
    /// Whether a core would be idle if no worker polled.
    idle_core: AtomicBool,
    /// Whether the workers share all cores with other threads.
    crowded: AtomicBool,
    /// The cores that the process may use.
    cores: Vec<usize>,
    least: usize,
}

impl WorkerGroup {
    /// A group of `most` workers, of which `least` are always active.
    pub(in crate::server) fn new(least: usize, most: usize) -> WorkerGroup {
        WorkerGroup {
            active: Arc::new(least.into()),
            handles: OnceLock::new(),
            threads: (0..most).map(|_| OnceLock::new()).collect(),
            polled: (0..most).map(|_| AtomicU64::new(0)).collect(),
            idle_core: AtomicBool::new(false),
            crowded: AtomicBool::new(false),
            cores: worker_load::allowed_cores("/proc/self/status").unwrap_or_default(),
            least,
        }
    }

    /// The number of workers.
    pub(super) fn most(&self) -> usize {
        self.threads.len()
    }

    /// The handles of all workers together, for the acceptors and, as long as these have them, for the workers.
    pub(super) fn assemble(
        &self,
        handles: Vec<WorkerHandle<Incoming>>,
    ) -> Arc<WorkerHandles<Incoming>> {
        let handles = Arc::new(WorkerHandles::new(handles, Arc::clone(&self.active)));
        let _ = self.handles.set(Arc::downgrade(&handles));
        handles
    }

    fn handles(&self) -> Option<Arc<WorkerHandles<Incoming>>> {
        self.handles.get()?.upgrade()
    }
}

/// One worker's part in it.
pub(super) struct Balance {
    group: Arc<WorkerGroup>,
    index: usize,
    polling: Polling,
    /// It is bound to one core.
    bound: bool,
    /// The number of active workers that this one has acted upon.
    seen: usize,
    /// The state with which the first worker decides how many are active.
    watch: Option<LoadWatch>,
}

struct LoadWatch {
    next: u64,
    load: WorkerLoad,
    rule: ActiveWorkers,
    idle_core: IdleCore,
    crowded: Crowded,
}

impl Balance {
    /// For the worker of this number. Called on its thread.
    pub(super) fn begin(group: &Arc<WorkerGroup>, index: usize) -> Balance {
        let (least, most) = (group.least, group.threads.len());
        if let Some(path) = worker_load::this_thread() {
            let _ = group.threads[index].set(path);
        }
        let load = (index == 0).then(WorkerLoad::new).flatten();
        Balance {
            group: Arc::clone(group),
            index,
            polling: Polling::default(),
            bound: false,
            seen: least,
            watch: load.map(|load| LoadWatch {
                next: 0,
                load,
                rule: ActiveWorkers::new(least, most),
                idle_core: IdleCore::default(),
                crowded: Crowded::default(),
            }),
        }
    }

    /// Once a round, in milliseconds: the first worker decides how many are active.
    pub(super) fn look(&mut self, now: u64, connections: &Connections) {
        let Some(watch) = &mut self.watch else {
            return;
        };
        if now < watch.next {
            return;
        }
        let before = self.group.active.load(Relaxed);
        let threads = self
            .group
            .threads
            .iter()
            .zip(&self.group.polled)
            .take(before);
        let threads =
            threads.filter_map(|(path, polled)| Some((path.get()?.as_str(), polled.load(Relaxed))));
        let figures = watch.load.look(threads, connections);
        let active = figures.as_ref().map_or(before, |figures| {
            let idle_core = watch.idle_core.look(figures);
            self.group.idle_core.store(idle_core, Relaxed);
            let crowded = watch.crowded.look(figures);
            self.group.crowded.store(crowded, Relaxed);
            watch.rule.look(figures)
        });
        watch.next = now + watch.rule.next_look();
        if active != before
            && let Some(handles) = self.group.handles()
        {
            log::debug!("{active} workers instead of {before} run connections: {figures:?}");
            handles.set_active(active);
        }
    }

    /// Once a round: binds this worker to a core of its own while the cores are crowded.
    pub(super) fn place(&mut self) {
        let (group, cores) = (&self.group, &self.group.cores);
        let several = self.seen > 1 && self.seen <= cores.len();
        let bound = several && self.index < self.seen && group.crowded.load(Relaxed);
        if std::mem::replace(&mut self.bound, bound) != bound {
            pinning::bind(match bound {
                true => &cores[self.index..][..1],
                false => cores,
            });
        }
    }

    /// Whether this worker polls before it sleeps.
    pub(super) fn may_poll(&mut self) -> bool {
        self.group.idle_core.load(Relaxed) && self.polling.begins()
    }

    /// Notes how long it has polled, and whether it has found an event.
    pub(super) fn polled(&mut self, time: Duration, found: bool) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.group.polled[self.index].fetch_add(nanoseconds, Relaxed);
        self.polling.ended(found);
    }

    /// Once a round: if the number of active workers has changed, the workers that get connections, and the number
    /// of its own that this one hands over.
    pub(super) fn surplus(
        &mut self,
        index: usize,
        connections: usize,
    ) -> Option<(Arc<WorkerHandles<Incoming>>, usize)> {
        let active = self.group.active.load(Relaxed);
        if std::mem::replace(&mut self.seen, active) == active {
            return None;
        }
        let handles = self.group.handles()?;
        let share = if index < active { handles.share() } else { 0 };
        let surplus = connections.saturating_sub(share);
        (surplus > 0).then_some((handles, surplus))
    }
}

/// So many of these numbers, evenly over the whole range: a worker hands over old and new connections alike, as if each had
/// been sent to the worker with the fewest when it arrived.
pub(super) fn evenly(all: &[usize], count: usize) -> impl Iterator<Item = usize> {
    let before = move |place: usize| place * count / all.len();
    let places = (0..all.len()).filter(move |&place| before(place) < before(place + 1));
    places.map(|place| all[place])
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::atomic::Ordering::Relaxed;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::server::{Connections, Server, limits};
    use crate::service::echo::Echo;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A server with two workers whose number of active ones the test changes.
    fn start(group: &Arc<WorkerGroup>) -> crate::server::Running {
        let connections = Connections::new();
        Server::new(Arc::clone(&connections))
            .listen("127.0.0.1:0".parse().unwrap(), Arc::new(Echo))
            .start_on(2, "worker", 4, |pool| {
                let workers =
                    super::super::start(pool, group, &connections, None, limits::MAX_INPUT)?;
                let workers: Arc<dyn crate::server::acceptor::Dispatch> = workers;
                Ok(workers)
            })
            .unwrap()
    }

    fn connect(server: &crate::server::Running) -> TcpStream {
        let client = TcpStream::connect(server.addresses()[0].tcp().unwrap()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    fn ask(client: &mut TcpStream, text: &str) {
        client.write_all(text.as_bytes()).unwrap();
        let mut answer = vec![0; text.len()];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, text.as_bytes());
    }

    /// Waits until the workers have these numbers of connections.
    fn wait_for(group: &WorkerGroup, loads: [usize; 2]) {
        let deadline = Instant::now() + PATIENCE;
        while group.handles().unwrap().loads() != loads {
            assert!(
                Instant::now() < deadline,
                "{:?}",
                group.handles().unwrap().loads()
            );
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn every_other_connection_is_handed_over_if_it_is_half_of_them() {
        let chosen = |count| evenly(&[10, 11, 12, 13, 14, 15], count).collect::<Vec<_>>();
        assert!(chosen(0).is_empty());
        assert_eq!(chosen(1), [15]);
        assert_eq!(chosen(3), [11, 13, 15]);
        assert_eq!(chosen(6), [10, 11, 12, 13, 14, 15]);
    }

    #[test]
    fn connections_move_with_their_buffers_and_lose_nothing() {
        let group = Arc::new(WorkerGroup::new(1, 2));
        let server = start(&group);
        let mut clients: Vec<TcpStream> = (0..9).map(|_| connect(&server)).collect();
        for client in &mut clients {
            ask(client, "whole\n");
            // Half a line stays with the server.
            client.write_all(b"ha").unwrap();
        }
        wait_for(&group, [9, 0]);
        for (active, loads) in [(2, [5, 4]), (1, [9, 0]), (2, [5, 4])] {
            group.handles().unwrap().set_active(active);
            wait_for(&group, loads);
            for client in &mut clients {
                client.write_all(b"lf\nha").unwrap();
                let mut answer = [0; 5];
                client.read_exact(&mut answer).unwrap();
                assert_eq!(&answer, b"half\n");
            }
        }
        // New ones go to the worker that has fewer.
        let mut last = connect(&server);
        ask(&mut last, "new\n");
        wait_for(&group, [5, 5]);
        drop(clients);
        wait_for(&group, [0, 1]);
        server.shutdown(Duration::from_secs(1));
        assert_eq!(group.active.load(Relaxed), 2);
        assert!(group.handles().is_none());
    }

    #[test]
    fn a_server_whose_connections_are_moving_ends() {
        for _ in 0..20 {
            let group = Arc::new(WorkerGroup::new(1, 2));
            let server = start(&group);
            let clients: Vec<TcpStream> = (0..20).map(|_| connect(&server)).collect();
            let handles = group.handles().unwrap();
            thread::scope(|scope| {
                scope.spawn(move || {
                    for active in [2, 1, 2, 1] {
                        handles.set_active(active);
                    }
                });
                server.shutdown(PATIENCE);
            });
            drop(clients);
        }
    }
}
