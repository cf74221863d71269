//! The result of a request about one key.

use serde_json::Number;

/// The outcome of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Value {
        value: Vec<u8>,
        flags: u32,
        /// Seconds, or none if it never expires; only known if it was asked for.
        ttl: Option<Option<u64>>,
    },
    Number(Number),
    /// It was done, in one word.
    Done(&'static str),
    /// It was not done, for this reason in one word.
    Miss(&'static str),
}
