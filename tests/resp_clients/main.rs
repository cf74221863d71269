//! CLIENT's subcommands over TCP: larder under both models, and redis-server with the same requests of several clients.
//!
//! A conversation is lines of a client's number and a command. `{id1}` and `{addr1}` are the number and the address of client 1,
//! `{laddr}` is the server's address. In the replies they are replaced again, and figures that differ from run to run are left
//! out. At the end each client sends a PING, so that a conversation also shows whose connection was closed.

#[path = "../support/mod.rs"]
mod support;

mod conversations;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use conversations::{CONVERSATIONS, JUNK, KILLS, SUBCOMMANDS};
use larder::Server;
use larder::server::Model;
use regex::Regex;
use support::{Kind, Peer, reserved_port, skip};

const CLIENTS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);

/// Differences with a reason: a request, and the reason.
const DECLARED: &[(&str, &str)] = &[
    ("0 client help", "the help has larder's words"),
    (
        "0 client tracking on",
        "larder has no client side caching, and answers an error before a client relies on it",
    ),
];

/// The clients of one server.
struct Clients {
    clients: Vec<BufReader<TcpStream>>,
    ids: Vec<String>,
    addresses: Vec<String>,
    server: String,
    figures: Regex,
}

impl Clients {
    fn connect(server: &str) -> Clients {
        let (mut clients, mut ids, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..CLIENTS {
            let stream = TcpStream::connect(server).expect("the server listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let address = stream.local_addr().expect("it has an address");
            addresses.push(address.to_string());
            // One is accepted after the other, so that their numbers rise.
            let mut client = BufReader::new(stream);
            let id = ask(&mut client, &["CLIENT", "ID"].map(str::to_owned));
            ids.push(id.trim_matches([':', '\r', '\n']).to_owned());
            clients.push(client);
        }
        Clients {
            clients,
            ids,
            addresses,
            server: server.to_owned(),
            figures: Regex::new(
                r"\b(fd|age|idle|qbuf|qbuf-free|argv-mem|multi-mem|rbs|rbp|obl|oll|omem|tot-mem)=-?\d+|[$=]\d+(\r\n(?:txt:)?id=)|\$2\r\nid\r\n:\d+",
            )
            .expect("is one"),
        }
    }

    fn with_names_filled(&self, word: &str) -> String {
        let mut word = word.replace("{laddr}", &self.server);
        for number in 0..CLIENTS {
            word = word.replace(&format!("{{id{number}}}"), &self.ids[number]);
            word = word.replace(&format!("{{addr{number}}}"), &self.addresses[number]);
        }
        word
    }

    /// The reply to a command, as it is in each run.
    fn settled(&self, command: &str, reply: String) -> String {
        let mut reply = self.figures.replace_all(&reply, "$1=#$2").into_owned();
        for number in 0..CLIENTS {
            reply = reply.replace(&self.addresses[number], &format!("{{addr{number}}}"));
            let [id, name] = [self.ids[number].clone(), format!("{{id{number}}}")];
            reply = reply.replace(&format!("id={id} "), &format!("id={name} "));
            if command == "client id" && reply == format!(":{id}\r\n") {
                reply = format!(":{name}\r\n");
            }
        }
        reply.replace(&self.server, "{laddr}")
    }

    /// Sends a line as the client with the number at its start.
    fn say(&mut self, line: &str) -> String {
        let (number, command) = line.split_once(' ').expect("a number and a command");
        let number: usize = number.parse().expect("a number");
        let words = command.split(' ').map(|word| self.with_names_filled(word));
        let words: Vec<_> = words.collect();
        let reply = ask(&mut self.clients[number], &words);
        self.settled(command, reply)
    }

    /// The replies to a conversation, and those to a PING of each client.
    fn talk(server: &str, lines: &[String]) -> Vec<String> {
        let mut clients = Clients::connect(server);
        let pings = [1, 2, 3, 0].map(|number| format!("{number} PING"));
        let all = lines.iter().chain(&pings);
        all.map(|line| clients.say(line)).collect()
    }
}

/// Sends a command and reads one reply: empty if the connection is closed.
fn ask(client: &mut BufReader<TcpStream>, words: &[String]) -> String {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    // An error means that the server has closed the connection; then there is no reply either.
    let _ = client.get_mut().write_all(bytes.as_bytes());
    let mut reply = Vec::new();
    read_value(client, &mut reply);
    String::from_utf8_lossy(&reply).into_owned()
}

/// Reads one value; nothing at the end of the stream.
fn read_value(from: &mut BufReader<TcpStream>, into: &mut Vec<u8>) {
    let start = into.len();
    match from.read_until(b'\n', into) {
        Ok(0) => return,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
        read => read.expect("an answer in time"),
    };
    let line = String::from_utf8_lossy(&into[start..])
        .trim_end()
        .to_owned();
    let length: i64 = line[1..].parse().unwrap_or(-1);
    match line.as_bytes()[0] {
        b'$' | b'=' if length >= 0 => {
            let mut bytes = vec![0; length as usize + 2];
            from.read_exact(&mut bytes).expect("the whole value");
            into.extend(bytes);
        }
        b'*' | b'~' => (0..length).for_each(|_| read_value(from, into)),
        b'%' => (0..2 * length).for_each(|_| read_value(from, into)),
        _ => {}
    }
}

/// larder under both models, and redis-server; `None` without it.
fn servers() -> Option<(Vec<Server>, Peer, String)> {
    let port = reserved_port().to_string();
    let arguments = ["--bind", "127.0.0.1", "--port", &port].map(str::to_owned);
    let redis = Peer::start(Kind::Redis, &arguments).expect("it starts")?;
    let larder = |model| Server::builder().model(model).start().expect("it starts");
    let larders = [Model::Turns, Model::Threads].map(larder).into();
    Some((larders, redis, format!("127.0.0.1:{port}")))
}

fn is_declared(line: &str) -> bool {
    DECLARED.iter().any(|(request, _)| *request == line)
}

#[test]
fn calls_of_client_are_answered_as_redis_answers_them() {
    let Some((larders, _redis, redis)) = servers() else {
        skip!("redis-server is not installed, so calls of CLIENT were not compared");
    };
    let numbered = |line: &str| format!("0 client {line}");
    let mut conversations: Vec<Vec<String>> = Vec::new();
    for subcommand in SUBCOMMANDS {
        let call = |junk: &&str| numbered(&format!("{subcommand}{junk}"));
        conversations.push(JUNK.iter().map(call).collect());
    }
    for filters in KILLS {
        let kill = numbered(&format!("kill {filters}"));
        conversations.push(vec![kill.clone(), kill]);
    }
    let lines =
        |conversation: &&[&str]| conversation.iter().map(|line| (*line).to_owned()).collect();
    conversations.extend(CONVERSATIONS.iter().map(lines));
    let mut calls = 0;
    for conversation in &conversations {
        let expected = Clients::talk(&redis, conversation);
        for larder in &larders {
            let given = Clients::talk(&larder.resp_addr().to_string(), conversation);
            for (at, (ours, theirs)) in given.iter().zip(&expected).enumerate() {
                let line = conversation.get(at).map_or("", String::as_str);
                let same = ours == theirs || is_declared(line);
                assert!(
                    same,
                    "{conversation:#?}\n{at}: larder {ours:?}\nredis-server {theirs:?}"
                );
            }
        }
        calls += conversation.len();
    }
    assert!(calls > 300, "only {calls} calls were compared");
}

#[test]
fn a_client_that_a_pause_holds_is_shown_as_blocked() {
    let Some((larders, _redis, redis)) = servers() else {
        skip!("redis-server is not installed, so a paused client was not compared");
    };
    let addresses = larders.iter().map(|larder| larder.resp_addr().to_string());
    for server in addresses.chain([redis]) {
        let mut clients = Clients::connect(&server);
        assert_eq!(clients.say("1 watch a"), "+OK\r\n");
        assert_eq!(clients.say("0 set a 1"), "+OK\r\n");
        assert_eq!(clients.say("0 client pause 1000000 write"), "+OK\r\n");
        let waiting = clients.clients[1].get_mut();
        waiting.write_all(b"SET b 1\r\n").expect("it takes bytes");
        let deadline = Instant::now() + PATIENCE;
        while !clients.say("0 client list id {id1}").contains(" flags=bd ") {
            assert!(Instant::now() < deadline, "{server}: it was not blocked");
        }
        assert!(
            clients
                .say("0 info clients")
                .contains("blocked_clients:1\r\n")
        );
        assert_eq!(clients.say("0 client unpause"), "+OK\r\n");
        let mut reply = Vec::new();
        read_value(&mut clients.clients[1], &mut reply);
        assert_eq!(reply, b"+OK\r\n");
        let shown = clients.say("0 client list id {id1}");
        assert!(
            shown.contains(" flags=d ") && shown.contains(" cmd=set "),
            "{shown}"
        );
    }
}

/// The value of a field of CLIENT LIST.
fn field(line: &str, name: &str) -> usize {
    let mut fields = line.split(' ').filter_map(|field| field.split_once('='));
    let found = fields.find(|(field, _)| *field == name);
    let value = found.unwrap_or_else(|| panic!("{name} in {line}")).1;
    value.trim_end().parse().expect("a number")
}

/// Not compared with redis-server, whose clients have buffers of their own in other sizes.
#[test]
fn the_figures_of_a_client_are_those_of_its_unread_bytes_and_queued_commands() {
    let nothing = Regex::new("^$").expect("is one");
    for model in [Model::Turns, Model::Threads] {
        let server = Server::builder().model(model).start().expect("it starts");
        let address = server.resp_addr().to_string();
        let mut clients = Clients::connect(&address);
        // The figures stay in the replies.
        clients.figures = nothing.clone();
        let mut until = |wanted: &dyn Fn(&str) -> bool| {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let line = clients.say("0 client list id {id1}");
                if wanted(&line) {
                    return (
                        clients.clients[1].get_ref().try_clone().expect("a copy"),
                        line,
                    );
                }
                assert!(Instant::now() < deadline, "{line}");
            }
        };
        let quiet = |line: &str| field(line, "qbuf") == 0 && field(line, "omem") == 0;
        let (mut other, line) = until(&quiet);
        let least = field(&line, "tot-mem");
        assert!(least >= 300 && line.contains(" events=r "), "{line}");
        // A command that has not arrived whole.
        other
            .write_all(b"*2\r\n$3\r\nGET\r\n$30\r\nabc")
            .expect("sent");
        let (_, line) = until(&|line| field(line, "qbuf") > 0);
        assert!(field(&line, "tot-mem") >= least, "{line}");
        other.write_all(&[b'x'; 27]).expect("sent");
        other
            .write_all(b"\r\nMULTI\r\nSET a 12345678901234567890\r\n")
            .expect("sent");
        let (_, line) = until(&|line| field(line, "multi-mem") > 0);
        assert!(
            field(&line, "multi-mem") >= 24 && line.contains(" multi=1 "),
            "{line}"
        );
        other.write_all(b"EXEC\r\n").expect("sent");
        let (_, line) = until(&|line| field(line, "multi-mem") == 0);
        assert!(line.contains(" multi=-1 "), "{line}");
        // A large value that arrives in the memory of its item.
        other
            .write_all(b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$500000\r\n")
            .expect("sent");
        other.write_all(&[b'x'; 400_000]).expect("sent");
        let (_, line) = until(&|line| field(line, "argv-mem") > 300_000);
        assert!(field(&line, "tot-mem") > 300_000, "{line}");
        other.write_all(&[b'x'; 100_000]).expect("sent");
        other.write_all(b"\r\n").expect("sent");
        until(&|line| field(line, "argv-mem") == 0);
        // Replies that the client does not read: more than the sockets take.
        for _ in 0..100 {
            other.write_all(b"GET big\r\n").expect("sent");
        }
        let (_, line) = until(&|line| field(line, "omem") > 0);
        assert_eq!(field(&line, "obl"), field(&line, "omem"), "{line}");
        assert!(field(&line, "tot-mem") > field(&line, "omem"), "{line}");
        assert!(line.contains(" events=w "), "{line}");
    }
}
