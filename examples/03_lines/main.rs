//! Stage 3: memcached's text protocol on a map.
//!
//! Run it with `cargo run --example 03_lines -- [PORT [SECONDS]]`; port 0, the default, takes a
//! free one. The server is the second stage's with more threads; what it says is in
//! `memcached.rs`. Nothing expires, and nothing is evicted.

mod memcached;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{env, process, thread};

use crossbeam_channel::{Receiver, unbounded};
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use memcached::{Items, Session, Step};

/// Threads, and so connections that are served at the same time.
const THREADS: usize = 64;

/// Connections that wait for a thread. One more is turned away.
const WAITING: usize = 64;

/// Bytes of replies that are written out before the next command is looked at.
const OUTPUT_LIMIT: usize = 64 * 1024;

/// What a client that is turned away reads: memcached's words.
const FULL: &[u8] = b"ERROR Too many open connections\r\n";

fn main() -> io::Result<()> {
    let port = argument(1, 0);
    let grace = Duration::from_secs(argument(2, 10));
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let address = listener.local_addr()?;
    let connections = Arc::new(Connections::default());
    stop_on_signal(Arc::clone(&connections), address)?;

    println!("listening on memcached {address}");
    accept(listener, &connections)?;
    connections.finish(grace);
    Ok(())
}

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

/// A connection and its place in the set.
type Guest = (Arc<TcpStream>, Admitted);

/// Starts the threads; each takes connections from the queue until the queue is closed and empty.
fn pool(queue: &Receiver<Guest>) -> io::Result<()> {
    let items = Arc::new(Items::default());
    for _ in 0..THREADS {
        let (queue, items) = (queue.clone(), Arc::clone(&items));
        thread::Builder::new().spawn(move || {
            for (stream, admitted) in queue {
                serve(&stream, admitted, &items);
            }
        })?;
    }
    Ok(())
}

/// Puts every connection that has a place into the queue of the pool, until the server is
/// closing.
fn accept(listener: TcpListener, connections: &Arc<Connections>) -> io::Result<()> {
    // The set bounds the queue: what waits here has a place in it.
    let (waiting, queue) = unbounded();
    pool(&queue)?;
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => Arc::new(stream),
            Err(error) => {
                eprintln!("cannot accept: {error}; trying again");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        match connections.admit(&stream) {
            Ok(admitted) => drop(waiting.send((stream, admitted))),
            Err(Refused::Full) => refuse(&stream),
            Err(Refused::Closing) => break,
        }
    }
    Ok(())
}

/// Tells a client that there is no place for it. A few bytes fit into the buffer of a new
/// connection: this can't block.
fn refuse(mut stream: &TcpStream) {
    if let Err(error) = stream.write_all(FULL) {
        eprintln!("a connection too many, and it left before it was told: {error}");
    }
}

/// Serves one connection to its end. `admitted` is taken, not borrowed: the place in the set
/// ends with this call.
fn serve(stream: &TcpStream, admitted: Admitted, items: &Items) {
    if let Err(error) = talk(stream, items) {
        eprintln!("connection {}: {error}; closing it", admitted.id);
    }
}

// ANCHOR: talk
/// Answers command after command until the client, or `close`, ends the input.
fn talk(mut stream: &TcpStream, items: &Items) -> io::Result<()> {
    let mut session = Session::default();
    let (mut input, mut output) = (Vec::new(), Vec::new());
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        input.extend_from_slice(&buffer[..read]);
        let mut consumed = 0;
        loop {
            match session.step(&input[consumed..], items, &mut output) {
                Step::Done(used) => consumed += used,
                Step::NeedMore => break,
                Step::Close => return stream.write_all(&output),
            }
            // A packet can ask for more than fits into memory: what is ready goes out first.
            if output.len() >= OUTPUT_LIMIT {
                stream.write_all(&output)?;
                output.clear();
            }
        }
        input.drain(..consumed);
        stream.write_all(&output)?;
        output.clear();
    }
}
// ANCHOR_END: talk

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

/// Why a connection has no place.
enum Refused {
    Full,
    Closing,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.connections.lock().open.remove(&self.id);
        self.connections.left.notify_all();
    }
}

impl Connections {
    /// Takes a connection into the set, if there is a place for it.
    fn admit(self: &Arc<Self>, stream: &Arc<TcpStream>) -> Result<Admitted, Refused> {
        let mut state = self.lock();
        if state.closing {
            return Err(Refused::Closing);
        }
        if state.open.len() >= THREADS + WAITING {
            return Err(Refused::Full);
        }
        state.last += 1;
        let id = state.last;
        state.open.insert(id, Arc::clone(stream));
        Ok(Admitted {
            id,
            connections: Arc::clone(self),
        })
    }

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

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked held the lock only for whole steps: the set is as good as
        // before.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
