//! A whole invalidation server in one thread, except for its listeners: the recorder, a spool in memory, and deliveries
//! to scripted caches, over a network and a clock that a seed drives.
//!
//! ```text
//!   changes ─▶ Recorder ⇄ Spool (memory; what a crash leaves of it is opened again)
//!      ▲          ⇅
//!      └ answers  Delivery ⇄ ConnectionPipes ⇄ Server     pieces of any size, closes, refusals, crashes
//! ```
//!
//! In any order of events: every change that was answered with success has reached every cache that may hold its
//! key, or the cache was flushed since; a key that is set is never set to an older value; and at the end nothing is left
//! pending, in the channels or on the network. That holds while the disk is full, too: a change that can't be recorded is
//! answered with an error. And it holds when the list of servers changes: a server that is listed may hold a key that it had by
//! any earlier list.
//!
//! A cache that has read requests from a connection that is closed may execute them later than those of the next
//! connection. The simulation does so, because it makes no difference for deletes. It would for values (`forget =
//! "update"`), and no sender could prevent it; so with values, requests that were not executed when their connection
//! closed are lost.

mod delivery;
mod end;
mod server;
mod setup;
mod state;

use fastrand::Rng;

use crate::proxy::simulation::run_seeds;
use state::Simulation;

/// Seeds that have failed once, with the cause. They run each time, with any number of seeds.
const KEPT: &[u64] = &[
    // With durability none, a change that came back after a flush was written behind it.
    203,
    // With durability none, a delivery whose removals could not be recorded kept those changes for ever.
    493,
    // A report of a delivery to a server that had left was taken for one of a new delivery, when the server was back at once.
    783,
];

/// Whether the disk is full now and then in this seed.
fn has_disk_faults(seed: u64) -> bool {
    seed % 4 == 1
}

/// Whether the list of servers changes in this seed.
fn has_other_lists(seed: u64) -> bool {
    seed.is_multiple_of(3)
}

/// A planted fault.
#[derive(Clone, Copy, PartialEq)]
enum Planted {
    Nothing,
    /// Errors of the recorder are taken for success.
    BelievesErrors,
    /// Earlier lists of servers are forgotten.
    ForgetsLists,
}

/// Runs one seed. Returns the error.
fn run(seed: u64) -> Result<(), String> {
    play(seed, Planted::Nothing)
}

/// Runs one seed, with a planted fault.
fn play(seed: u64, planted: Planted) -> Result<(), String> {
    let mut rng = Rng::with_seed(seed);
    let mut simulation = Simulation::new(rng.fork(), planted == Planted::ForgetsLists)?;
    simulation.believes_errors = planted == Planted::BelievesErrors;
    // Generators of their own, so that the other seeds keep their events.
    let mut disk = has_disk_faults(seed).then(|| Rng::with_seed(!seed));
    let mut lists = has_other_lists(seed).then(|| Rng::with_seed(seed ^ 0xff << 32));
    let calm = rng.choice([12, 40]).unwrap_or(12);
    for _ in 0..rng.usize(20..160) {
        simulation.step()?;
        if rng.u8(..calm) == 0 {
            simulation.go_wrong()?;
        }
        if let Some(disk) = &mut disk
            && disk.u8(..8) == 0
        {
            simulation.memory.set_full(disk.bool());
        }
        if let Some(lists) = &mut lists
            && lists.u8(..16) == 0
        {
            simulation.change_list(lists)?;
        }
    }
    simulation.finish()
}

#[test]
fn every_change_reaches_every_cache_and_nothing_is_left() {
    run_seeds(KEPT, run);
}

/// The first error of these seeds with a planted fault.
fn first_error(planted: Planted, seeds: impl Fn(u64) -> bool) -> String {
    let seeds = (0..400).filter(|seed| seeds(*seed));
    let mut faults = seeds.filter_map(|seed| play(seed, planted).err());
    faults.next().unwrap_or_default()
}

#[test]
fn a_success_that_a_full_disk_did_not_allow_is_found() {
    let found = first_error(Planted::BelievesErrors, has_disk_faults);
    assert!(found.contains("has not reached"), "{found}");
}

#[test]
fn a_delete_that_reaches_only_the_keys_present_server_is_found() {
    let found = first_error(Planted::ForgetsLists, has_other_lists);
    assert!(found.contains("has not reached"), "{found}");
}
