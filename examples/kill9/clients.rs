//! Clients that change keys until the connection breaks, and record the acknowledged changes.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use super::Result;
use super::random::Random;
use super::servers::Servers;

/// Most changes that a client sends before it reads the answers.
const PIPELINE: u64 = 8;

/// The clients of one life of `larder invalidate`.
pub(crate) struct Load<'a> {
    pub(crate) life: u64,
    pub(crate) clients: u64,
    pub(crate) address: String,
    pub(crate) servers: &'a Servers,
    /// Changes that have been acknowledged so far.
    pub(crate) acknowledged: AtomicU64,
}

impl Load<'_> {
    /// Runs until all clients have lost their connection. Returns the keys whose last change was acknowledged.
    pub(crate) fn run(&self, seed: u64) -> Result<BTreeSet<String>> {
        thread::scope(|scope| {
            let clients: Vec<_> = (0..self.clients)
                .map(|number| scope.spawn(move || self.client(number, seed ^ number)))
                .collect();
            let mut owed = BTreeSet::new();
            for client in clients {
                owed.extend(client.join().map_err(|_| "a client panicked")??);
            }
            Ok(owed)
        })
    }

    fn client(&self, number: u64, seed: u64) -> Result<BTreeSet<String>> {
        let mut owed = BTreeSet::new();
        let mut random = Random::new(seed);
        let mut direct = self.servers.connect()?;
        let Ok(stream) = TcpStream::connect(&self.address) else {
            return Ok(owed);
        };
        let _ = stream.set_nodelay(true);
        let mut stream = BufReader::new(stream);
        let mut next = 0;
        loop {
            let mut keys = Vec::new();
            for _ in 0..=random.below(PIPELINE) {
                // One in four has been changed before and holds an old value again since.
                let old = next > 0 && random.below(4) == 0;
                let key = match old {
                    true => random.below(next),
                    false => next,
                };
                next += u64::from(!old);
                keys.push(format!("{}:{number}:{key}", self.life));
            }
            keys.sort();
            keys.dedup();
            for key in &keys {
                owed.remove(key);
                direct.store(key)?;
            }
            let requests: String = keys
                .iter()
                .map(|key| match random.below(2) {
                    0 => format!("set {key} 0 0 3\r\nnew\r\n"),
                    _ => format!("delete {key}\r\n"),
                })
                .collect();
            if stream.get_mut().write_all(requests.as_bytes()).is_err() {
                return Ok(owed);
            }
            for key in keys {
                let mut line = String::new();
                match stream.read_line(&mut line) {
                    Ok(1..) if line.ends_with('\n') => {}
                    _ => return Ok(owed),
                }
                if !matches!(line.as_str(), "STORED\r\n" | "DELETED\r\n") {
                    return Err(format!("larder answered a change with {line:?}").into());
                }
                self.acknowledged.fetch_add(1, Relaxed);
                owed.insert(key);
            }
        }
    }
}
