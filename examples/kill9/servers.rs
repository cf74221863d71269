//! The servers that hold the keys, each behind its gate: a pool of memcached, and a Redis beside it that holds every
//! key as well. Servers that are not installed are replaced by larder.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use larder::pool::{Placement, Ring, ServerList};

use super::Result;
use super::gate::{FaultGate, GateState};
use super::ports::reserved_port;
use super::random::Random;

/// One server, ended with the value.
struct Server {
    child: Child,
    /// Behind the gate.
    address: SocketAddr,
    gate: FaultGate,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Servers {
    /// The pool, and Redis as the last.
    all: Vec<Server>,
    ring: Ring,
}

impl Servers {
    /// Starts `count` servers and a Redis, and writes `larder.toml` in `directory`, with their gates as targets.
    pub(crate) fn start(count: usize, larder: &Path, directory: &Path) -> Result<Servers> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(Server::memcached(larder, directory)?);
        }
        let gates: Vec<String> = all
            .iter()
            .map(|server| format!("{} 1", server.gate.address))
            .collect();
        let list: ServerList = gates.join("\n").parse()?;
        all.push(Server::redis(larder, directory)?);
        let redis = all[count].gate.address;
        let config = format!(
            "[[target]]\nname = \"pool\"\nservers = {gates:?}\n\n\
             [[target]]\nname = \"redis\"\nkind = \"redis\"\nservers = [\"{redis}\"]\nkey = \"app:{{key}}\"\n"
        );
        fs::write(directory.join("larder.toml"), config)?;
        let ring = Ring::new(&list, Placement::Ketama);
        Ok(Servers { all, ring })
    }

    /// Sets a gate at random.
    pub(crate) fn trouble(&self, random: &mut Random) {
        let server = &self.all[random.below(self.all.len() as u64) as usize];
        server.gate.set(match random.below(4) {
            0 => GateState::Frozen,
            1 => GateState::Shut,
            _ => GateState::Open,
        });
    }

    /// Opens all gates.
    pub(crate) fn open(&self) {
        for server in &self.all {
            server.gate.set(GateState::Open);
        }
    }

    /// A way past the gates to each server.
    pub(crate) fn connect(&self) -> Result<Direct<'_>> {
        let connect = |server: &Server| -> Result<_> {
            let stream = TcpStream::connect(server.address)?;
            stream.set_nodelay(true)?;
            Ok(BufReader::new(stream))
        };
        let streams: Result<Vec<_>> = self.all.iter().map(connect).collect();
        Ok(Direct {
            ring: &self.ring,
            streams: streams?,
        })
    }

    /// Those of these keys that are on a server.
    pub(crate) fn found(&self, keys: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        let mut direct = self.connect()?;
        let mut found = BTreeSet::new();
        let (redis, pool) = direct.streams.split_last_mut().ok_or("no servers")?;
        for (number, stream) in pool.iter_mut().enumerate() {
            let here = |key: &&String| self.ring.server(key.as_bytes()) == number;
            let share: Vec<&str> = keys.iter().filter(here).map(String::as_str).collect();
            for keys in share.chunks(100) {
                found.extend(in_memcached(stream, keys)?);
            }
        }
        for key in keys {
            let request = array(&["EXISTS", &format!("app:{key}")]);
            redis.get_mut().write_all(request.as_bytes())?;
            match line(redis)?.as_str() {
                ":0\r\n" => {}
                ":1\r\n" => drop(found.insert(key.clone())),
                other => return Err(format!("Redis answered EXISTS with {other:?}").into()),
            }
        }
        Ok(found)
    }
}

/// Those of these keys that a memcached has.
fn in_memcached(stream: &mut BufReader<TcpStream>, keys: &[&str]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let request = format!("get {}\r\n", keys.join(" "));
    stream.get_mut().write_all(request.as_bytes())?;
    loop {
        let line = line(stream)?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["END"] => return Ok(found),
            ["VALUE", key, _, length] => {
                found.push(key.to_owned());
                let mut value = vec![0; length.parse::<usize>()? + 2];
                stream.read_exact(&mut value)?;
            }
            _ => return Err(format!("a server answered get with {line:?}").into()),
        }
    }
}

/// One client's way past the gates.
pub(crate) struct Direct<'a> {
    ring: &'a Ring,
    streams: Vec<BufReader<TcpStream>>,
}

impl Direct<'_> {
    /// Stores the old value under a key, on its server.
    pub(crate) fn store(&mut self, key: &str) -> Result<()> {
        let home = self.ring.server(key.as_bytes());
        let redis = self.streams.len() - 1;
        let in_redis = array(&["SET", &format!("app:{key}"), "old"]);
        for (number, request, expected) in [
            (home, format!("set {key} 0 0 3\r\nold\r\n"), "STORED\r\n"),
            (redis, in_redis, "+OK\r\n"),
        ] {
            let stream = &mut self.streams[number];
            stream.get_mut().write_all(request.as_bytes())?;
            let answer = line(stream)?;
            if answer != expected {
                return Err(format!("a server answered a set with {answer:?}").into());
            }
        }
        Ok(())
    }
}

/// A command of Redis.
fn array(words: &[&str]) -> String {
    let bulk = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
    let words: String = std::iter::once(format!("*{}\r\n", words.len()))
        .chain(words.iter().map(bulk))
        .collect();
    words
}

fn line(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    Ok(line)
}

impl Server {
    /// With a gigabyte, so that no item is evicted that should be found.
    fn memcached(larder: &Path, directory: &Path) -> Result<Server> {
        let free = free();
        let port = free.port().to_string();
        let mut real = Command::new("memcached");
        // As root it needs the name of a user.
        real.args(["-l", "127.0.0.1", "-m", "1024", "-u", "nobody", "-p", &port]);
        let mut ours = Command::new(larder);
        ours.args(["--resp", "off", "--memory", "1GiB", "--memcached"]);
        ours.arg(free.to_string());
        Server::start(free, real, ours, directory)
    }

    fn redis(larder: &Path, directory: &Path) -> Result<Server> {
        let free = free();
        let mut real = Command::new("redis-server");
        real.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--port",
        ]);
        real.arg(free.port().to_string());
        let mut ours = Command::new(larder);
        ours.args(["--memcached", "off", "--memory", "1GiB", "--resp"]);
        ours.arg(free.to_string());
        Server::start(free, real, ours, directory)
    }

    /// Starts the real server if it is installed, else ours, and waits until it accepts.
    fn start(
        address: SocketAddr,
        real: Command,
        ours: Command,
        directory: &Path,
    ) -> Result<Server> {
        let spawn = |mut command: Command| {
            let command = command.stdout(Stdio::null()).stderr(Stdio::null());
            // Not in the directory of larder.toml.
            command.current_dir(directory.join("servers")).spawn()
        };
        fs::create_dir_all(directory.join("servers"))?;
        let child = spawn(real).or_else(|_| spawn(ours))?;
        let server = Server {
            child,
            address,
            gate: FaultGate::before(address)?,
        };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if begun.elapsed() > Duration::from_secs(60) {
                return Err(format!("no server listens on {address}").into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }
}

/// An address for a server.
fn free() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], reserved_port()))
}
