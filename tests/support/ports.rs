//! Ports for programs that are given one. `examples/kill9` uses this file as well.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use socket2::{Domain, Socket, Type};

/// A port that is free now, and that the system gives only to programs that name it: below those that it chooses from,
/// so that no connection of another test takes it in the meantime.
pub(crate) fn reserved_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 100) as u16 * 100;
    (0..10_000)
        .map(|_| 20_000 + (first + NEXT.fetch_add(1, Relaxed)) % 10_000)
        .find(|port| could_listen(*port).is_ok())
        .expect("a port is free")
}

/// Whether a server could listen on this port.
///
/// The socket doesn't listen itself. A program that another thread starts has a copy of it for a moment, and a copy that
/// listened would accept connections and take the port from the server that it was meant for.
fn could_listen(port: u16) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())
}
