//! The nodes of one cache: each key has an owner, by chapter 9's ring.

use std::time::Duration;

use larder::pool::{ListError, Placement, Ring, ServerList};

use super::client::Client;

/// All nodes, as one of them sees them.
pub(crate) struct Peers {
    ring: Ring,
    clients: Vec<Client>,
    /// The index of this node.
    me: usize,
}

impl Peers {
    /// The nodes of a list in libketama's format.
    pub(crate) fn new(list: &str, me: usize, deadline: Duration) -> Result<Peers, ListError> {
        let list: ServerList = list.parse()?;
        let servers = list.servers().iter();
        let clients = servers.map(|server| Client::new(&server.address, deadline));
        Ok(Peers {
            ring: Ring::new(&list, Placement::Ketama),
            clients: clients.collect(),
            me,
        })
    }

    /// The owner of a key, if it is another node.
    pub(crate) fn owner(&self, key: &[u8]) -> Option<&Client> {
        let owner = self.ring.server(key);
        (owner != self.me).then(|| &self.clients[owner])
    }

    /// All other nodes.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Client> {
        let others = self.clients.iter().enumerate();
        others.filter_map(|(n, client)| (n != self.me).then_some(client))
    }
}
