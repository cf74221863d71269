//! The interface between the pages and the program that they show.

use super::exposition::Metrics;

/// A program that the pages show.
pub(crate) trait Monitored: Send + Sync + 'static {
    /// The subcommand: `serve`, `proxy` or `invalidate`.
    fn mode(&self) -> &'static str;

    /// An error with the reason if clients should go elsewhere.
    fn health(&self) -> Result<(), String>;

    /// Writes its figures.
    fn write(&self, metrics: &mut Metrics);
}
