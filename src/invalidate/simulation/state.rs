//! The servers, deliveries and connections of a simulation, and its events.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::server::{CacheBehaviour, Server};
use super::setup::{self, Running, SERVERS};
use crate::invalidate::change::{ChangeBatch, NewValue, PendingAnswer, ReportedChange};
use crate::invalidate::delivery::DeliveryThread;
use crate::invalidate::message::{Now, RecorderMessage};
use crate::invalidate::settings::{Durability, INBOX, Settings, Target, TargetMode};
use crate::invalidate::spool::memory::SpoolMemory;
use crate::protocol::framing::reply::ReplyShape;
use crate::proxy::simulation::network::ConnectionPipes;
use crate::proxy::simulation::trace;
use crate::proxy::{LaterAnswer, RequestId};

/// Different keys.
pub(super) const KEYS: usize = 6;

/// A change that was reported.
pub(super) struct Reported {
    /// None for all keys.
    pub(super) key: Option<usize>,
    /// The step at which it was reported.
    pub(super) step: u64,
    pub(super) answered: bool,
    /// The number of earlier lists of servers at that time.
    pub(super) list: usize,
}

/// A delivery, with its end of a connection.
pub(super) struct SimulatedDelivery {
    pub(super) thread: DeliveryThread,
    pub(super) connection: Option<usize>,
    /// The time until which it waits for changes.
    pub(super) until: Option<Instant>,
}

/// A connection.
pub(super) struct Connection {
    pub(super) server: usize,
    pub(super) pipes: ConnectionPipes,
    /// The incomplete request that the server has read.
    pub(super) input: Vec<u8>,
    /// The delivery has closed it.
    pub(super) closed: bool,
}

pub(super) struct Simulation {
    pub(super) rng: Rng,
    pub(super) begun: Instant,
    pub(super) passed: Duration,
    /// The error of the clock of dates, in microseconds.
    pub(super) skew: u64,
    pub(super) step: u64,
    pub(super) settings: Settings,
    pub(super) target: Target,
    /// The target with its earlier lists of servers, the oldest first.
    pub(super) earlier: Vec<Target>,
    pub(super) memory: SpoolMemory,
    pub(super) running: Running,
    /// Deliveries that the recorder has started.
    pub(super) started: Arc<Mutex<Vec<DeliveryThread>>>,
    pub(super) deliveries: Vec<SimulatedDelivery>,
    pub(super) connections: slab::Slab<Connection>,
    pub(super) servers: Vec<Server>,
    pub(super) reported: Vec<Reported>,
    /// A planted fault: every answer counts as success.
    pub(super) believes_errors: bool,
}

impl Simulation {
    /// With `forgetful`, it remembers no earlier list of servers.
    pub(super) fn new(mut rng: Rng, forgetful: bool) -> Result<Simulation, String> {
        let mut settings = setup::settings(&mut rng);
        if forgetful {
            settings.remember_rings = Duration::ZERO;
        }
        let target = setup::target(&mut rng);
        let memory = SpoolMemory::default();
        let started = Arc::default();
        let now = Now {
            instant: Instant::now(),
            unix: 1 << 50,
        };
        let running = setup::start(&settings, &target, &memory, &started, now)?;
        let servers = (0..SERVERS)
            .map(|_| Server::new(target.kind, target.binary))
            .collect();
        Ok(Simulation {
            rng,
            begun: now.instant,
            passed: Duration::ZERO,
            skew: 1 << 20,
            step: 0,
            settings,
            target,
            earlier: Vec::new(),
            memory,
            running,
            started,
            deliveries: Vec::new(),
            connections: slab::Slab::new(),
            servers,
            reported: Vec::new(),
            believes_errors: false,
        })
    }

    pub(super) fn now(&self) -> Now {
        Now {
            instant: self.begun + self.passed,
            unix: (1 << 50) + self.skew + self.passed.as_micros() as u64,
        }
    }

    /// One random event.
    pub(super) fn step(&mut self) -> Result<(), String> {
        match self.rng.u8(..10) {
            0 | 1 => self.report(),
            9 => self.passed += Duration::from_millis(self.rng.u64(1..30)),
            _ => {}
        }
        self.go_on()
    }

    /// One random event of the changes under way.
    pub(super) fn go_on(&mut self) -> Result<(), String> {
        self.step += 1;
        match self.rng.u8(..4) {
            0 => self.record(),
            1 if !self.connections.is_empty() => {
                let number = self.rng.usize(..self.connections.len());
                let key = self.connections.iter().nth(number).map(|(key, _)| key);
                key.map_or(Ok(()), |key| self.carry(key))?;
            }
            _ => {
                let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
                self.deliveries
                    .extend(started.drain(..).map(|thread| SimulatedDelivery {
                        thread,
                        connection: None,
                        until: None,
                    }));
                drop(started);
                if !self.deliveries.is_empty() {
                    let number = self.rng.usize(..self.deliveries.len());
                    self.run(number);
                }
            }
        }
        Ok(())
    }

    /// A fault begins or ends.
    pub(super) fn go_wrong(&mut self) -> Result<(), String> {
        let server = self.rng.usize(..SERVERS);
        match self.rng.u8(..14) {
            0 => {
                self.servers[server].behaviour = CacheBehaviour::Refuses;
                self.hang_up(|connection| connection.server == server);
            }
            1 => self.servers[server].behaviour = CacheBehaviour::Frozen,
            2 => self.servers[server].behaviour = CacheBehaviour::Full,
            3 => self.servers[server].behaviour = CacheBehaviour::Lies,
            4 | 8 => self.hang_up(|connection| connection.server == server),
            9 => self.servers[server].behaviour = CacheBehaviour::Full,
            5 => self.passed += Duration::from_millis(self.rng.u64(1..3000)),
            6 => self.skew = self.rng.u64(..1 << 21),
            7 if self.settings.durability == Durability::Os => self.crash()?,
            _ => self.servers[server].behaviour = CacheBehaviour::Well,
        }
        Ok(())
    }

    /// A client reports changes.
    fn report(&mut self) {
        if self.running.inbox.len() >= INBOX {
            return;
        }
        let mut batch = ChangeBatch::new(self.running.answers.0.clone());
        for _ in 0..self.rng.usize(1..4) {
            let number = self.reported.len() as u64;
            let key = (self.rng.u8(..16) > 0).then(|| self.rng.usize(..KEYS));
            let value = self.rng.bool().then(|| NewValue {
                flags: 0,
                expires: 0,
                bytes: number.to_string().into_bytes().into(),
            });
            batch.changes.push(match key {
                Some(key) => ReportedChange::Key(name(key).into_bytes().into(), value),
                None => ReportedChange::All,
            });
            let request_id = RequestId {
                client: (0, 0),
                sequence: number,
            };
            let bytes = b"STORED\r\n".into();
            batch.answers.push(PendingAnswer {
                shape: ReplyShape::Line,
                answer: LaterAnswer { request_id, bytes },
            });
            let (step, change) = (self.step, batch.changes.last());
            trace(|| format!("step {step} change {number} {change:?}"));
            self.reported.push(Reported {
                key,
                step: self.step,
                answered: false,
                list: self.earlier.len(),
            });
        }
        // The recorder runs, and has room.
        let _ = self.running.sender.try_send(RecorderMessage::Batch(batch));
    }

    /// The recorder takes some messages, and records them.
    fn record(&mut self) {
        let now = self.now();
        for _ in 0..self.rng.usize(..8) {
            if let Ok(message) = self.running.inbox.try_recv() {
                self.running.recorder.handle(message, now);
            }
        }
        self.running.recorder.record(now);
        while let Ok(answers) = self.running.answers.1.try_recv() {
            for LaterAnswer { request_id, bytes } in answers {
                let answered = self.believes_errors || bytes.starts_with(b"STORED");
                self.reported[request_id.sequence as usize].answered = answered;
            }
        }
    }

    /// A piece of a delivery's requests arrives at the server.
    fn carry(&mut self, key: usize) -> Result<(), String> {
        let connection = &mut self.connections[key];
        let server = &mut self.servers[connection.server];
        if matches!(server.behaviour, CacheBehaviour::Frozen) {
            return Ok(());
        }
        let piece = connection.pipes.outward.receive(Some(&mut self.rng));
        connection.input.extend(piece);
        server.serve(&mut connection.input, &mut connection.pipes, self.step)?;
        if connection.closed && connection.pipes.outward.is_empty() {
            self.connections.remove(key);
        }
        Ok(())
    }

    /// Servers close connections. Executed requests may be unanswered.
    fn hang_up(&mut self, which: impl Fn(&Connection) -> bool) {
        for (_, connection) in &mut self.connections {
            if which(connection) {
                connection.pipes.outward.cut();
                match self.rng.bool() {
                    true => connection.pipes.inward.cut(),
                    false => connection.pipes.inward.end(),
                }
            }
        }
    }

    /// The list of servers changes while it runs, or while it is killed; sometimes between a pool and replicas, too.
    pub(super) fn change_list(&mut self, rng: &mut Rng) -> Result<(), String> {
        let mut target = self.target.clone();
        target.servers = setup::list(rng);
        if rng.u8(..4) == 0 {
            target.mode = match target.mode {
                TargetMode::Pool => TargetMode::Replicas,
                TargetMode::Replicas => TargetMode::Pool,
            };
        }
        let (step, servers) = (self.step, target.servers.servers());
        trace(|| format!("step {step} the list is {:?} {servers:?}", target.mode));
        let before = std::mem::replace(&mut self.target, target.clone());
        self.earlier.push(before);
        if self.settings.durability == Durability::Os && rng.u8(..4) == 0 {
            return self.crash();
        }
        let (done, outcome) = crossbeam_channel::bounded(1);
        let now = self.now();
        let replace = RecorderMessage::Replace(vec![target], done);
        self.running.recorder.handle(replace, now);
        let replaced = outcome.try_recv().map_err(|error| error.to_string())?;
        if replaced.is_err() {
            // The disk is full; the old list stays.
            self.target = self.earlier.pop().ok_or("the list before")?;
        }
        Ok(())
    }

    /// The process is killed, and started again.
    fn crash(&mut self) -> Result<(), String> {
        self.memory = self.memory.killed();
        self.deliveries.clear();
        self.connections.clear();
        let started: Arc<Mutex<Vec<DeliveryThread>>> = Arc::default();
        let now = self.now();
        self.running = setup::start(&self.settings, &self.target, &self.memory, &started, now)?;
        self.started = started;
        Ok(())
    }
}

pub(super) fn name(key: usize) -> String {
    format!("key{key}")
}
