//! The arrival of clients.

use std::sync::Arc;

use crate::pool::Protocol;
use crate::protocol::framing::request::RequestFramer;
use crate::proxy::client::Client;
use crate::proxy::forwarder::{Forwarder, queue};
use crate::server::Connection;

impl Forwarder {
    /// A client has connected; `id` is a number that no other client has had. Its key is free again when a
    /// [`Command`](super::Command) says that it is to be closed.
    pub(crate) fn client_opened(&mut self, id: u64, connection: Arc<Connection>) -> usize {
        let framer = match self.shared.settings.protocol {
            Protocol::Memcached => RequestFramer::memcached(),
            Protocol::Resp => RequestFramer::resp(),
        };
        let admitted = self.shared.password.is_none();
        let client = Client::new(id, connection, framer, admitted);
        let key = self.clients.insert(client);
        queue(&mut self.ready, key, &mut self.clients[key]);
        key
    }
}
