//! The start of a simulation: random settings, a random target, and a recorder.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use fastrand::Rng;

use crate::invalidate::delivery::DeliveryThread;
use crate::invalidate::message::{Now, RecorderMessage};
use crate::invalidate::recorder::Recorder;
use crate::invalidate::settings::{
    Durability, ForgetMethod, Settings, Target, TargetKind, TargetMode,
};
use crate::invalidate::spool::memory::SpoolMemory;
use crate::invalidate::stats::InvalidationStats;
use crate::pool::ServerList;
use crate::proxy::{AnswerSender, LaterAnswer};

/// Servers of the target. Their ports are their numbers, from 1.
pub(super) const SERVERS: usize = 3;

/// A recorder, and its sender.
pub(super) struct Running {
    pub(super) recorder: Recorder,
    pub(super) inbox: Receiver<RecorderMessage>,
    pub(super) sender: Sender<RecorderMessage>,
    pub(super) answers: (AnswerSender, Receiver<Vec<LaterAnswer>>),
    pub(super) stats: Arc<InvalidationStats>,
}

pub(super) fn settings(rng: &mut Rng) -> Settings {
    Settings {
        durability: match rng.u8(..3) {
            0 => Durability::None,
            _ => Durability::Os,
        },
        workers: rng.usize(1..4),
        max_pending: if rng.bool() { 1000 } else { 4 },
        max_age: rng.bool().then(|| Duration::from_millis(500)),
        timeout: Duration::from_millis(400),
        ..Settings::new("nowhere")
    }
}

/// Some of the servers, in any order and with any weights.
pub(super) fn list(rng: &mut Rng) -> ServerList {
    let mut numbers: Vec<usize> = (1..=SERVERS).collect();
    rng.shuffle(&mut numbers);
    numbers.truncate(rng.usize(1..=SERVERS));
    let lines = numbers
        .into_iter()
        .map(|number| format!("server:{number} {}\n", rng.u32(1..4)));
    let list = lines.collect::<String>().parse();
    list.expect("a list of servers")
}

pub(super) fn target(rng: &mut Rng) -> Target {
    let list = (0..SERVERS).map(|number| format!("server:{} 1\n", number + 1));
    let list = list.collect::<String>().parse();
    let mut target = Target::new("target", list.expect("a list of servers"));
    if rng.bool() {
        target.mode = TargetMode::Replicas;
    }
    if rng.bool() {
        target.kind = TargetKind::Redis;
        target.password = rng.bool().then(|| "secret".to_owned());
        target.database = rng.u32(..2);
    }
    target.binary = target.kind == TargetKind::Memcached && rng.bool();
    target.forget = match (rng.u8(..3), target.kind) {
        (0, _) => ForgetMethod::Update,
        (1, TargetKind::Memcached) if !target.binary => ForgetMethod::Stale,
        _ => ForgetMethod::Delete,
    };
    if rng.u8(..4) == 0 {
        target.again = Some(Duration::from_millis(50));
    }
    target
}

pub(super) fn start(
    settings: &Settings,
    target: &Target,
    memory: &SpoolMemory,
    started: &Arc<Mutex<Vec<DeliveryThread>>>,
    now: Now,
) -> Result<Running, String> {
    let (spool, _) = memory.open()?;
    let (sender, inbox) = crossbeam_channel::unbounded();
    let stats = Arc::new(InvalidationStats::default());
    let started = Arc::clone(started);
    let start = move |thread| {
        let mut started = started.lock().unwrap_or_else(PoisonError::into_inner);
        started.push(thread);
        Ok(())
    };
    let recorder = Recorder::new(
        settings.clone(),
        vec![target.clone()],
        (spool, false),
        (sender.clone(), Box::new(start)),
        Arc::clone(&stats),
        now,
    )?;
    Ok(Running {
        recorder,
        inbox,
        sender,
        answers: AnswerSender::new(Arc::new(|| Ok(()))),
        stats,
    })
}
