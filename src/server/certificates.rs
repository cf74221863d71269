//! The certificates of listeners, as services see them: memcached's clients may have them read again, and ask about them.

use std::fmt;
use std::path::Path;
use std::time::Duration;

/// Certificates and keys from files.
pub(crate) trait Certificates: fmt::Debug + Send + Sync {
    /// Reads the files again, for new connections. After an error, a sentence for a person, the old ones stay.
    fn read_again(&self) -> Result<(), String>;

    /// The time since the files were read.
    fn age(&self) -> Duration;

    /// The file of the chain of certificates.
    fn chain(&self) -> &Path;

    /// The file of the private key.
    fn key(&self) -> &Path;

    /// The file of the authorities of clients, if they need certificates.
    fn client_ca(&self) -> Option<&Path>;

    /// The oldest version of TLS that clients may speak, as `1.2`.
    fn oldest_version(&self) -> &'static str;
}
