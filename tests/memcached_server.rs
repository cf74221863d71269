//! memcached's service and the server around it: its connections, and one over the limit.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use larder::server::{Connections, Listen, Running, Server};
use larder::service::memcached::{Memcached, Settings};
use larder::store::{Clock, Config, Store};

/// The longest wait for a reply before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn start() -> (Running, SocketAddr) {
    let store = Arc::new(Store::new(Config::default(), Clock::system()));
    let connections = Connections::new();
    let service = Memcached::new(store, Arc::clone(&connections), Settings::default());
    let running = Server::new(connections)
        .listen(Listen::Tcp("127.0.0.1:0".to_owned()), Arc::new(service))
        .start()
        .expect("a free port");
    let address = running.addresses()[0].to_string();
    (running, address.parse().expect("an address"))
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        Client(BufReader::new(stream))
    }

    /// The address of the client, as the server sees it.
    fn address(&self) -> SocketAddr {
        self.0.get_ref().local_addr().expect("an address")
    }

    /// Sends a line and reads up to `END`.
    fn ask(&mut self, line: &str) -> Vec<String> {
        self.0
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())
            .expect("sent");
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("a reply");
            let line = line.strip_suffix("\r\n").expect("a whole line");
            if line == "END" {
                return lines;
            }
            lines.push(line.to_owned());
        }
    }
}

#[test]
fn stats_conns_lists_the_connections_and_marks_the_asking_one() {
    let (_running, address) = start();
    let mut first = Client::connect(address);
    first.ask("get a");
    let mut second = Client::connect(address);
    let lines = second.ask("stats conns");
    let expected = [
        format!("STAT 1:addr tcp:{}", first.address()),
        format!("STAT 1:listen_addr tcp:{address}"),
        "STAT 1:state conn_read".to_owned(),
        "STAT 1:secs_since_last_cmd 0".to_owned(),
        format!("STAT 2:addr tcp:{}", second.address()),
        format!("STAT 2:listen_addr tcp:{address}"),
        "STAT 2:state conn_parse_cmd".to_owned(),
        "STAT 2:secs_since_last_cmd 0".to_owned(),
    ];
    // A machine that is busy may take a second between the two.
    let lines: Vec<String> = lines
        .into_iter()
        .map(|line| match line.split_once("last_cmd ") {
            Some((name, _)) => format!("{name}last_cmd 0"),
            None => line,
        })
        .collect();
    assert_eq!(lines, expected);
    let general = second.ask("stats");
    for line in [
        "STAT curr_connections 2",
        "STAT total_connections 2",
        "STAT cmd_get 1",
    ] {
        assert!(
            general.iter().any(|found| found == line),
            "{line}: {general:?}"
        );
    }
}

#[test]
fn one_connection_over_the_limit_gets_an_error_and_is_closed() {
    let (running, address) = start();
    running.connections().set_max(1);
    let mut first = Client::connect(address);
    first.ask("get a");
    let mut text = String::new();
    let mut second = Client::connect(address);
    second
        .0
        .read_to_string(&mut text)
        .expect("a reply and the end");
    assert_eq!(text, "ERROR Too many open connections\r\n");
    let general = first.ask("stats");
    assert!(
        general
            .iter()
            .any(|line| line == "STAT rejected_connections 1"),
        "{general:?}"
    );
}
