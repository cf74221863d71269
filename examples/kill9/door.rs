//! A door before a server: bytes pass while it is open; shut, it closes every connection at once; frozen, nothing
//! passes and nothing closes. The server behind it keeps what it holds, which a server that is ended would not.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    Shut,
    Frozen,
}

/// What the threads of a door share.
struct Hinge {
    /// The state, and both ends of every connection that passes.
    inside: Mutex<(State, Vec<TcpStream>)>,
    changed: Condvar,
}

impl Hinge {
    fn lock(&self) -> MutexGuard<'_, (State, Vec<TcpStream>)> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn thaw(&self) {
        let mut inside = self.lock();
        while inside.0 == State::Frozen {
            inside = self
                .changed
                .wait(inside)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    hinge: Arc<Hinge>,
}

impl Door {
    /// An open door before the server at `behind`. Its threads live as long as the process.
    pub(crate) fn before(behind: SocketAddr) -> io::Result<Door> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let hinge = Arc::new(Hinge {
            inside: Mutex::new((State::Open, Vec::new())),
            changed: Condvar::new(),
        });
        let shared = Arc::clone(&hinge);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Who is turned away sees the connection closed; so does who connects while it shuts.
                let _ = admit(client, behind, &shared);
            }
        });
        Ok(Door { address, hinge })
    }

    pub(crate) fn set(&self, state: State) {
        let mut inside = self.hinge.lock();
        inside.0 = state;
        if state == State::Shut {
            for stream in inside.1.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.hinge.changed.notify_all();
    }
}

fn admit(client: TcpStream, behind: SocketAddr, hinge: &Arc<Hinge>) -> io::Result<()> {
    let mut inside = hinge.lock();
    if inside.0 == State::Shut {
        return Ok(());
    }
    let server = TcpStream::connect(behind)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        inside.1.push(stream.try_clone()?);
    }
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        let hinge = Arc::clone(hinge);
        thread::spawn(move || pass(from, to, &hinge));
    }
    Ok(())
}

/// Copies until one side ends, then ends both.
fn pass(mut from: TcpStream, mut to: TcpStream, hinge: &Hinge) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        hinge.thaw();
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
