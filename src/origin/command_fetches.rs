//! The fetches that a session's current command waits for.
//!
//! A command that misses asks here for each path, has nothing else done, and answers
//! [`Next::Wait`](crate::server::Next::Wait). When it runs again, the fetches are found here, ended, so that the command waits
//! once for all its paths together, and a value that could not be stored is a miss and no further fetch.

use std::collections::HashMap;
use std::sync::Arc;

use crate::server::Waiter;

use super::exchange::{Answer, Exchange};
use super::fetch::{Countdown, Fetch, FetchOutcome};
use super::fetch_table::Asked;
use super::item_path::ItemPath;
use super::read_through::ReadThrough;

/// Fetches of one path for one command. Each was overtaken by a change but the last, so clients that change the path all the
/// time have the command miss in the end.
const MOST_ATTEMPTS: u32 = 3;

/// The same for copies of a peer's items. A change drops a copy, even before the command has seen it, and the key still has a value.
const MOST_ATTEMPTS_AT_COPIES: u32 = 12;

/// Waits of one command, after which a full queue makes it miss. A command with more keys than the queue takes waits for its
/// fetches in groups.
const MOST_WAITS: u32 = 64;

/// Eight bytes while it is empty, which it nearly always is.
#[derive(Debug, Default)]
pub(crate) struct CommandFetches(Option<Box<AskedPaths>>);

#[derive(Debug)]
struct AskedPaths {
    paths: HashMap<ItemPath, Attempt>,
    /// The requests to peers, by what tells them apart within the command.
    exchanges: HashMap<Vec<u8>, Arc<Exchange>>,
    /// The wait that is being put together.
    countdown: Arc<Countdown>,
    /// It waits for something.
    waits: bool,
    /// The number of waits that have ended or begun.
    waited: u32,
}

#[derive(Debug)]
struct Attempt {
    fetch: Arc<Fetch>,
    number: u32,
}

impl Default for AskedPaths {
    fn default() -> AskedPaths {
        AskedPaths {
            paths: HashMap::new(),
            exchanges: HashMap::new(),
            countdown: Countdown::new(),
            waits: false,
            waited: 0,
        }
    }
}

/// The outcome of a look-up that found nothing in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// The command answers a miss.
    Miss,
    /// The command has to wait, and to run again.
    Wait,
}

impl CommandFetches {
    /// Asks for a path that the cache doesn't have.
    pub(crate) fn look(&mut self, origin: &ReadThrough, db: u8, names: &[&[u8]]) -> Look {
        let Some(path) = ItemPath::new(db, names) else {
            return Look::Miss;
        };
        self.0.get_or_insert_with(Box::default).look(origin, path)
    }

    /// Whether the command has sent a request to a peer.
    pub(crate) fn has_asked(&self, request: &[u8]) -> bool {
        let asked = self.0.as_ref();
        asked.is_some_and(|asked| asked.exchanges.contains_key(request))
    }

    /// The answer of a peer to a request of the command, which `begin` sends the first time; `None` while the command has to
    /// wait for it.
    pub(crate) fn answer(
        &mut self,
        request: &[u8],
        begin: impl FnOnce() -> Arc<Exchange>,
    ) -> Option<Answer> {
        let asked = self.0.get_or_insert_with(Box::default);
        let exchange = asked
            .exchanges
            .entry(request.to_vec())
            .or_insert_with(begin);
        let answer = exchange.answer_or_wait(&asked.countdown);
        asked.waits |= answer.is_none();
        answer
    }

    /// The waiter of the command, which has asked for all its paths.
    pub(crate) fn waiter(&mut self) -> Option<Arc<Waiter>> {
        let asked = self.0.as_mut().filter(|asked| asked.waits)?;
        asked.waits = false;
        asked.waited += 1;
        let countdown = std::mem::replace(&mut asked.countdown, Countdown::new());
        countdown.count();
        Some(Arc::clone(&countdown.waiter))
    }

    /// Forgets the fetches of a command that is done.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }
}

impl AskedPaths {
    fn look(&mut self, origin: &ReadThrough, path: ItemPath) -> Look {
        let mut number = 1;
        if let Some(attempt) = self.paths.get(&path) {
            match attempt.fetch.outcome() {
                None => return self.wait_for(Arc::clone(&attempt.fetch)),
                Some(FetchOutcome::Overtaken) if attempt.number < MOST_ATTEMPTS => {
                    number = attempt.number + 1;
                }
                Some(FetchOutcome::Overtaken | FetchOutcome::Stored)
                    if origin.keeps_copies && attempt.number < MOST_ATTEMPTS_AT_COPIES =>
                {
                    number = attempt.number + 1;
                }
                Some(_) => return Look::Miss,
            }
        }
        match origin.ask(path.clone()) {
            Asked::Known => Look::Miss,
            Asked::Joined(fetch) | Asked::Queued(fetch) => {
                let attempt = Attempt {
                    fetch: Arc::clone(&fetch),
                    number,
                };
                self.paths.insert(path, attempt);
                self.wait_for(fetch)
            }
            // When the others have ended there may be room.
            Asked::Full(_) if self.waits => Look::Wait,
            Asked::Full(Some(next)) if (1..MOST_WAITS).contains(&self.waited) => {
                self.wait_for(next)
            }
            Asked::Full(_) => {
                origin.note_full();
                Look::Miss
            }
        }
    }

    fn wait_for(&mut self, fetch: Arc<Fetch>) -> Look {
        self.waits = true;
        fetch.add(&self.countdown);
        Look::Wait
    }
}
