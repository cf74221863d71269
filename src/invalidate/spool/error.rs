//! The errors of the spool.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why the spool did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SpoolError {
    /// The system refused; the last good state is kept, and later it may go better.
    Io(String),
    /// The file was not what had been written. It is put aside; the spool that replaces it is empty.
    Damaged(String),
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpoolError::Io(what) => write!(f, "the spool can't be written: {what}"),
            SpoolError::Damaged(what) => write!(f, "the spool was damaged: {what}"),
        }
    }
}

impl From<redb::Error> for SpoolError {
    fn from(error: redb::Error) -> SpoolError {
        match error {
            redb::Error::Io(error) => match error.kind() {
                // Shorter than it says, or nothing like it.
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                    SpoolError::Damaged(error.to_string())
                }
                _ => SpoolError::Io(error.to_string()),
            },
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
                SpoolError::Io(error.to_string())
            }
            error => SpoolError::Damaged(error.to_string()),
        }
    }
}

macro_rules! from_redb {
    ($($kind:ident),*) => {$(
        impl From<redb::$kind> for SpoolError {
            fn from(error: redb::$kind) -> SpoolError {
                redb::Error::from(error).into()
            }
        }
    )*};
}
from_redb!(
    CommitError,
    DatabaseError,
    StorageError,
    TableError,
    TransactionError
);

pub(crate) type SpoolResult<T> = std::result::Result<T, SpoolError>;

/// Runs what uses redb. It may panic on a file that was changed from outside; that is damage, and no reason to end.
pub(super) fn contained<T>(run: impl FnOnce() -> SpoolResult<T>) -> SpoolResult<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(SpoolError::Damaged(
            said.unwrap_or("its contents make no sense").to_owned(),
        ))
    })
}
