//! Workers take keys from the channel and delete each from the server that the ring names.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::Receiver;
use larder::pool::{Placement, Ring, ServerList};
use larder::protocol::memcached::text::reply;

/// The deadline of a server, to accept a connection or to answer.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Bytes in which an answer to a delete must end.
const ANSWER_LIMIT: u64 = 512;

/// The number of keys that were deleted, and of those that were not.
#[derive(Default)]
pub(crate) struct Counts {
    /// Deletes that a server has answered.
    delivered: AtomicU64,
    /// Deletes that no server has answered. They aren't retried.
    lost: AtomicU64,
}

impl Counts {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        reply::stat(out, "delivered", self.delivered.load(Ordering::Relaxed));
        reply::stat(out, "lost", self.lost.load(Ordering::Relaxed));
    }
}

/// Starts the workers; each has its own connections to all servers.
pub(crate) fn start(
    workers: usize,
    pool: &ServerList,
    queue: &Receiver<Vec<u8>>,
    counts: &Arc<Counts>,
) -> io::Result<Vec<JoinHandle<()>>> {
    (0..workers)
        .map(|_| {
            let servers = pool.servers().iter();
            let upstreams = servers.map(|server| Upstream::new(&server.address));
            let upstreams = upstreams.collect();
            let ring = Ring::new(pool, Placement::Ketama);
            let (queue, counts) = (queue.clone(), Arc::clone(counts));
            thread::Builder::new().spawn(move || work(&queue, &ring, upstreams, &counts))
        })
        .collect()
}

/// Deletes each key of the channel from its server, until the channel is empty and has no sender.
fn work(queue: &Receiver<Vec<u8>>, ring: &Ring, mut upstreams: Vec<Upstream>, counts: &Counts) {
    for key in queue {
        let upstream = &mut upstreams[ring.server(&key)];
        let count = match upstream.delete(&key) {
            Ok(()) => &counts.delivered,
            Err(error) => {
                let key = key.escape_ascii();
                eprintln!("{}: {error}; {key} may be stale there", upstream.address);
                &counts.lost
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// A server of the pool, and the connection to it while that works.
struct Upstream {
    address: String,
    connection: Option<BufReader<TcpStream>>,
}

impl Upstream {
    fn new(address: &str) -> Upstream {
        Upstream {
            address: address.to_owned(),
            connection: None,
        }
    }

    /// Deletes a key. The server may have closed the kept connection since its last use; then the delete is retried on
    /// a new one, because deleting twice does no harm. After a timeout it isn't retried.
    fn delete(&mut self, key: &[u8]) -> io::Result<()> {
        if let Some(mut kept) = self.connection.take() {
            match ask(&mut kept, key) {
                Ok(()) => {
                    self.connection = Some(kept);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => return Err(error),
                Err(_) => {}
            }
        }
        let mut fresh = BufReader::new(connect(&self.address)?);
        ask(&mut fresh, key)?;
        self.connection = Some(fresh);
        Ok(())
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut found = address.to_socket_addrs()?;
    let address = found.next().ok_or(ErrorKind::AddrNotAvailable)?;
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// One delete and its answer. After an error the caller drops the connection, with any answer that may still come on it.
fn ask(connection: &mut BufReader<TcpStream>, key: &[u8]) -> io::Result<()> {
    let line = [b"delete ", key, b"\r\n"].concat();
    connection.get_mut().write_all(&line)?;
    let mut answer = Vec::new();
    let mut limited = connection.take(ANSWER_LIMIT);
    limited
        .read_until(b'\n', &mut answer)
        .map_err(|error| match error.kind() {
            // A blocking read returns this when its timeout ends.
            ErrorKind::WouldBlock => io::Error::new(ErrorKind::TimedOut, "no answer in time"),
            _ => error,
        })?;
    match &answer[..] {
        reply::DELETED | reply::NOT_FOUND => Ok(()),
        [] => Err(ErrorKind::UnexpectedEof.into()),
        other => Err(io::Error::other(format!(
            "answered {}",
            other.escape_ascii()
        ))),
    }
}
