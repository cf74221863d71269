//! The set of active connections: what the server knows of each while it lives.

/// One connection, as the server and the services see it.
#[derive(Debug)]
pub struct Connection {
    id: u64,
}

impl Connection {
    /// A connection without a socket.
    pub fn detached() -> Connection {
        Connection { id: 0 }
    }

    /// A number that no other connection of this process has had.
    pub fn id(&self) -> u64 {
        self.id
    }
}
