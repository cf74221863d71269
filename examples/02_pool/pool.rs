//! A fixed number of threads, and a queue of connections for them.

use std::net::TcpStream;
use std::sync::Arc;
use std::{io, thread};

use crossbeam_channel::Receiver;

use crate::connections::Admitted;

/// A connection and its membership in the set.
pub(crate) type Job = (Arc<TcpStream>, Admitted);

/// Starts the threads; each takes connections from the queue until the queue is closed and empty.
pub(crate) fn start<T>(threads: usize, queue: &Receiver<Job>, talk: T) -> io::Result<()>
where
    T: Fn(&TcpStream) -> io::Result<()> + Clone + Send + 'static,
{
    for _ in 0..threads {
        let (queue, talk) = (queue.clone(), talk.clone());
        thread::Builder::new().spawn(move || {
            for (stream, admitted) in queue {
                serve(&stream, admitted, &talk);
            }
        })?;
    }
    Ok(())
}

/// Serves one connection to its end. `admitted` is taken, not borrowed: the connection leaves the
/// set at the end of this call.
fn serve(stream: &TcpStream, admitted: Admitted, talk: impl Fn(&TcpStream) -> io::Result<()>) {
    if let Err(error) = talk(stream) {
        eprintln!("connection {}: {error}; closing it", admitted.id);
    }
}
