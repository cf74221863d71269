//! The fetch threads: a fixed number, each with one fetch at a time.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::store::Store;

use super::read_through::ReadThrough;
use super::settings::Settings;
use super::source::Origin;

/// The threads of an origin. Dropping it ends them when their fetches have ended, which their deadlines bound.
#[derive(Debug)]
pub(crate) struct FetchThreads {
    read_through: Arc<ReadThrough>,
    threads: Vec<JoinHandle<()>>,
}

impl FetchThreads {
    /// Starts the threads that fetch from an origin into a store.
    ///
    /// # Errors
    /// When the system has no threads left.
    pub(crate) fn start(
        store: &Arc<Store>,
        origin: Arc<dyn Origin>,
        settings: Settings,
        max_item_size: usize,
    ) -> io::Result<FetchThreads> {
        let store = Arc::clone(store);
        let read_through = ReadThrough::new(store, origin, settings, max_item_size, false);
        FetchThreads::start_for(read_through, settings)
    }

    /// The same for the peers that own keys: the values are copies.
    ///
    /// # Errors
    /// Likewise.
    #[cfg(feature = "proxy")]
    pub(crate) fn start_for_copies(
        store: &Arc<Store>,
        peers: Arc<dyn Origin>,
        settings: Settings,
        max_item_size: usize,
    ) -> io::Result<FetchThreads> {
        let store = Arc::clone(store);
        let read_through = ReadThrough::new(store, peers, settings, max_item_size, true);
        FetchThreads::start_for(read_through, settings)
    }

    fn start_for(read_through: ReadThrough, settings: Settings) -> io::Result<FetchThreads> {
        let mut started = FetchThreads {
            read_through: Arc::new(read_through),
            threads: Vec::new(),
        };
        for number in 0..settings.threads.max(1) {
            let read_through = Arc::clone(started.read_through());
            let thread = thread::Builder::new().name(format!("fetch {number}"));
            let thread = thread.spawn(move || {
                while let Some(fetch) = read_through.next() {
                    read_through.run(&fetch);
                }
            })?;
            started.threads.push(thread);
        }
        Ok(started)
    }

    /// The part that sessions use.
    pub(crate) fn read_through(&self) -> &Arc<ReadThrough> {
        &self.read_through
    }
}

impl Drop for FetchThreads {
    fn drop(&mut self) {
        self.read_through.stop();
        for thread in self.threads.drain(..) {
            // A panic in an origin is caught, so the thread has ended without one.
            let _ = thread.join();
        }
    }
}
