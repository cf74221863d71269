//! The spool, and the recorder: the only thread that writes it.
//!
//! The spool holds for each server the keys that are still to be deleted there, each with the number of its last change,
//! and the servers that are to be flushed, because too many keys were pending for them.

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender};
use larder::pool::{Placement, Ring, ServerList};
use larder::protocol::memcached::text::reply;
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend,
    TableDefinition,
};

/// Server and key, and the number of the key's last change.
const PENDING: TableDefinition<(&str, &[u8]), u64> = TableDefinition::new("pending");

/// Servers to be flushed, and the number of the last change when that was decided.
const FLUSH: TableDefinition<&str, u64> = TableDefinition::new("flush");

/// Messages that go into one commit.
const GROUP: usize = 1024;

/// Bytes that redb may use to hold pages in memory.
const CACHE: usize = 32 << 20;

/// An error of the spool or of a delivery. No code looks at its kind: it is printed.
pub(crate) type Problem = Box<dyn std::error::Error + Send + Sync>;

/// The spool's database.
pub(crate) struct Spool {
    database: Database,
}

impl Spool {
    /// Opens the file, or makes it. With `fsync` a commit waits for the disk, without it for the operating system.
    pub(crate) fn open(path: &str, fsync: bool) -> Result<Spool, Problem> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE);
        let database = if fsync {
            builder.create(path)
        } else {
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create(true).truncate(false);
            let file = options.open(path)?;
            // Two programs with one spool would each remove what the other has recorded.
            file.try_lock()
                .map_err(|_| format!("{path} is in use by another process"))?;
            builder.create_with_backend(WithoutSync(FileBackend::new(file)?))
        };
        let database = database.map_err(|error| format!("{path}: {error}"))?;
        Spool::prepare(database)
    }

    /// A spool that is lost with the process.
    pub(crate) fn in_memory() -> Result<Spool, Problem> {
        Spool::prepare(Database::builder().create_with_backend(InMemoryBackend::new())?)
    }

    fn prepare(database: Database) -> Result<Spool, Problem> {
        let write = database.begin_write()?;
        write.open_table(PENDING)?;
        write.open_table(FLUSH)?;
        write.commit()?;
        Ok(Spool { database })
    }

    /// The next work for a server: its keys behind `after`, a limited number of them.
    pub(crate) fn next(&self, server: &str, after: &[u8], most: usize) -> Result<Work, Problem> {
        let read = self.database.begin_read()?;
        if let Some(decided) = read.open_table(FLUSH)?.get(server)? {
            return Ok(Work::Flush(decided.value()));
        }
        let mut keys = Vec::new();
        for entry in read.open_table(PENDING)?.range((server, after)..)? {
            let (row, number) = entry?;
            let (owner, key) = row.value();
            if owner != server || keys.len() == most {
                break;
            }
            if key != after {
                keys.push((key.to_vec(), number.value()));
            }
        }
        Ok(Work::Delete(keys))
    }
}

/// Work for a server.
pub(crate) enum Work {
    /// All keys are to be deleted; decided at this change.
    Flush(u64),
    /// These keys are to be deleted, each with the number of its last change.
    Delete(Vec<(Vec<u8>, u64)>),
}

/// A file that is written and not synchronised. The operating system has what was written, so it survives the process,
/// but not a crash of the system.
#[derive(Debug)]
struct WithoutSync(FileBackend);

impl StorageBackend for WithoutSync {
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

/// Messages to the recorder. It answers each with whether it is recorded.
pub(crate) enum Message {
    /// From a session: keys that have changed.
    Changed(Vec<Vec<u8>>, Sender<bool>),
    /// From a worker: the server has deleted these keys; the numbers are those that the worker has read.
    Deleted(String, Vec<(Vec<u8>, u64)>, Sender<bool>),
    /// From a worker: the server was flushed, as decided at this change.
    Flushed(String, u64, Sender<bool>),
}

/// The counts that `stats` prints.
#[derive(Default)]
pub(crate) struct Counts {
    /// Keys that are still to be deleted, all servers together.
    pending: AtomicU64,
    /// Keys that a server has deleted.
    delivered: AtomicU64,
    /// Failed attempts: a server could not be reached or did not answer.
    pub(crate) retries: AtomicU64,
}

impl Counts {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        reply::stat(out, "pending", self.pending.load(Ordering::Relaxed));
        reply::stat(out, "delivered", self.delivered.load(Ordering::Relaxed));
        reply::stat(out, "retries", self.retries.load(Ordering::Relaxed));
    }
}

/// The only writer of the spool.
pub(crate) struct Recorder {
    spool: Arc<Spool>,
    servers: Vec<String>,
    ring: Ring,
    /// The number of keys pending for each server.
    pending: HashMap<String, u64>,
    /// The most keys that may be pending for a server.
    most: u64,
    /// The number of the last change.
    last: u64,
    counts: Arc<Counts>,
}

impl Recorder {
    /// Counts the keys that are pending from an earlier run.
    pub(crate) fn new(
        spool: Arc<Spool>,
        pool: &ServerList,
        most: u64,
    ) -> Result<Recorder, Problem> {
        let (mut pending, mut last) = (HashMap::new(), 0);
        let read = spool.database.begin_read()?;
        let table = read.open_table(PENDING)?;
        for entry in table.iter()? {
            let (row, number) = entry?;
            *pending.entry(row.value().0.to_owned()).or_insert(0) += 1;
            last = last.max(number.value());
        }
        for entry in read.open_table(FLUSH)?.iter()? {
            last = last.max(entry?.1.value());
        }
        if table.len()? > 0 {
            eprintln!("{} changes are pending from before", table.len()?);
        }
        let counts = Counts::default();
        counts.pending.store(table.len()?, Ordering::Relaxed);
        Ok(Recorder {
            servers: pool.servers().iter().map(|s| s.address.clone()).collect(),
            ring: Ring::new(pool, Placement::Ketama),
            counts: Arc::new(counts),
            spool,
            pending,
            most,
            last,
        })
    }

    pub(crate) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Takes all messages that have come, commits them together, answers each, and wakes the workers.
    pub(crate) fn start(
        mut self,
        queue: Receiver<Message>,
        wakes: Vec<Sender<()>>,
    ) -> io::Result<()> {
        thread::Builder::new().spawn(move || {
            while let Ok(first) = queue.recv() {
                let mut group = vec![first];
                group.extend(queue.try_iter().take(GROUP - 1));
                let recorded = self.commit(&group);
                if let Err(error) = &recorded {
                    eprintln!("the spool can't be written: {error}; nothing is acknowledged");
                }
                for message in &group {
                    let (Message::Changed(_, done)
                    | Message::Deleted(_, _, done)
                    | Message::Flushed(_, _, done)) = message;
                    // Fails when the sender of the message has ended.
                    let _ = done.send(recorded.is_ok());
                }
                for wake in &wakes {
                    // The channel is full when the worker has yet to see an earlier wake.
                    let _ = wake.try_send(());
                }
            }
        })?;
        Ok(())
    }

    /// One transaction: the whole group is recorded, or none of it.
    fn commit(&mut self, group: &[Message]) -> Result<(), Problem> {
        let mut pending = self.pending.clone();
        let mut last = self.last;
        let mut delivered = 0;
        let write = self.spool.database.begin_write()?;
        {
            let mut table = write.open_table(PENDING)?;
            let mut flush = write.open_table(FLUSH)?;
            let mut grown = HashSet::new();
            for message in group {
                match message {
                    Message::Changed(keys, _) => {
                        for key in keys {
                            let server = &self.servers[self.ring.server(key)];
                            last += 1;
                            if table.insert((&server[..], &key[..]), last)?.is_none() {
                                *pending.entry(server.clone()).or_insert(0) += 1;
                                grown.insert(server);
                            }
                        }
                    }
                    Message::Deleted(server, keys, _) => {
                        for (key, number) in keys {
                            let row = (&server[..], &key[..]);
                            // A key that has changed since has a larger number, and stays.
                            let same = table.get(row)?.is_some_and(|now| now.value() == *number);
                            if same {
                                table.remove(row)?;
                                *pending.entry(server.clone()).or_insert(1) -= 1;
                                delivered += 1;
                            }
                        }
                    }
                    Message::Flushed(server, decided, _) => {
                        let same = flush
                            .get(&server[..])?
                            .is_some_and(|now| now.value() == *decided);
                        if same {
                            flush.remove(&server[..])?;
                        }
                    }
                }
            }
            for server in grown {
                if pending.get(server).is_some_and(|keys| *keys > self.most) {
                    let all = (&server[..], &[0u8; 0][..])..=(&server[..], &[0xff; 251][..]);
                    table.retain_in(all, |_, _| false)?;
                    pending.insert(server.clone(), 0);
                    flush.insert(&server[..], last)?;
                }
            }
        }
        write.commit()?;
        self.pending = pending;
        self.last = last;
        self.counts
            .delivered
            .fetch_add(delivered, Ordering::Relaxed);
        let all = self.pending.values().sum();
        self.counts.pending.store(all, Ordering::Relaxed);
        Ok(())
    }
}
