//! Whole proxies in one thread: a [`Forwarder`] between scripted clients and servers, over a network that a seed drives.
//!
//! ```text
//!   Client ─▶ ConnectionPipes ─▶ Forwarder ─▶ ConnectionPipes ─▶ Server
//!     ▲            pieces of any size, closes, refusals, delays       │
//!     └─────── each answer is compared with a single server's ◀───────┘
//! ```
//!
//! In any order in which bytes arrive, an answer has to be that of a single server or, if a server has failed, an
//! error. A subscriber gets every message of a channel from its confirmation on until it leaves, and none before or
//! after. At the end nothing may be left: no connection of a client, no request that waits, no bytes that are held.
//!
//! Before that, a client writes to every server, all of which are up again, and accepts no error.
//!
//! Each check can fail: a [`PlantedFault`] is found.
//!
//! `LARDER_SEEDS=N` runs N seeds in place of the default; `LARDER_SEED=N` runs that one alone and prints its events.
//! A seed that has failed is kept in [`KEPT`], with its cause.

mod binary;
mod client;
mod names;
pub(crate) mod network;
mod proxy;
mod redis;
mod replies;
mod script;
mod server;
mod steps;
mod values;

use std::hash::Hasher;
use std::ops::Range;

use fastrand::Rng;

use crate::pool::Protocol;
use crate::proxy::settings::{OnFailure, Settings};
use client::Client;
use proxy::{Layout, Simulation};
use script::Circumstances;
use server::UpstreamBehaviour;

/// Seeds that have failed once, with the cause. They run each time, with any number of seeds.
const KEPT: &[u64] = &[
    // A slot moved twice under two writes of a pipeline to one key, and the clients knew that only of a write and a read.
    10544,
];

fn seeds(kept: &'static [u64]) -> Box<dyn Iterator<Item = u64>> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = number("LARDER_SEED") {
        return Box::new(std::iter::once(seed));
    }
    let count = number("LARDER_SEEDS").unwrap_or(2000);
    let new: Range<u64> = 0..count;
    Box::new(kept.iter().copied().chain(new))
}

/// Runs seeds, those that are kept first, until one fails.
pub(crate) fn run_seeds(kept: &'static [u64], run: fn(u64) -> Result<(), String>) {
    for seed in seeds(kept) {
        if let Err(fault) = run(seed) {
            panic!("seed {seed}: {fault}\nrun it alone with LARDER_SEED={seed}");
        }
    }
}

/// Prints all events if one seed is run alone.
pub(crate) fn trace(line: impl Fn() -> String) {
    if std::env::var_os("LARDER_SEED").is_some() {
        println!("{}", line());
    }
}

/// A planted fault, to test that a check finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlantedFault {
    /// A subscriber gets a message again, after it has left the channel.
    LateMessage,
    /// A server sends a message to none of its subscribers.
    LostMessage,
    /// A server does not notice that the proxy has closed a connection.
    KeptConnection,
    /// A name is looked up once, and its address is used for ever.
    OldAddress,
}

/// Runs one seed. Returns the error.
fn run(seed: u64) -> Result<(), String> {
    play(seed, None).1
}

/// Runs one seed. Returns a hash of all bytes that clients got, and the error.
fn play(seed: u64, planted: Option<PlantedFault>) -> (u64, Result<(), String>) {
    let mut rng = Rng::with_seed(seed);
    let protocol = match rng.bool() {
        true => Protocol::Memcached,
        false => Protocol::Resp,
    };
    let layout = match (rng.u8(..3), protocol) {
        (0, _) => Layout::Pool(1),
        (1, Protocol::Resp) => Layout::Cluster(3),
        (1, Protocol::Memcached) => Layout::Named(3),
        _ if rng.bool() => Layout::Named(3),
        _ => Layout::Pool(3),
    };
    let cluster = layout == Layout::Cluster(3);
    let mut settings = Settings::new(protocol);
    settings.detached = 16;
    settings.failures = rng.u32(1..4);
    let faulty = rng.bool();
    if faulty && !cluster {
        settings.on_failure = [OnFailure::Error, OnFailure::Next, OnFailure::Miss][rng.usize(..3)];
    }
    let changes = matches!(layout, Layout::Pool(3) | Layout::Named(3)) && rng.u8(..3) == 0;
    let circumstances = Circumstances {
        cluster,
        faulty,
        misses: settings.on_failure == OnFailure::Miss,
        wanders: changes || settings.on_failure == OnFailure::Next,
    };
    let mut simulation = Simulation::new(rng.fork(), settings, layout);
    (simulation.faulty, simulation.planted) = (faulty, planted);
    for number in 0..rng.usize(1..5) {
        simulation.connect(Client::new(&mut rng, number, protocol, circumstances));
    }
    if protocol == Protocol::Resp && !faulty && rng.bool() {
        simulation.connect(Client::that_leaves(0));
    }
    let outcome = live(&mut simulation, &mut rng, faulty, changes, cluster);
    (simulation.sent.finish(), outcome)
}

/// Runs the events of a seed, and then lets all requests and connections end.
fn live(
    simulation: &mut Simulation,
    rng: &mut Rng,
    faulty: bool,
    changes: bool,
    cluster: bool,
) -> Result<(), String> {
    for _ in 0..rng.usize(200..600) {
        simulation.step()?;
        if faulty && rng.u8(..40) == 0 {
            let server = rng.usize(..simulation.servers.len());
            match rng.u8(..10) {
                6 => simulation.move_server(server),
                5 => simulation.set_behaviour(server, UpstreamBehaviour::Confused),
                0 => simulation.set_behaviour(server, UpstreamBehaviour::Refuses),
                1 => simulation.set_behaviour(server, UpstreamBehaviour::Sleeps),
                2 => simulation.hang_up(server),
                3 => simulation.pass_time(rng.u64(..3000)),
                4 => simulation.leave(),
                _ => simulation.set_behaviour(server, UpstreamBehaviour::Well),
            }
        }
        if cluster && rng.u8(..60) == 0 {
            simulation.move_slots();
        }
        if changes && rng.u8(..80) == 0 {
            simulation.change_servers();
        }
    }
    simulation.finish()
}

#[test]
fn answers_are_those_of_a_single_server_and_nothing_is_left() {
    run_seeds(KEPT, run);
}

#[test]
fn a_seed_repeats_byte_for_byte() {
    for seed in 0..50 {
        assert_eq!(play(seed, None), play(seed, None), "seed {seed}");
    }
}

#[test]
fn planted_faults_are_found() {
    for (fault, finding) in [
        (PlantedFault::LateMessage, "not subscribed to"),
        (PlantedFault::LostMessage, "has lost"),
        (PlantedFault::KeptConnection, "answered :0"),
        (PlantedFault::OldAddress, "stays ejected"),
    ] {
        let mut faults = (0..2000).filter_map(|seed| play(seed, Some(fault)).1.err());
        let found = faults.next().unwrap_or_default();
        assert!(found.contains(finding), "{fault:?}: {found}");
    }
}
