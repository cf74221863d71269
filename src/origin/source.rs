//! An origin as the fetch threads use it.

use std::fmt;
use std::time::{Duration, Instant};

/// A place that values are fetched from. Several threads use it at a time.
pub trait Origin: fmt::Debug + Send + Sync + 'static {
    /// Fetches the value of a key; `None` if the origin doesn't have it.
    ///
    /// Returns at [`FetchRequest::deadline`] at the latest, and reads no value over [`FetchRequest::max_value`].
    ///
    /// # Errors
    /// A [`FetchError`] that names the origin where a person may look for it.
    fn fetch(&self, request: &FetchRequest<'_>) -> Result<Option<Fetched>, FetchError>;

    /// Its kind and its address, for the log.
    fn describe(&self) -> String;
}

/// A key that an origin is asked for.
#[derive(Debug, Clone, Copy)]
pub struct FetchRequest<'a> {
    /// The key. The names of a nested key are joined by colons: `user:42:name`.
    pub key: &'a [u8],
    /// The names of a nested key, or the one name that any other key is.
    pub names: &'a [&'a [u8]],
    /// The time by which the fetch has to end.
    pub deadline: Instant,
    /// Bytes that the value may have.
    pub max_value: usize,
}

impl FetchRequest<'_> {
    /// The time that is left.
    ///
    /// # Errors
    /// [`FetchError::TimedOut`] if none is.
    pub fn time_left(&self) -> Result<Duration, FetchError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(FetchError::TimedOut),
            false => Ok(left),
        }
    }

    /// Checks the length that an origin announces, or that has arrived.
    ///
    /// # Errors
    /// [`FetchError::TooLarge`] if it is over the limit.
    pub fn check_length(&self, length: usize) -> Result<(), FetchError> {
        match length > self.max_value {
            true => Err(FetchError::TooLarge(self.max_value)),
            false => Ok(()),
        }
    }
}

/// A value of the origin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// The value.
    pub value: Vec<u8>,
    /// memcached's flags; 0 from origins that have none.
    pub flags: u32,
    /// The cas unique that the item gets; `None` for a new one.
    pub cas: Option<u64>,
    /// The time for which the item is kept, and not refreshed; `None` for that of the settings.
    pub lifetime: Option<Duration>,
}

impl From<Vec<u8>> for Fetched {
    fn from(value: Vec<u8>) -> Fetched {
        Fetched {
            value,
            ..Fetched::default()
        }
    }
}

/// Why a fetch failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchError {
    /// It did not end in time.
    TimedOut,
    /// The origin can't be reached, or its program can't be started.
    Unavailable(String),
    /// The origin answered with an error.
    Error(String),
    /// The value has more than this many bytes.
    TooLarge(usize),
    /// Another source has the key now. The reader asks again, a bounded number of times.
    Moved,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::TimedOut => f.write_str("timed out"),
            FetchError::Unavailable(why) => write!(f, "is unavailable: {why}"),
            FetchError::Error(why) => write!(f, "answered with an error: {why}"),
            FetchError::TooLarge(most) => write!(
                f,
                "has a value that is over the limit of an item, so that at most {most} bytes fit"
            ),
            FetchError::Moved => f.write_str("doesn't have the key any more"),
        }
    }
}

impl std::error::Error for FetchError {}
