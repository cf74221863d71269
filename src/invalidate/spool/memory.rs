//! A spool without a file, for simulations. Its content after a crash can be opened again.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redb::{Database, StorageBackend};

use crate::invalidate::spool::storage::{SpoolStorage, open_store};
use crate::invalidate::spool::{Spool, SpoolCondition, SpoolResult};

/// The bytes of a spool.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpoolMemory {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// Writes fail, as on a full disk.
    full: Arc<AtomicBool>,
}

impl SpoolMemory {
    /// The content that a process leaves if it is killed now.
    pub(crate) fn killed(&self) -> SpoolMemory {
        SpoolMemory {
            bytes: Arc::new(Mutex::new(self.bytes().clone())),
            full: Arc::default(),
        }
    }

    /// Opens it, or an empty one.
    pub(crate) fn open(&self) -> Result<(Spool, SpoolCondition), String> {
        Spool::open_storage(Box::new(self.clone()), SpoolCondition::Sound)
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Relaxed);
    }

    fn check_room(&self) -> io::Result<()> {
        match self.full.load(Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpoolStorage for SpoolMemory {
    fn open(&self) -> SpoolResult<Database> {
        open_store(self.clone())
    }

    fn put_aside(&self, what: &str) -> String {
        self.bytes().clear();
        what.to_owned()
    }

    /// At once: a simulation has a clock of its own.
    fn retry(&self) -> Duration {
        Duration::ZERO
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }
}

impl StorageBackend for SpoolMemory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes();
        let found = bytes.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.check_room()?;
        self.bytes().resize(length as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_room()?;
        let offset = offset as usize;
        let mut bytes = self.bytes();
        let place = bytes.get_mut(offset..offset + data.len());
        place
            .ok_or(io::ErrorKind::UnexpectedEof)?
            .copy_from_slice(data);
        Ok(())
    }
}
