//! Options that proxy and invalidation share: a list of servers, and the placement of keys on them.

use std::fs;
use std::path::Path;

use crate::pool::{Placement, ServerList};

/// A placement by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacementName(pub(crate) Placement);

impl std::str::FromStr for PlacementName {
    type Err = String;

    fn from_str(text: &str) -> Result<PlacementName, String> {
        text.parse().map(PlacementName)
    }
}

impl std::fmt::Display for PlacementName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads the list of servers of the option --servers.
pub(crate) fn read_list(file: &Path) -> Result<ServerList, String> {
    list_in(file).map_err(|problem| format!("--servers {problem}"))
}

/// Reads a list of servers from a file.
pub(crate) fn list_in(file: &Path) -> Result<ServerList, String> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("{}: can't be read: {error}", file.display()))?;
    text.parse()
        .map_err(|error| format!("{}: {error}", file.display()))
}
