//! Deliveries: each server has its own worker, which takes the pending keys from the spool.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use larder::pool::ServerList;
use larder::protocol::memcached::text::reply;

use super::spool::{Counts, Message, Problem, Spool, Work};

/// The deadline of a server, to accept a connection or to answer.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Bytes in which an answer must end.
const ANSWER_LIMIT: u64 = 512;

/// Deletes that are sent before the first answer is read.
const BATCH: usize = 512;

/// The pause after a failure; it doubles with each further one, up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A connection whose answers are read line by line.
type Connection = BufReader<TcpStream>;

/// Starts a worker for each server. Returns the senders that wake them.
pub(crate) fn start(
    pool: &ServerList,
    spool: &Arc<Spool>,
    recorder: &Sender<Message>,
    counts: &Arc<Counts>,
) -> io::Result<Vec<Sender<()>>> {
    let servers = pool.servers().iter();
    servers
        .map(|server| {
            let (wake, woken) = bounded(1);
            let mut worker = Worker {
                server: server.address.clone(),
                spool: Arc::clone(spool),
                recorder: recorder.clone(),
                connection: None,
                last: Vec::new(),
            };
            let counts = Arc::clone(counts);
            thread::Builder::new().spawn(move || worker.run(&woken, &counts))?;
            Ok(wake)
        })
        .collect()
}

/// The worker of one server.
struct Worker {
    server: String,
    spool: Arc<Spool>,
    recorder: Sender<Message>,
    connection: Option<Connection>,
    /// The key at which the last batch ended. The next batch begins behind it, so that keys that change all the time
    /// don't keep others waiting.
    last: Vec<u8>,
}

impl Worker {
    fn run(&mut self, woken: &Receiver<()>, counts: &Counts) {
        let mut pause = SHORTEST_PAUSE;
        let mut down = false;
        loop {
            match self.round() {
                Ok(more) => {
                    if down {
                        eprintln!("{}: back", self.server);
                    }
                    (down, pause) = (false, SHORTEST_PAUSE);
                    // The first round comes before any wake: keys may be pending from an earlier run.
                    if !more && woken.recv().is_err() {
                        return;
                    }
                }
                Err(error) => {
                    self.connection = None;
                    if !down {
                        eprintln!("{}: {error}; its changes are kept", self.server);
                    }
                    down = true;
                    counts.retries.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(pause);
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
            }
        }
    }

    /// Delivers a batch of pending keys. Returns whether there may be more.
    fn round(&mut self) -> Result<bool, Problem> {
        match self.spool.next(&self.server, &self.last, BATCH)? {
            Work::Flush(decided) => {
                self.ask(&[b"flush_all\r\n".to_vec()], &[reply::OK])?;
                let server = self.server.clone();
                self.report(|done| Message::Flushed(server, decided, done))?;
            }
            Work::Delete(keys) if keys.is_empty() && self.last.is_empty() => return Ok(false),
            // No key is behind the last one: begin again with the first.
            Work::Delete(keys) if keys.is_empty() => self.last.clear(),
            Work::Delete(keys) => {
                let lines: Vec<Vec<u8>> = keys
                    .iter()
                    .map(|(key, _)| [b"delete ", &key[..], b"\r\n"].concat())
                    .collect();
                self.ask(&lines, &[reply::DELETED, reply::NOT_FOUND])?;
                self.last = keys.last().map_or(Vec::new(), |(key, _)| key.clone());
                let server = self.server.clone();
                self.report(|done| Message::Deleted(server, keys, done))?;
            }
        }
        Ok(true)
    }

    /// Sends the recorder a message and waits until it is recorded: else the same keys would be read again.
    fn report(&self, message: impl FnOnce(Sender<bool>) -> Message) -> Result<(), Problem> {
        let (done, recorded) = bounded(1);
        self.recorder.send(message(done))?;
        match recorded.recv()? {
            true => Ok(()),
            false => Err("the spool can't be written".into()),
        }
    }

    /// Sends all lines at once and reads an answer to each. If it fails in the middle, all are sent again, because
    /// deleting twice does no harm.
    fn ask(&mut self, lines: &[Vec<u8>], right: &[&[u8]]) -> Result<(), Problem> {
        if let Some(mut kept) = self.connection.take() {
            match exchange(&mut kept, lines, right) {
                Ok(()) => {
                    self.connection = Some(kept);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => return Err(error.into()),
                // The server may have closed it since its last use.
                Err(_) => {}
            }
        }
        let mut fresh = BufReader::new(connect(&self.server)?);
        exchange(&mut fresh, lines, right)?;
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

/// Writes the lines and reads their answers. After an error the caller drops the connection, with any answer that may
/// still come on it.
fn exchange(connection: &mut Connection, lines: &[Vec<u8>], right: &[&[u8]]) -> io::Result<()> {
    let stream = connection.get_mut();
    stream.write_all(&lines.concat()).map_err(in_time)?;
    let mut answer = Vec::new();
    for _ in lines {
        answer.clear();
        let mut limited = connection.take(ANSWER_LIMIT);
        limited.read_until(b'\n', &mut answer).map_err(in_time)?;
        if answer.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if !right.contains(&&answer[..]) {
            let answer = answer.escape_ascii();
            return Err(io::Error::other(format!("answered {answer}")));
        }
    }
    Ok(())
}

/// The error of a blocking call, which reports the end of its timeout as `WouldBlock`.
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => io::Error::new(ErrorKind::TimedOut, "no answer in time"),
        _ => error,
    }
}
