//! The snapshot at the end of a server.

use std::sync::Arc;

use crate::snapshot::{SaveError, Saver};

/// Writes the last snapshot when it is dropped, if there is a file and the server has begun to serve.
pub(super) struct LastSnapshot {
    pub(super) saver: Option<Arc<Saver>>,
    is_armed: bool,
}

impl LastSnapshot {
    pub(super) fn of(saver: Option<Arc<Saver>>) -> LastSnapshot {
        LastSnapshot {
            saver,
            is_armed: false,
        }
    }

    /// From now on there may be something new to write.
    pub(super) fn armed(mut self) -> LastSnapshot {
        self.is_armed = true;
        self
    }

    /// Writes it now. The error is in the log, too.
    pub(super) fn write(&self) -> Result<(), SaveError> {
        match &self.saver {
            Some(saver) if self.is_armed => saver.finish(),
            _ => Ok(()),
        }
    }
}

impl Drop for LastSnapshot {
    fn drop(&mut self) {
        // There is nobody to give the error to; it is in the log.
        let _ = self.write();
    }
}
