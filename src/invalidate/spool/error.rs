//! The errors of the spool.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The reason why an operation of the spool failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SpoolError {
    /// The system refused; the last good state is kept, and a later attempt may succeed.
    Io(String),
    /// The file differed from the data written to it. It is renamed; the spool that replaces it is
    /// empty.
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
                // Too short, or no spool file.
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

/// Runs code that uses redb. redb may panic on a file that was changed from outside; that is reported as damage and
/// doesn't end the process.
pub(super) fn contained<T>(run: impl FnOnce() -> SpoolResult<T>) -> SpoolResult<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(SpoolError::Damaged(
            said.unwrap_or("its contents are malformed").to_owned(),
        ))
    })
}
