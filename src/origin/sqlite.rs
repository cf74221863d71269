//! The origin `sqlite`: a query of a database file, with the key as its parameter.
//!
//! ```text
//!   SELECT body, flags FROM pages WHERE path = ?
//!   no row, or NULL        the origin doesn't have the key
//!   text, a blob           the value, to the byte
//!   an integer, a real     the value in decimal
//!   the second column      memcached's flags, if there is one; NULL is 0
//! ```
//!
//! The key is bound as text, or as a blob if it is not UTF-8. A column of integers compares with the text of a number as SQLite does
//! everywhere. The first row counts.
//!
//! A fetch takes an idle connection or opens one, so there are at most as many as fetch threads. Each has the query prepared once,
//! and its file open for reading only. A fetch reads in a transaction of its own: in WAL mode it never waits for a writer, and in the
//! other modes it waits until its deadline. If another file has come in the place of the database, it is opened.
//!
//! Cost: some microseconds for a row that SQLite has in its page cache, and up to 2 MiB of this cache for each connection.
//!
//! Invariant: a connection is idle only after a fetch that ended without an error.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{self, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};

use super::source::{FetchError, FetchRequest, Fetched, Origin};

/// Steps of SQLite's machine between two looks at the clock, about 20 µs.
const STEPS: i32 = 1000;

/// The least bound for strings and blobs: SQLite's own tables and the query have to fit.
const LEAST_LENGTH: usize = 1 << 20;

/// The longest wait for a lock. SQLite counts it in milliseconds of 31 bits.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// A database that is queried for each value.
#[derive(Debug)]
pub struct SqliteOrigin {
    file: PathBuf,
    query: String,
    idle: Mutex<Vec<OpenDatabase>>,
}

#[derive(Debug)]
struct OpenDatabase {
    connection: Connection,
    identity: FileIdentity,
}

/// The device and the inode of a file.
type FileIdentity = (u64, u64);

impl SqliteOrigin {
    /// This file, and a query with one parameter. Neither is read before the first fetch.
    pub fn new(file: impl Into<PathBuf>, query: impl Into<String>) -> SqliteOrigin {
        SqliteOrigin {
            file: file.into(),
            query: query.into(),
            idle: Mutex::default(),
        }
    }

    /// An idle connection to the file that is there now, or a new one.
    fn database(&self) -> Result<OpenDatabase, FetchError> {
        let identity = identity(&self.file)?;
        let mut idle = self.idle();
        while let Some(database) = idle.pop() {
            if database.identity == identity {
                return Ok(database);
            }
        }
        drop(idle);
        // An absolute path, because SQLite gives names like `:memory:` and `file:…` a meaning.
        let file = path::absolute(&self.file).map_err(|error| unavailable(&error))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(file, flags).map_err(|error| unavailable(&error))?;
        Ok(OpenDatabase {
            connection,
            identity,
        })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<OpenDatabase>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Origin for SqliteOrigin {
    fn fetch(&self, request: &FetchRequest<'_>) -> Result<Option<Fetched>, FetchError> {
        let mut database = self.database()?;
        database
            .bound(request)
            .map_err(|error| fetch_error(&error, request))?;
        let fetched = database.ask(&self.query, request)?;
        self.idle().push(database);
        Ok(fetched)
    }

    fn describe(&self) -> String {
        format!("sqlite {}", self.file.display())
    }
}

impl OpenDatabase {
    /// Has SQLite keep to the deadline and the limit of a request.
    fn bound(&mut self, request: &FetchRequest<'_>) -> rusqlite::Result<()> {
        let deadline = request.deadline;
        let left = deadline.saturating_duration_since(Instant::now());
        self.connection
            .progress_handler(STEPS, Some(move || Instant::now() >= deadline))?;
        self.connection.busy_timeout(left.min(LONGEST_WAIT))?;
        let most = request.max_value.max(LEAST_LENGTH);
        let most = i32::try_from(most).unwrap_or(i32::MAX);
        self.connection
            .set_limit(Limit::SQLITE_LIMIT_LENGTH, most)?;
        Ok(())
    }

    fn ask(&self, query: &str, request: &FetchRequest<'_>) -> Result<Option<Fetched>, FetchError> {
        let failed = |error: rusqlite::Error| fetch_error(&error, request);
        let mut statement = self.connection.prepare_cached(query).map_err(failed)?;
        let (parameters, columns) = (statement.parameter_count(), statement.column_count());
        if parameters != 1 || !(1..=2).contains(&columns) {
            return Err(FetchError::Error(format!(
                "the query has {parameters} parameters and {columns} columns; it needs one parameter, the key, and one or two \
                 columns, the value and its flags"
            )));
        }
        let key = match str::from_utf8(request.key) {
            Ok(_) => ValueRef::Text(request.key),
            Err(_) => ValueRef::Blob(request.key),
        };
        statement
            .raw_bind_parameter(1, ToSqlOutput::Borrowed(key))
            .map_err(failed)?;
        let mut rows = statement.raw_query();
        match rows.next().map_err(failed)? {
            Some(row) => fetched(row, columns, request),
            None => Ok(None),
        }
    }
}

/// The value of a row, and its flags.
fn fetched(
    row: &Row<'_>,
    columns: usize,
    request: &FetchRequest<'_>,
) -> Result<Option<Fetched>, FetchError> {
    let failed = |error: rusqlite::Error| fetch_error(&error, request);
    let value = match row.get_ref(0).map_err(failed)? {
        ValueRef::Null => return Ok(None),
        ValueRef::Integer(number) => number.to_string().into_bytes(),
        // With a point or an exponent, so that it reads back as a real.
        ValueRef::Real(number) => format!("{number:?}").into_bytes(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            request.check_length(bytes.len())?;
            bytes.to_vec()
        }
    };
    let flags: Option<u32> = match columns {
        2 => row.get(1).map_err(failed)?,
        _ => None,
    };
    Ok(Some(Fetched {
        value,
        flags: flags.unwrap_or_default(),
        ..Fetched::default()
    }))
}

fn identity(file: &Path) -> Result<FileIdentity, FetchError> {
    let metadata = fs::metadata(file).map_err(|error| unavailable(&error))?;
    match metadata.is_file() {
        true => Ok((metadata.dev(), metadata.ino())),
        false => Err(FetchError::Unavailable("it is not a file".into())),
    }
}

fn unavailable(error: &dyn std::error::Error) -> FetchError {
    FetchError::Unavailable(error.to_string())
}

fn fetch_error(error: &rusqlite::Error, request: &FetchRequest<'_>) -> FetchError {
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => FetchError::TimedOut,
        Some(ErrorCode::TooBig) => FetchError::TooLarge(request.max_value),
        // A lock that was held until the deadline is told apart from a slow query.
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::NotADatabase
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::SystemIoFailure,
        ) => unavailable(error),
        _ => FetchError::Error(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
