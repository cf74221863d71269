//! Keeps the map of a Redis Cluster's slots and their servers, on a thread of its own.
//!
//! ```text
//!   MOVED, CLUSTERDOWN,   bell   ┌───────┐  CLUSTER SLOTS  ┌──────────────┐
//!   a failed connection ───────▶ │ watch │ ──────────────▶ │ a server, or │
//!   or a pause          ───────▶ │       │ ◀────────────── │ the next one │
//!                                └───────┘                 └──────────────┘
//!                                    │ another map: a new pool, and the workers are woken
//!                                    ▼
//!                                 Shared::replace
//! ```
//!
//! Any server may be asked: those of the map in turn, so that an outdated answer is soon replaced, the
//! ejected ones and the seeds last. A MOVED corrects its slot at once, in the worker that reads it; the
//! watch updates the rest of the map. If a slot has no server in an answer, it keeps its present one:
//! during a failover, a server may report for a moment that the old master is down, before it has a new
//! one.
//!
//! Cost: a connection and a question at each look; looks are at least [`CALM`] apart.

use std::sync::{Arc, Weak};
use std::time::Duration;
use std::{fmt, thread};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use mio::Waker;

use crate::pool::slots::{SlotMap, host_of};
use crate::pool::{Pool, UpstreamFailure};
use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::resp;
use crate::proxy::settings::Settings;
use crate::proxy::shared::Shared;
use crate::server::ClientTls;
use crate::upstream::{Answer, BlockingConnection, Deadlines, Greeting, Login};

/// The least time between two looks, for any number of requests for one.
const CALM: Duration = Duration::from_millis(100);

/// The time until the next look while a server is ejected or a slot has none: a failover is awaited.
const SOON: Duration = Duration::from_millis(500);

/// The time until the next look while all is well.
const LATER: Duration = Duration::from_secs(30);

/// Longest answer to `CLUSTER SLOTS`, in bytes: 16,384 ranges with several servers each.
const LONGEST: usize = 16 * 1024 * 1024;

/// Asks a cluster for its slots.
pub(super) struct ClusterWatcher {
    seeds: Vec<String>,
    /// The server that is asked first.
    turn: usize,
    /// Whether no server answered the last look.
    blind: bool,
    /// Whether the last answer had a server for every slot.
    whole: bool,
    tls: Option<Arc<ClientTls>>,
}

impl ClusterWatcher {
    pub(super) fn new(seeds: Vec<String>, tls: Option<Arc<ClientTls>>) -> ClusterWatcher {
        ClusterWatcher {
            seeds,
            turn: 0,
            blind: false,
            whole: false,
            tls,
        }
    }

    /// Runs until the proxy is dropped.
    pub(super) fn run(mut self, bell: &Receiver<()>, shared: &Weak<Shared>, wakers: &[Arc<Waker>]) {
        loop {
            let pause = match shared.upgrade() {
                None => return,
                Some(shared) => self.pause(&shared.pool().1),
            };
            match bell.recv_timeout(pause) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let Some(shared) = shared.upgrade() else {
                return;
            };
            // A later request may have seen a newer map than this answer.
            let _ = bell.try_recv();
            let pool = shared.pool().1;
            let map = self.ask_for_map(&pool, &shared.settings, shared.login());
            let is_new = |pool: &Pool, map: &SlotMap| pool.slots() != Some(map);
            let changed = map.is_some_and(|map| {
                shared.replace(|pool| is_new(pool, &map).then(|| Pool::cluster(map, Some(pool))))
            });
            if changed {
                for waker in wakers {
                    // A worker that can't be woken finds the new map in its next round.
                    let _ = waker.wake();
                }
            }
            drop(shared);
            thread::sleep(CALM);
        }
    }

    fn pause(&self, pool: &Pool) -> Duration {
        let ejected = pool.upstreams.iter().any(|u| u.health.is_ejected());
        if self.blind || ejected || !self.whole {
            SOON
        } else {
            LATER
        }
    }

    /// Asks one server after the other until one answers with the slots.
    pub(super) fn ask_for_map(
        &mut self,
        pool: &Pool,
        settings: &Settings,
        login: Option<Login<'_>>,
    ) -> Option<SlotMap> {
        let (ejected, well): (Vec<_>, Vec<_>) = pool
            .upstreams
            .iter()
            .partition(|upstream| upstream.health.is_ejected());
        let mut asked: Vec<&str> = well.iter().map(|upstream| &upstream.address[..]).collect();
        if !asked.is_empty() {
            let first = self.turn % asked.len();
            asked.rotate_left(first);
        }
        self.turn = self.turn.wrapping_add(1);
        asked.extend(ejected.iter().map(|upstream| &upstream.address[..]));
        let others: Vec<&str> = self
            .seeds
            .iter()
            .map(|seed| &seed[..])
            .filter(|seed| !asked.contains(seed))
            .collect();
        asked.extend(others);
        let was_blind = self.blind;
        for address in asked {
            match ask((address, self.tls.as_deref()), settings, login) {
                Ok(mut map) => {
                    self.whole = map.is_whole();
                    if let Some(before) = pool.slots() {
                        map.fill_from(before);
                    }
                    if was_blind || pool.slots() != Some(&map) {
                        let servers = map.servers().len();
                        log::info!("cluster: {servers} masters, reported by {address}");
                    }
                    self.blind = false;
                    return Some(map);
                }
                Err(error) if was_blind => log::debug!("cluster: {address} {error}"),
                Err(error) => log::warn!("cluster: {address} {error}"),
            }
        }
        if !was_blind {
            log::error!("cluster: no server reports its slots; trying again every {SOON:?}");
        }
        self.blind = true;
        None
    }
}

/// The reason why a server reported no slots.
#[derive(Debug)]
enum SlotsError {
    /// It could not be reached, or did not answer.
    Failed(UpstreamFailure),
    /// It answered with an error.
    Refused(String),
    /// Its answer is no map.
    NoMap,
    /// Its map has no slots.
    Empty,
}

impl fmt::Display for SlotsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SlotsError::Failed(failure) => failure.fmt(f),
            SlotsError::Refused(said) if said.contains("cluster support disabled") => {
                f.write_str("is not part of a cluster; give a standalone server with --upstream")
            }
            SlotsError::Refused(said) => write!(f, "does not report its slots: {said}"),
            SlotsError::NoMap => f.write_str("sends a malformed answer to CLUSTER SLOTS"),
            SlotsError::Empty => f.write_str("reports no slots: it has not joined a cluster yet"),
        }
    }
}

impl From<UpstreamFailure> for SlotsError {
    fn from(failure: UpstreamFailure) -> SlotsError {
        SlotsError::Failed(failure)
    }
}

/// A server's map of the slots.
fn ask(
    (address, tls): (&str, Option<&ClientTls>),
    settings: &Settings,
    login: Option<Login<'_>>,
) -> Result<SlotMap, SlotsError> {
    let greeting = Greeting {
        login,
        ..Greeting::default()
    };
    let deadlines = Deadlines {
        connect: settings.connect_timeout,
        read: settings.read_timeout,
    };
    let mut server = BlockingConnection::connect((address, tls), &greeting, deadlines, LONGEST)?;
    let request = resp::request(&[b"CLUSTER", b"SLOTS"]);
    let map = match server.ask(&request, ReplyShape::Resp)? {
        Answer::Error(said) => return Err(SlotsError::Refused(said)),
        Answer::Value(reply) => SlotMap::read(&reply, host_of(address)).ok_or(SlotsError::NoMap)?,
    };
    match map.is_empty() {
        true => Err(SlotsError::Empty),
        false => Ok(map),
    }
}
