//! Ports for programs that are given one. `examples/kill9` uses this file as well.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

/// A port that is free now, and that the system gives only to programs that name it: below those that it chooses from,
/// so that no connection of another test takes it in the meantime.
pub(crate) fn reserved_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 100) as u16 * 100;
    (0..10_000)
        .map(|_| 20_000 + (first + NEXT.fetch_add(1, Relaxed)) % 10_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a port is free")
}
