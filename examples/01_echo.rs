//! Stage 1: an echo server that stops.
//!
//! Run it with `cargo run --example 01_echo -- [PORT [SECONDS]]`; port 0, the default, takes a
//! free one. TERM, INT or QUIT stop it: it takes no new connection, finishes what it has read,
//! waits at most SECONDS (10) for all connections together, and ends. A second signal ends it at
//! once.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{env, process, thread};

use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

// ANCHOR: main
fn main() -> io::Result<()> {
    let port = argument(1, 0);
    let grace = Duration::from_secs(argument(2, 10));
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let address = listener.local_addr()?;
    let connections = Arc::new(Connections::default());
    stop_on_signal(Arc::clone(&connections), address)?;

    println!("listening on echo {address}");
    accept(listener, &connections);
    connections.finish(grace);
    Ok(())
}
// ANCHOR_END: main

/// The argument at this place, or what stands in for it.
fn argument<T: std::str::FromStr>(place: usize, default: T) -> T {
    match env::args().nth(place).map(|text| text.parse()) {
        None => default,
        Some(Ok(value)) => value,
        Some(Err(_)) => {
            eprintln!("argument {place} is not a number in range: give [PORT [SECONDS]]");
            process::exit(2);
        }
    }
}

// ANCHOR: signals
/// Closes the server on the first signal and ends the process on the second.
fn stop_on_signal(connections: Arc<Connections>, address: SocketAddr) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT])?;
    thread::Builder::new().spawn(move || {
        let mut arrived = signals.forever();
        arrived.next();
        connections.close();
        // `accept` is asleep in the kernel; a connection is what wakes it.
        drop(TcpStream::connect(address));
        arrived.next();
        process::exit(1);
    })?;
    Ok(())
}
// ANCHOR_END: signals

// ANCHOR: accept
/// Serves every connection on a thread of its own, until the server is closing.
fn accept(listener: TcpListener, connections: &Arc<Connections>) {
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => Arc::new(stream),
            Err(error) => {
                eprintln!("cannot accept: {error}; trying again");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let Some(admitted) = connections.admit(&stream) else {
            return;
        };
        let served = thread::Builder::new().spawn(move || serve(&stream, admitted));
        if let Err(error) = served {
            eprintln!("no thread for a connection: {error}; closing it");
        }
    }
}

/// Serves one connection to its end. `admitted` is taken, not borrowed: the place in the set
/// ends with this call.
fn serve(stream: &TcpStream, admitted: Admitted) {
    if let Err(error) = echo(stream) {
        eprintln!("connection {}: {error}; closing it", admitted.id);
    }
}
// ANCHOR_END: accept

// ANCHOR: echo
/// Sends back what arrives until the client, or `close`, ends the input.
fn echo(mut stream: &TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..read])?;
    }
}
// ANCHOR_END: echo

// ANCHOR: connections
/// The open connections, and whether new ones may join them.
#[derive(Default)]
struct Connections {
    /// One lock for both facts: a connection is in the set before `close` looks, or turned away
    /// after it.
    state: Mutex<State>,
    /// Told whenever a connection leaves the set.
    left: Condvar,
}

#[derive(Default)]
struct State {
    closing: bool,
    last: u64,
    open: HashMap<u64, Arc<TcpStream>>,
}

/// A connection's place in the set; it leaves the set when this is dropped, however the
/// connection ended.
struct Admitted {
    id: u64,
    connections: Arc<Connections>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.connections.lock().open.remove(&self.id);
        self.connections.left.notify_all();
    }
}
// ANCHOR_END: connections

impl Connections {
    // ANCHOR: admit
    /// Takes a connection into the set, or nothing when the server is closing.
    fn admit(self: &Arc<Self>, stream: &Arc<TcpStream>) -> Option<Admitted> {
        let mut state = self.lock();
        if state.closing {
            return None;
        }
        state.last += 1;
        let id = state.last;
        state.open.insert(id, Arc::clone(stream));
        Some(Admitted {
            id,
            connections: Arc::clone(self),
        })
    }
    // ANCHOR_END: admit

    // ANCHOR: close
    /// Admits no more, and ends the input of every open connection: what was read is still
    /// answered.
    fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        for stream in state.open.values() {
            // Fails when the client is already gone, and then there is nothing to end.
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    /// Waits for all connections together, at most for `grace`, then cuts those that are left.
    fn finish(&self, grace: Duration) {
        let (state, _) = self
            .left
            .wait_timeout_while(self.lock(), grace, |state| !state.open.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        if !state.open.is_empty() {
            eprintln!(
                "{} connections did not finish in {grace:?}; cutting them",
                state.open.len()
            );
        }
        for stream in state.open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
    // ANCHOR_END: close

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked held the lock only for whole steps: the set is as good as
        // before.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
