//! Signals: the first closes the server, the second ends the process.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::{process, thread};

use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::connections::Connections;

/// Waits for signals in a separate thread; `address` is the address of the listener.
pub(crate) fn watch(connections: Arc<Connections>, address: SocketAddr) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT])?;
    thread::Builder::new().spawn(move || {
        let mut arrived = signals.forever();
        arrived.next();
        connections.close();
        // `accept` sleeps in the kernel until a connection comes: this one wakes it.
        drop(TcpStream::connect(address));
        arrived.next();
        process::exit(1);
    })?;
    Ok(())
}
