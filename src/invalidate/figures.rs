//! The figures of an invalidation server at one moment.

/// The figures of one server of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetFigures {
    pub(crate) target: String,
    pub(crate) address: String,
    pub(crate) is_up: bool,
    /// It gets changes as they are recorded.
    pub(crate) is_up_to_date: bool,
    /// Keys that wait for it.
    pub(crate) pending: u64,
    /// The age of the oldest of them.
    pub(crate) oldest_seconds: u64,
    pub(crate) delivered: u64,
    pub(crate) retries: u64,
    pub(crate) flushes: u64,
    pub(crate) undeliverable: u64,
}

/// The figures of the whole program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidationFigures {
    /// Changes that are on record.
    pub(crate) recorded: u64,
    /// Transactions.
    pub(crate) commits: u64,
    /// Changes that could not be recorded, and those of them whose clients got no error.
    pub(crate) refused: u64,
    pub(crate) refused_quiet: u64,
    /// The reason why the spool can't be written, if it can't.
    pub(crate) problem: Option<String>,
    pub(crate) targets: Vec<TargetFigures>,
}
