//! Random conversations of RESP.

use std::thread::scope;

use larder::proxy::Protocol;

use super::commands::{Chance, SHAPES, command};
use super::passing::{PASSING, preparation, readings};
use super::proxy_support::Client;
use super::replies::{Value, encoded, read, same, settle};
use super::{Both, numbers};

/// Conversations, and the commands of each.
const CONVERSATIONS: u64 = 500;
const COMMANDS: usize = 12;

/// Conversations with large values, the commands of each, and the lengths of their values.
const LARGE_CONVERSATIONS: u64 = 40;
const LARGE_COMMANDS: usize = 8;
const LENGTHS: [usize; 4] = [10, 100_000, 1_000_000, 3_000_000];

/// Commands on strings and hashes; `K` is a key, `V` a large value, `N` a number within it.
const LARGE_SHAPES: &[&str] = &[
    "SET K V",
    "SET K V GET",
    "GET K",
    "APPEND K V",
    "SETRANGE K N V",
    "GETRANGE K N -1",
    "STRLEN K",
    "MSET a V b V",
    "MGET a b nothing",
    "GETDEL K",
    "HSET h f V g V",
    "HGET h f",
    "HGETALL h",
];

/// How commands are sent.
#[derive(Clone, Copy)]
struct How {
    version: &'static str,
    /// The next command is sent when the one before it was answered.
    steps: bool,
}

impl How {
    fn of(number: u64) -> How {
        How {
            version: if number.is_multiple_of(2) { "2" } else { "3" },
            steps: number.is_multiple_of(3),
        }
    }
}

/// Sends commands at once or one by one, and reads as many replies.
fn replies(client: Client, steps: bool, requests: &[Vec<u8>]) -> Vec<Value> {
    let mut sender = Client(client.0.try_clone().expect("a second handle"));
    let mut reader = client;
    let mut values = Vec::new();
    let mut got = Vec::new();
    scope(|scope| {
        if !steps {
            // Beside the reading: large replies may fill the sockets before all requests are sent.
            scope.spawn(|| sender.send(requests.concat()));
        }
        for request in requests {
            if steps {
                reader.send(request);
            }
            loop {
                if let Some((value, rest)) = read(&got) {
                    let length = got.len() - rest.len();
                    values.push(value);
                    got.drain(..length);
                    break;
                }
                let mut piece = [0; 1 << 16];
                let length = reader.receive(&mut piece).expect("a reply in time");
                assert!(length > 0, "the connection was closed");
                got.extend_from_slice(&piece[..length]);
            }
        }
    });
    assert!(got.is_empty(), "a reply too many");
    values
}

/// Compares the replies to commands.
fn compare(both: &Both, what: &str, how: How, commands: &[Vec<String>]) {
    let hello = ["HELLO", how.version].map(str::to_owned).to_vec();
    let commands = [&[hello], commands].concat();
    let requests: Vec<Vec<u8>> = commands.iter().map(|words| encoded(words)).collect();
    let [proxied, bare] = both
        .clients()
        .map(|client| replies(client, how.steps, &requests));
    let pairs = commands.iter().zip(proxied.into_iter().zip(bare));
    // The reply to HELLO has the number of the connection.
    for (at, (words, (proxied, bare))) in pairs.enumerate().skip(1) {
        let (proxied, bare) = (settle(words, proxied), settle(words, bare));
        assert!(
            same(words, &proxied, &bare),
            "{what}:\n{}proxy: {}\nbare: {}",
            commands[..=at].iter().map(shown).collect::<String>(),
            shown(&proxied),
            shown(&bare)
        );
    }
}

/// The beginning of something that may be large, on a line.
fn shown(what: &impl std::fmt::Debug) -> String {
    let whole = format!("{what:?}");
    format!("{}\n", whole.chars().take(500).collect::<String>())
}

fn empty(both: &Both) {
    both.flush(b"FLUSHALL\r\n", b"+OK\r\n");
}

#[test]
fn conversations_of_resp_are_answered_as_by_the_server_behind() {
    let both = Both::start(Protocol::Resp);
    for number in numbers(CONVERSATIONS) {
        let mut chance = Chance::new(number);
        let commands = (0..COMMANDS).map(|_| command(&mut chance, &SHAPES));
        let commands: Vec<Vec<String>> = commands.collect();
        empty(&both);
        let what = format!("conversation {number}");
        compare(&both, &what, How::of(number), &commands);
    }
}

/// A command on large values.
fn large_command(chance: &mut Chance) -> Vec<String> {
    let shape = chance.pick(LARGE_SHAPES);
    let word = |word: &str| match word {
        "K" => chance.pick(&["a", "b", "h"]).to_owned(),
        "N" => chance.below(2_000_000).to_string(),
        "V" => {
            let letter = chance.pick(&["x", "y", "\r", "\n"]);
            letter.repeat(LENGTHS[chance.below(LENGTHS.len())])
        }
        word => word.to_owned(),
    };
    shape.split(' ').map(word).collect()
}

#[test]
fn large_values_of_resp_are_answered_as_by_the_server_behind() {
    let both = Both::start(Protocol::Resp);
    for number in numbers(LARGE_CONVERSATIONS) {
        let mut chance = Chance::new(number);
        let commands = (0..LARGE_COMMANDS).map(|_| large_command(&mut chance));
        let commands: Vec<Vec<String>> = commands.collect();
        empty(&both);
        let what = format!("large values {number}");
        compare(&both, &what, How::of(number), &commands);
    }
}

#[test]
fn keys_expire_as_on_the_server_behind() {
    let both = Both::start(Protocol::Resp);
    let how = How::of(1);
    compare(&both, "preparation", how, &preparation());
    std::thread::sleep(PASSING);
    compare(&both, "keys that expire", how, &readings());
}
