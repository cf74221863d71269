//! A gate in front of a server: bytes pass while it is open. A shut gate closes every connection at once. A frozen
//! gate passes no bytes and closes no connection. The server behind it keeps its items, which a stopped server would
//! not.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum GateState {
    Open,
    Shut,
    Frozen,
}

/// The state that the threads of a gate share.
struct GateConnections {
    /// The state, and both ends of every connection that passes.
    inside: Mutex<(GateState, Vec<TcpStream>)>,
    changed: Condvar,
}

impl GateConnections {
    fn lock(&self) -> MutexGuard<'_, (GateState, Vec<TcpStream>)> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn thaw(&self) {
        let mut inside = self.lock();
        while inside.0 == GateState::Frozen {
            inside = self
                .changed
                .wait(inside)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

pub(crate) struct FaultGate {
    pub(crate) address: SocketAddr,
    connections: Arc<GateConnections>,
}

impl FaultGate {
    /// An open gate before the server at `behind`. Its threads live as long as the process.
    pub(crate) fn before(behind: SocketAddr) -> io::Result<FaultGate> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let connections = Arc::new(GateConnections {
            inside: Mutex::new((GateState::Open, Vec::new())),
            changed: Condvar::new(),
        });
        let shared = Arc::clone(&connections);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A refused client reads the end; so does a client that connects while the gate shuts.
                let _ = admit(client, behind, &shared);
            }
        });
        Ok(FaultGate {
            address,
            connections,
        })
    }

    pub(crate) fn set(&self, state: GateState) {
        let mut inside = self.connections.lock();
        inside.0 = state;
        if state == GateState::Shut {
            for stream in inside.1.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.connections.changed.notify_all();
    }
}

fn admit(
    client: TcpStream,
    behind: SocketAddr,
    connections: &Arc<GateConnections>,
) -> io::Result<()> {
    let mut inside = connections.lock();
    if inside.0 == GateState::Shut {
        return Ok(());
    }
    let server = TcpStream::connect(behind)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        inside.1.push(stream.try_clone()?);
    }
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        let connections = Arc::clone(connections);
        thread::spawn(move || pass(from, to, &connections));
    }
    Ok(())
}

/// Copies until one side ends, then ends both.
fn pass(mut from: TcpStream, mut to: TcpStream, connections: &GateConnections) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        connections.thaw();
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
