//! The settings of peers.

use std::path::PathBuf;
use std::time::Duration;

use crate::pool::ServerList;

/// How this node forms one cache with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerSettings {
    /// The file that lists all nodes, this one included. A reload reads it again.
    pub(crate) list: PathBuf,
    /// This node, as the list names it.
    pub(crate) own: String,
    /// The time for which a copy of a peer's item is kept.
    pub(crate) copy_ttl: Duration,
    /// The time in which a peer has to answer.
    pub(crate) timeout: Duration,
}

impl PeerSettings {
    /// Reads the list.
    pub(super) fn read_list(&self) -> Result<ServerList, String> {
        let file = self.list.display();
        let text = std::fs::read_to_string(&self.list)
            .map_err(|error| format!("{file}: can't be read: {error}"))?;
        let list: ServerList = text.parse().map_err(|error| format!("{file}: {error}"))?;
        let own = &self.own;
        let is_listed = list.servers().iter().any(|it| it.address == *own);
        match is_listed {
            true => Ok(list),
            false => Err(format!(
                "{file}: {own} is not in the list; add it, or give --peer-self ADDR as the list has it"
            )),
        }
    }
}
