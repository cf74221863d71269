//! Learning which server of a Redis Cluster serves which slots, on a thread of its own.
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
//! Any server may be asked: those of the map in turn, so that one with old news is not believed for
//! long, those that are ejected and the seeds last. A MOVED corrects its slot at once, in the worker
//! that reads it; the watch makes the rest of the map true.
//!
//! Cost: a connection and a question at each look; looks are at least [`CALM`] apart.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use mio::Waker;

use crate::pool::Pool;
use crate::pool::slots::{SlotMap, host_of};
use crate::protocol::framing::reply::{FrameState, ReplyFramer, ReplyShape};
use crate::protocol::resp;
use crate::proxy::settings::Settings;
use crate::proxy::shared::Shared;

/// The least time between two looks, however many ask for one.
const CALM: Duration = Duration::from_millis(100);

/// The time until the next look while a server is ejected or a slot has none: a failover is awaited.
const SOON: Duration = Duration::from_millis(500);

/// The time until the next look while all is well.
const LATER: Duration = Duration::from_secs(30);

/// Longest answer to `CLUSTER SLOTS`, in bytes: 16,384 ranges with several servers each.
const LONGEST: usize = 16 * 1024 * 1024;

/// Asks a cluster for its slots.
pub(super) struct Watch {
    seeds: Vec<String>,
    /// Which of the servers is asked first.
    turn: usize,
    /// Whether the last look found nobody to tell.
    blind: bool,
}

impl Watch {
    pub(super) fn new(seeds: Vec<String>) -> Watch {
        Watch {
            seeds,
            turn: 0,
            blind: false,
        }
    }

    /// Runs until the proxy is gone.
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
            // What asks from here on may have seen something newer than the answer.
            let _ = bell.try_recv();
            let pool = shared.pool().1;
            let map = self.look(&pool, &shared.settings, shared.password.as_deref());
            let is_new = |pool: &Pool, map: &SlotMap| pool.slots() != Some(map);
            let changed = map.is_some_and(|map| {
                shared.replace(|pool| is_new(pool, &map).then(|| Pool::cluster(map, Some(pool))))
            });
            if changed {
                for waker in wakers {
                    // One that can't be woken sees it in its next round.
                    let _ = waker.wake();
                }
            }
            drop(shared);
            thread::sleep(CALM);
        }
    }

    fn pause(&self, pool: &Pool) -> Duration {
        let ejected = pool.upstreams.iter().any(|u| u.health.is_ejected());
        let whole = pool.slots().is_some_and(SlotMap::is_whole);
        if self.blind || ejected || !whole {
            SOON
        } else {
            LATER
        }
    }

    /// Asks one server after the other until one tells the slots.
    pub(super) fn look(
        &mut self,
        pool: &Pool,
        settings: &Settings,
        password: Option<&str>,
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
            match ask(address, settings, password) {
                Ok(map) => {
                    if was_blind || pool.slots() != Some(&map) {
                        let servers = map.servers().len();
                        log::info!("cluster: {servers} masters, as {address} says");
                    }
                    self.blind = false;
                    return Some(map);
                }
                Err(trouble) if was_blind => log::debug!("cluster: {address} {trouble}"),
                Err(trouble) => log::warn!("cluster: {address} {trouble}"),
            }
        }
        if !was_blind {
            log::error!(
                "cluster: no server tells which slots it serves; they are asked again every {SOON:?}"
            );
        }
        self.blind = true;
        None
    }
}

/// Why a server told no slots.
#[derive(Debug)]
enum Trouble {
    /// It could not be asked.
    Lost(io::Error),
    /// It answered with an error.
    Said(String),
    /// Its answer is no map.
    Garbage,
    /// Its map has no slots.
    Empty,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Lost(error) => write!(f, "can't be asked for its slots: {error}"),
            Trouble::Said(said) if said.contains("cluster support disabled") => {
                f.write_str("is no server of a cluster; one that stands alone is for --upstream")
            }
            Trouble::Said(said) => write!(f, "does not tell its slots: {said}"),
            Trouble::Garbage => f.write_str("answers CLUSTER SLOTS with something else"),
            Trouble::Empty => f.write_str("knows no slots: it has joined no cluster yet"),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Lost(error)
    }
}

/// What a server says of the slots.
fn ask(address: &str, settings: &Settings, password: Option<&str>) -> Result<SlotMap, Trouble> {
    let mut stream = connect(address, settings.connect_timeout)?;
    let deadline = Instant::now() + settings.read_timeout;
    stream.set_write_timeout(Some(settings.read_timeout))?;
    let mut request = Vec::new();
    if let Some(password) = password {
        request.extend(resp::request(&[b"AUTH", password.as_bytes()]));
    }
    request.extend(resp::request(&[b"CLUSTER", b"SLOTS"]));
    stream.write_all(&request)?;
    let mut input = Vec::new();
    if password.is_some() {
        answer(&mut stream, &mut input, deadline)?;
    }
    let said = answer(&mut stream, &mut input, deadline)?;
    let map = SlotMap::read(&said, host_of(address)).ok_or(Trouble::Garbage)?;
    match map.is_empty() {
        true => Err(Trouble::Empty),
        false => Ok(map),
    }
}

fn connect(address: &str, limit: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name leads nowhere");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Takes the next answer from `input`, which is filled from `stream`.
fn answer(
    stream: &mut TcpStream,
    input: &mut Vec<u8>,
    deadline: Instant,
) -> Result<Vec<u8>, Trouble> {
    let mut framer = ReplyFramer::new(ReplyShape::Resp);
    let mut seen = 0;
    loop {
        let progress = framer.feed(&input[seen..]);
        seen += progress.used;
        match progress.state {
            FrameState::Garbage => return Err(Trouble::Garbage),
            FrameState::Done if framer.is_error() => {
                let said = String::from_utf8_lossy(&input[..seen]);
                return Err(Trouble::Said(
                    said.trim_start_matches('-').trim_end().to_owned(),
                ));
            }
            FrameState::Done => {
                let rest = input.split_off(seen);
                return Ok(std::mem::replace(input, rest));
            }
            FrameState::More if seen > LONGEST => return Err(Trouble::Garbage),
            FrameState::More => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Trouble::Lost(io::ErrorKind::TimedOut.into()));
        }
        stream.set_read_timeout(Some(left))?;
        let mut buffer = [0; 16 * 1024];
        match stream.read(&mut buffer)? {
            0 => return Err(Trouble::Lost(io::ErrorKind::UnexpectedEof.into())),
            n => input.extend_from_slice(&buffer[..n]),
        }
    }
}
