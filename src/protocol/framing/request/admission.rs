//! Whether a client may be served, as far as that decides which of its requests are taken.

/// Whether a client has authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Admission {
    /// It need not.
    #[default]
    Open,
    /// It has to, before anything else.
    Due,
    /// It has.
    Given,
}
