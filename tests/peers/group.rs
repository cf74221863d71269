//! Larders that have one another as peers.

use std::net::TcpStream;

use larder::{Placement, Ring, ServerList};

use crate::run::{Larder, Place, Talk, until};
use crate::support::reserved_port;

/// A time that no test reaches.
pub(crate) const LONG: &str = "600s";

/// Several nodes, in a directory with their list.
pub(crate) struct Group {
    pub(crate) place: Place,
    pub(crate) addresses: Vec<String>,
    /// `None` for a node that was ended.
    pub(crate) nodes: Vec<Option<Larder>>,
    options: Vec<String>,
}

impl Group {
    /// Starts three nodes with further options, and waits until all of them answer one another.
    pub(crate) fn start(options: &[&str]) -> Group {
        let mut group = Group::prepare(3, options);
        for node in 0..3 {
            group.start_node(node);
        }
        group.wait_until_all_answer();
        group
    }

    /// The list of nodes of which none runs yet.
    pub(crate) fn prepare(nodes: usize, options: &[&str]) -> Group {
        let addresses: Vec<String> = (0..nodes)
            .map(|_| format!("127.0.0.1:{}", reserved_port()))
            .collect();
        let group = Group {
            place: Place::new(),
            addresses,
            nodes: (0..nodes).map(|_| None).collect(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
        };
        group.place.write("peers.txt", &group.list());
        group
    }

    /// The list of all nodes.
    pub(crate) fn list(&self) -> String {
        let lines = self
            .addresses
            .iter()
            .map(|address| format!("{address} 1\n"));
        lines.collect()
    }

    pub(crate) fn start_node(&mut self, node: usize) {
        self.start_node_with(node, "peers.txt");
    }

    /// Starts a node with a list of its own.
    pub(crate) fn start_node_with(&mut self, node: usize, list: &str) {
        let address = &self.addresses[node];
        let mut arguments = vec!["--memcached", address, "--resp", "127.0.0.1:0"];
        arguments.extend(["--peers", list, "--peer-self", address]);
        arguments.extend(self.options.iter().map(String::as_str));
        let udp = arguments.contains(&"--udp");
        let larder = self.place.serve(&arguments, 2 + usize::from(udp));
        self.nodes[node] = Some(larder);
    }

    pub(crate) fn wait_until_all_answer(&self) {
        for node in self.nodes.iter().flatten() {
            let mut talk = node.memcached();
            until("all peers answer", || talk.stat("peer_nodes_skipped") == 0);
        }
    }

    pub(crate) fn node(&mut self, node: usize) -> &mut Larder {
        self.nodes[node].as_mut().expect("it runs")
    }

    /// A connection to a node.
    pub(crate) fn talk(&self, node: usize) -> Talk<TcpStream> {
        Talk::tcp(&self.addresses[node])
    }

    /// A connection to a node's RESP listener.
    pub(crate) fn resp(&self, node: usize) -> Talk<TcpStream> {
        self.nodes[node].as_ref().expect("it runs").resp()
    }

    /// The node that owns a key while all nodes answer.
    pub(crate) fn owner(&self, key: &str) -> usize {
        owner(&self.list(), key)
    }

    /// Keys that a node owns.
    pub(crate) fn keys_of(&self, node: usize, count: usize) -> Vec<String> {
        let all = (0..).map(|number| format!("key:{number}"));
        let own = all.filter(|key| self.owner(key) == node);
        own.take(count).collect()
    }

    pub(crate) fn key_of(&self, node: usize) -> String {
        self.keys_of(node, 1).remove(0)
    }
}

/// The line of the list that has a key.
pub(crate) fn owner(list: &str, key: &str) -> usize {
    let list: ServerList = list.parse().expect("a list");
    Ring::new(&list, Placement::Ketama).server(key.as_bytes())
}

/// A `set`, and the reply to a `get` of it.
pub(crate) fn set(key: &str, value: &str) -> String {
    format!("set {key} 0 0 {}\r\n{value}\r\n", value.len())
}

pub(crate) fn found(key: &str, value: &str) -> String {
    format!("VALUE {key} 0 {}\r\n{value}\r\nEND\r\n", value.len())
}

pub(crate) fn get(key: &str) -> String {
    format!("get {key}\r\n")
}

/// Asks for a key again until it has this value, or is missing.
pub(crate) fn wait_for_value(talk: &mut Talk<TcpStream>, key: &str, value: Option<&str>) {
    let expected = value.map_or_else(|| "END\r\n".to_owned(), |value| found(key, value));
    until("the value is there", || {
        talk.say(get(key));
        talk.until_end("END\r\n") == expected
    });
}
