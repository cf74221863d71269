//! larder under both models beside the real server of a protocol, on Unix sockets: the same requests go to all of them.

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use ::larder::Server;
use ::larder::server::{Listen, Model};
use tempfile::TempDir;

use super::{Kind, Peer, skipped_without};

/// The longest wait for a line before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server that a test asks.
pub(crate) enum ComparedServer {
    Larder { _server: Server, directory: TempDir },
    Real(Peer),
}

impl ComparedServer {
    /// larder with a socket for each protocol, named after it.
    pub(crate) fn larder(model: Model) -> ComparedServer {
        let directory = tempfile::tempdir().expect("a directory");
        let listen = |name: &str| Some(Listen::Unix(directory.path().join(name)));
        let builder = Server::builder().memcached(listen("memcached"));
        let builder = builder.resp(listen("resp")).model(model).memory(1 << 20);
        let server = builder.max_item_size(100_000).start().expect("it starts");
        ComparedServer::Larder {
            _server: server,
            directory,
        }
    }

    /// larder under both models, and the real server if it is there; otherwise `what` was not compared.
    pub(crate) fn all(kind: Kind, what: &str) -> Vec<ComparedServer> {
        ComparedServer::all_with(kind, what, &[])
    }

    /// The same with these arguments of the real server.
    pub(crate) fn all_with(kind: Kind, what: &str, arguments: &[&str]) -> Vec<ComparedServer> {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let mut servers: Vec<_> = [Model::Turns, Model::Threads]
            .map(ComparedServer::larder)
            .into();
        match Peer::start(kind, &arguments).expect("it starts") {
            Some(peer) => servers.push(ComparedServer::Real(peer)),
            None => skipped_without(kind, &format!("{what} was not compared")),
        }
        servers
    }

    /// A connection to the socket of a protocol.
    pub(crate) fn connect(&self, protocol: &str) -> BufReader<UnixStream> {
        let socket: PathBuf = match self {
            ComparedServer::Larder { directory, .. } => directory.path().join(protocol),
            ComparedServer::Real(peer) => peer.socket().to_owned(),
        };
        let stream = UnixStream::connect(socket).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        BufReader::new(stream)
    }
}
