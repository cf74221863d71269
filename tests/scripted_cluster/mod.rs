//! Servers of a cluster whose every answer a test writes, and a proxy before them.

// Each test binary compiles this file for itself and uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use larder::pool::slot;
use larder::proxy::{Protocol, Settings};

use crate::cluster_support::{Said, proxy};
use crate::proxy_support::{TestProxy, settings};

/// A server under a test's control, among others.
pub struct Node {
    /// All of them.
    pub nodes: Arc<[SocketAddr]>,
    /// This one's number.
    pub me: usize,
    /// Connections open to each.
    pub open: Arc<[AtomicUsize]>,
    /// This connection has sent a command.
    pub admitted: AtomicBool,
    /// One of them has answered that a slot has moved.
    pub moved: Arc<AtomicBool>,
}

impl Node {
    /// An answer to `CLUSTER SLOTS`.
    pub fn map(&self, ranges: &[(u16, u16, usize)]) -> String {
        let mut map = format!("*{}\r\n", ranges.len());
        for (first, last, node) in ranges {
            let port = self.nodes[*node].port();
            map += &format!("*3\r\n:{first}\r\n:{last}\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n");
            map += "$2\r\nid\r\n";
        }
        map
    }

    /// A map by which the first server has all slots, until it has answered that one has moved: then
    /// the second has all.
    pub fn moving_map(&self) -> String {
        let to = usize::from(self.moved.load(SeqCst));
        self.map(&[(ALL.0, ALL.1, to)])
    }

    pub fn moved(&self, key: &str, to: usize) -> String {
        self.moved.store(true, SeqCst);
        format!("-MOVED {} {}\r\n", slot(key.as_bytes()), self.nodes[to])
    }
}

/// The range of all slots.
pub const ALL: (u16, u16) = (0, 16383);

/// The beginning of an answer that is to be sent byte by byte.
pub const PIECES: &str = "~";

pub type Nodes = (Arc<[SocketAddr]>, Arc<[AtomicUsize]>);

/// A number of servers, each of which answers a command with the result of `answer`; an empty
/// answer closes the connection.
pub fn nodes(
    count: usize,
    answer: impl Fn(&Node, &[&str]) -> String + Send + Sync + 'static,
) -> Nodes {
    let bind = |_| TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listeners: Vec<TcpListener> = (0..count).map(bind).collect();
    let addresses = listeners
        .iter()
        .map(|l| l.local_addr().expect("an address"));
    let nodes: Arc<[SocketAddr]> = addresses.collect();
    let open: Arc<[AtomicUsize]> = (0..count).map(|_| AtomicUsize::new(0)).collect();
    let moved = Arc::new(AtomicBool::new(false));
    let answer = Arc::new(answer);
    for (me, listener) in listeners.into_iter().enumerate() {
        let (nodes, open, answer) = (Arc::clone(&nodes), Arc::clone(&open), Arc::clone(&answer));
        let moved = Arc::clone(&moved);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (nodes, open) = (Arc::clone(&nodes), Arc::clone(&open));
                let (answer, moved) = (Arc::clone(&answer), Arc::clone(&moved));
                open[me].fetch_add(1, SeqCst);
                thread::spawn(move || {
                    let admitted = AtomicBool::new(false);
                    let node = Node {
                        admitted,
                        nodes,
                        me,
                        open,
                        moved,
                    };
                    let _ = serve(stream, |words| answer(&node, words));
                    node.open[me].fetch_sub(1, SeqCst);
                });
            }
        });
    }
    (nodes, open)
}

/// Answers the commands of a connection until it ends.
fn serve(mut stream: TcpStream, answer: impl Fn(&[&str]) -> String) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    loop {
        let mut number = |input: &mut BufReader<TcpStream>| {
            line.clear();
            input.read_line(&mut line)?;
            let digits = line.trim_end().get(1..).unwrap_or_default();
            digits.parse::<usize>().map_err(std::io::Error::other)
        };
        let mut words = Vec::new();
        for _ in 0..number(&mut input)? {
            let mut word = vec![0; number(&mut input)? + 2];
            input.read_exact(&mut word)?;
            word.truncate(word.len() - 2);
            words.push(String::from_utf8(word).map_err(std::io::Error::other)?);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut answer = answer(&words);
        // The proxy checks the type of the reply to a GET.
        if words[0] == "GET"
            && let Some(text) = answer.strip_prefix('+')
        {
            answer = format!("${}\r\n{text}", text.len() - 2);
        }
        let Some(pieces) = answer.strip_prefix(PIECES) else {
            if answer.is_empty() {
                return Ok(());
            }
            stream.write_all(answer.as_bytes())?;
            continue;
        };
        for byte in pieces.bytes() {
            stream.write_all(&[byte])?;
            // Most of the time it is a piece of its own then.
            thread::sleep(Duration::from_micros(200));
        }
    }
}

/// A proxy with one worker and one connection to each server, so that the order of all is known.
pub fn narrow(seeds: &[SocketAddr]) -> TestProxy {
    narrow_with(settings(Protocol::Resp), seeds)
}

pub fn narrow_with(settings: Settings, seeds: &[SocketAddr]) -> TestProxy {
    let settings = Settings {
        workers: 1,
        connections: 1,
        ..settings
    };
    proxy(settings, seeds)
}

pub fn error(text: impl Into<String>) -> Said {
    Said::Error(text.into())
}
