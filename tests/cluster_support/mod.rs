//! A Redis Cluster of real servers, started by the test and ended with it, and a client that reads
//! any reply.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use larder::pool::SLOTS;
use larder::proxy::{Protocol, Proxy, Settings};
use larder::server::Listen;
use tempfile::TempDir;

use crate::proxy_support::{
    PATIENCE, TestProxy, eventually, eventually_within, free_port, list, settings,
};

/// The longest time to move a slot.
pub const MOVE: Duration = Duration::from_secs(120);

/// The longest time for a replica to become master on demand. After an election that it did not win in time, the next
/// can begin only after four times the servers' timeout, which is 15 s.
const TAKE_OVER: Duration = Duration::from_secs(180);

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A simple or a bulk string.
    Text(String),
    Error(String),
    Number(i64),
    Nil,
    List(Vec<Said>),
}

impl Said {
    pub fn text(&self) -> &str {
        match self {
            Said::Text(text) | Said::Error(text) => text,
            _ => "",
        }
    }

    /// The first of a list.
    pub fn first(&self) -> &Said {
        match self {
            Said::List(list) => list.first().unwrap_or(self),
            _ => self,
        }
    }

    pub fn is_error(&self) -> bool {
        matches!(self, Said::Error(_))
    }
}

impl From<&str> for Said {
    fn from(text: &str) -> Said {
        Said::Text(text.to_owned())
    }
}

/// A client that sends words and reads a reply.
pub struct Talk(BufReader<TcpStream>);

impl Talk {
    pub fn to(address: SocketAddr) -> Talk {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("timeout");
        stream.set_nodelay(true).expect("no delay");
        Talk(BufReader::new(stream))
    }

    pub fn send(&mut self, words: &[impl AsRef<[u8]>]) {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            let word = word.as_ref();
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        self.0.get_mut().write_all(&bytes).expect("send");
    }

    #[track_caller]
    pub fn read(&mut self) -> Said {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        let line = line.trim_end_matches("\r\n");
        let rest = line.get(1..).expect("not the end");
        let number = || rest.parse::<i64>().expect("a number");
        match line.as_bytes()[0] {
            b'+' => Said::Text(rest.to_owned()),
            b'-' => Said::Error(rest.to_owned()),
            b':' => Said::Number(number()),
            b'$' | b'*' if number() < 0 => Said::Nil,
            b'$' => {
                let mut text = vec![0; number() as usize + 2];
                self.0.read_exact(&mut text).expect("a string");
                text.truncate(text.len() - 2);
                Said::Text(String::from_utf8_lossy(&text).into_owned())
            }
            b'*' => Said::List((0..number()).map(|_| self.read()).collect()),
            _ => panic!("{line:?}"),
        }
    }

    /// Whether this many bytes come before the end.
    pub fn comes(&mut self, bytes: u64) -> bool {
        let copied = std::io::copy(&mut (&mut self.0).take(bytes), &mut std::io::sink());
        copied.is_ok_and(|copied| copied == bytes)
    }

    #[track_caller]
    pub fn call(&mut self, words: &[impl AsRef<[u8]>]) -> Said {
        self.send(words);
        self.read()
    }

    /// A command as it is typed, which must not be answered with an error.
    #[track_caller]
    pub fn must(&mut self, command: &str) -> Said {
        let said = self.call(&command.split(' ').collect::<Vec<_>>());
        assert!(!said.is_error(), "{command}: {said:?}");
        said
    }
}

/// One server of the cluster.
pub struct Node {
    child: Child,
    pub address: SocketAddr,
    /// The address with TLS, which then the other servers use as well.
    pub tls: Option<SocketAddr>,
    bus: u16,
    pub id: String,
}

/// The files of servers with TLS: their certificate, its key, and the authority.
pub type TlsFiles = [PathBuf; 3];

impl Node {
    /// `None` if there is no redis-server.
    fn start(directory: &TempDir, files: Option<&TlsFiles>) -> Option<Node> {
        let program = crate::support::find("redis-server")?;
        for _ in 0..5 {
            let (address, bus) = (free_port(), free_port().port());
            let home = directory.path().join(address.port().to_string());
            std::fs::create_dir_all(&home).expect("a directory");
            let tls = files.map(|_| free_port());
            let mut command = Command::new(&program);
            if let Some((address, [cert, key, ca])) = tls.zip(files) {
                command
                    .args(["--tls-port", &address.port().to_string()])
                    .args(["--tls-cluster", "yes", "--tls-replication", "yes"])
                    .arg("--tls-cert-file")
                    .arg(cert)
                    .arg("--tls-key-file")
                    .arg(key)
                    .arg("--tls-ca-cert-file")
                    .arg(ca)
                    .args(["--tls-auth-clients", "no"]);
            }
            let mut child = command
                .args(["--port", &address.port().to_string()])
                .args(["--cluster-port", &bus.to_string()])
                .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
                .args(["--cluster-enabled", "yes"])
                .args(["--cluster-require-full-coverage", "no"])
                .args(["--repl-diskless-sync-delay", "0"])
                .arg("--dir")
                .arg(&home)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("it starts");
            let (mut ended, mut id) = (false, None);
            eventually("the server, or its end", || {
                ended = matches!(child.try_wait(), Ok(Some(_)));
                // It accepts connections before it has the port for the other servers, and ends if it doesn't get it.
                id = cluster_id(address).ok();
                ended || id.is_some()
            });
            // Another may have taken one of the ports first.
            if let Some(id) = id.filter(|_| !ended) {
                return Some(Node {
                    child,
                    address,
                    tls,
                    bus,
                    id,
                });
            }
        }
        panic!("redis-server does not start");
    }

    pub fn talk(&self) -> Talk {
        Talk::to(self.address)
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        let _ = self.child.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The id that a server has in its cluster, once it answers.
fn cluster_id(address: SocketAddr) -> io::Result<String> {
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    stream.get_ref().set_read_timeout(Some(PATIENCE))?;
    stream.get_mut().write_all(b"CLUSTER MYID\r\n")?;
    let (mut length, mut id) = (String::new(), String::new());
    stream.read_line(&mut length)?;
    stream.read_line(&mut id)?;
    if length != "$40\r\n" || id.len() != 42 {
        return Err(io::Error::other(format!("no id: {length:?} {id:?}")));
    }
    id.truncate(40);
    Ok(id)
}

/// A line of CLUSTER NODES without the parts that only the answering server has: the server's id, whether it is a
/// master or whose replica it is, its epoch, and its slots.
fn role(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let flags = words[2].trim_start_matches("myself,");
    let own = words[8..].iter().filter(|slots| !slots.starts_with('['));
    let slots = own.copied().collect::<Vec<_>>().join(" ");
    format!("{} {flags} {} {} {slots}", words[0], words[3], words[6])
}

/// Waits until a server has an answer of another one to a message that it sends from now on.
///
/// Servers have a connection in each direction, so an answer from before a slot's last move can come after the news of
/// the move. Redis 7.0 then notes that the owner no longer claims the slot, keeps this note when the slot moves to the
/// server itself (`owner_not_claiming_slot` in its `cluster.c`), and gives the slot back and deletes its keys at the next
/// message of the old owner. An answer that claims the slot removes the note.
fn wait_for_current_answer(server: &mut Talk, other: &str) {
    // The time of the unanswered message, or 0, and the time of the last answer.
    let mut times = || {
        let nodes = server.must("CLUSTER NODES");
        let mut lines = nodes.text().lines();
        let line = lines.find(|line| line.starts_with(other));
        let mut words = line.expect("it is known").split(' ').skip(4);
        [words.next(), words.next()].map(|time| time.expect("a time").to_owned())
    };
    // Without an unanswered message, no old answer is on its way.
    let mut answered = String::new();
    eventually("the answer to an older message", || {
        let [unanswered, last_answer] = times();
        answered = last_answer;
        unanswered == "0"
    });
    eventually("an answer", || times()[1] != answered);
}

/// The first and the last slot of one master among so many.
fn share(number: usize, masters: usize) -> (u16, u16) {
    let first = |number: usize| usize::from(SLOTS) * number / masters;
    (first(number) as u16, first(number + 1) as u16 - 1)
}

/// Masters that share the slots evenly, each with as many replicas.
pub struct Cluster {
    pub masters: Vec<Node>,
    pub replicas: Vec<Node>,
    _directory: TempDir,
}

impl Cluster {
    /// `None` if there is no redis-server. With `replicas`, the first master has one.
    pub fn start(masters: usize, replica: bool) -> Option<Cluster> {
        Cluster::start_with(masters, replica, None)
    }

    /// With TLS on a second port of each server, and among the servers.
    pub fn start_with(masters: usize, replica: bool, tls: Option<&TlsFiles>) -> Option<Cluster> {
        let directory = tempfile::tempdir().expect("a directory");
        let start = |_| Node::start(&directory, tls);
        let masters: Vec<Node> = (0..masters).map(start).collect::<Option<_>>()?;
        let replicas: Vec<Node> = (0..usize::from(replica))
            .map(start)
            .collect::<Option<_>>()?;
        for (number, node) in masters.iter().enumerate() {
            let (first, last) = share(number, masters.len());
            let mut talk = node.talk();
            talk.must(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1));
            talk.must(&format!("CLUSTER ADDSLOTSRANGE {first} {last}"));
        }
        let cluster = Cluster {
            masters,
            replicas,
            _directory: directory,
        };
        let mut first = cluster.masters[0].talk();
        for node in cluster.nodes().skip(1) {
            let (ip, port) = (node.address.ip(), node.address.port());
            first.must(&format!("CLUSTER MEET {ip} {port} {}", node.bus));
        }
        let all = cluster.nodes().count();
        for node in cluster.nodes() {
            let mut talk = node.talk();
            eventually("the cluster", || {
                let info = talk.must("CLUSTER INFO");
                let known = format!("cluster_known_nodes:{all}\r");
                info.text().contains("cluster_state:ok")
                    && info.text().contains(&known)
                    && info.text().contains("cluster_slots_ok:16384")
            });
        }
        for node in &cluster.replicas {
            let mut talk = node.talk();
            let master = &cluster.masters[0].id;
            talk.must(&format!("CLUSTER REPLICATE {master}"));
            eventually("the replica", || {
                let info = talk.must("INFO replication");
                info.text().contains("master_link_status:up")
            });
        }
        cluster.agree();
        Some(cluster)
    }

    /// Waits until all servers report the same masters, epochs and slots.
    fn agree(&self) {
        let view = |node: &Node| {
            let nodes = node.talk().must("CLUSTER NODES");
            let mut lines: Vec<String> = nodes.text().lines().map(role).collect();
            lines.sort_unstable();
            lines
        };
        eventually("the servers to agree", || {
            let mut views = self.nodes().map(view);
            let first = views.next();
            views.all(|view| Some(view) == first)
        });
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.masters.iter().chain(&self.replicas)
    }

    /// Lets a server that is silent for a second be declared dead. Not from the start: the servers
    /// have to meet within this time, too.
    pub fn expect_deaths(&self) {
        for node in self.nodes() {
            node.talk().must("CONFIG SET cluster-node-timeout 1000");
        }
    }

    /// Has a replica take over from its master, and waits until it has.
    pub fn take_over(&self, replica: &Node) {
        // Servers vote against a replica that they still take for a master.
        self.agree();
        let mut talk = replica.talk();
        let mut asked = None;
        eventually_within(TAKE_OVER, "the replica", || {
            // One try takes at most 5 seconds, and another would begin it anew.
            if asked.is_none_or(|at: Instant| at.elapsed() > Duration::from_secs(6)) {
                // A master that has just been replaced may not be connected to its new master yet.
                let begun = !talk.call(&["CLUSTER", "FAILOVER"]).is_error();
                asked = begun.then(Instant::now);
            }
            talk.must("ROLE").first().text() == "master"
        });
    }

    /// The number of the master that has a slot at first.
    pub fn home(&self, slot: u16) -> usize {
        let mut numbers = 0..self.masters.len();
        let has = |number: &usize| slot <= share(*number, self.masters.len()).1;
        numbers.find(has).expect("there are no more slots")
    }

    /// Moves a slot with its keys, as `redis-cli --cluster reshard` does it, within [`MOVE`].
    pub fn move_slot(&self, slot: u16, from: usize, to: usize) {
        // Redis 7.0 can lose track of a slot that moves before all servers know of its last move: a target that has not
        // yet heard from the new owner lets a late message take the slot back. Both then send clients to each other for
        // ever, as 36 and 104 moves in direct succession have shown.
        self.agree();
        let (source, target) = (&self.masters[from], &self.masters[to]);
        let (mut at_source, mut at_target) = (source.talk(), target.talk());
        wait_for_current_answer(&mut at_target, &source.id);
        at_target.must(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", source.id));
        at_source.must(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", target.id));
        let served = target.tls.unwrap_or(target.address);
        let (ip, port) = (served.ip(), served.port());
        // It may wait so long three times: to connect, to write, and to read.
        let timeout = (PATIENCE / 4).as_millis();
        let deadline = Instant::now() + MOVE;
        let mut retries = 0;
        loop {
            let keys = at_source.must(&format!("CLUSTER GETKEYSINSLOT {slot} 3"));
            let Said::List(keys) = keys else {
                panic!("{keys:?}");
            };
            if keys.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "slot {slot} did not move");
            let keys: Vec<&str> = keys.iter().map(Said::text).collect();
            let keys = keys.join(" ");
            // A target that was too slow may have received the keys all the same, so they are replaced. Until they are
            // gone from the source, it alone changes them.
            let migrate = format!("MIGRATE {ip} {port}  0 {timeout} REPLACE KEYS {keys}");
            let said = at_source.call(&migrate.split(' ').collect::<Vec<_>>());
            retries += usize::from(said.is_error());
            let too_slow = said.text().starts_with("IOERR") && retries <= 3;
            assert!(too_slow || !said.is_error(), "{migrate}: {said:?}");
        }
        at_target.must(&format!("CLUSTER SETSLOT {slot} NODE {}", target.id));
        at_source.must(&format!("CLUSTER SETSLOT {slot} NODE {}", target.id));
    }

    /// A proxy that is given one of the servers.
    pub fn proxy(&self) -> TestProxy {
        proxy(settings(Protocol::Resp), &[self.masters[0].address])
    }
}

/// A proxy in front of the cluster of these servers.
pub fn proxy(settings: Settings, seeds: &[SocketAddr]) -> TestProxy {
    let (running, control) = Proxy::cluster(settings, list(seeds))
        .start(Listen::Tcp("127.0.0.1:0".into()))
        .expect("a free port");
    TestProxy { running, control }
}

impl TestProxy {
    pub fn talk(&self) -> Talk {
        Talk::to(self.running.addresses()[0].tcp().expect("a TCP listener"))
    }
}
