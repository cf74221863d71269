//! The server of the pages: its listener, its worker, and its bounds.

use std::borrow::Cow;
use std::sync::Arc;

use crate::server::{
    Connections, Listen, Peer, Refusal, Running, Server, Service, Session, Settings, StartError,
};

use super::http::{Answer, Status};
use super::limits;
use super::monitored::Monitored;
use super::process;
use super::session::AdminSession;

/// Listens, and answers until the returned server is dropped.
pub(crate) fn start(listen: Listen, subject: Arc<dyn Monitored>) -> Result<Running, StartError> {
    process::note_start();
    let settings = Settings {
        workers: Some(1),
        max_connections: limits::CONNECTIONS,
        idle_timeout: Some(limits::SILENCE),
        // A session refuses a longer head itself.
        max_input: 4 * limits::HEAD,
        ..Settings::default()
    };
    Server::new(Connections::new())
        .settings(settings)
        .listen(listen, Arc::new(AdminService(subject)))
        .start()
}

/// HTTP, as a protocol beside memcached's and Redis's.
struct AdminService(Arc<dyn Monitored>);

impl Service for AdminService {
    fn protocol(&self) -> &'static str {
        "admin"
    }

    fn open(&self, peer: Peer) -> Box<dyn Session> {
        let subject = Arc::clone(&self.0);
        Box::new(AdminSession::new(subject, peer.connection.local()))
    }

    fn refusal(&self, why: Refusal) -> Cow<'static, [u8]> {
        match why {
            Refusal::TooManyConnections => {
                let mut answer = Vec::new();
                Answer::text(
                    Status::Unavailable,
                    "too many connections to the admin listener",
                    true,
                    &mut answer,
                );
                Cow::Owned(answer)
            }
        }
    }
}
