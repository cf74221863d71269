//! The proxy's table of Redis's commands, compared with a real redis-server's.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use larder::protocol::framing::request::{
    self, RequestBuffers, RequestFrame, RequestFramer, Route,
};
use support::{Kind, Peer, skip};

/// A reply, as far as `COMMAND` needs it.
#[derive(Debug)]
enum Value {
    Text(String),
    Number(i64),
    Error,
    List(Vec<Value>),
}

impl Value {
    fn text(&self) -> &str {
        match self {
            Value::Text(text) => text,
            _ => panic!("not a text: {self:?}"),
        }
    }

    fn list(&self) -> &[Value] {
        match self {
            Value::List(list) => list,
            _ => panic!("not a list: {self:?}"),
        }
    }

    fn number(&self) -> i64 {
        match self {
            Value::Number(number) => *number,
            _ => panic!("not a number: {self:?}"),
        }
    }

    fn has(&self, flag: &str) -> bool {
        self.list().iter().any(|value| value.text() == flag)
    }
}

struct Redis {
    reader: BufReader<UnixStream>,
    _peer: Peer,
}

impl Redis {
    fn start() -> Option<Redis> {
        let peer = Peer::start(Kind::Redis, &[]).expect("redis-server starts")?;
        let stream = UnixStream::connect(peer.socket()).expect("redis-server listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("a deadline can be set");
        Some(Redis {
            reader: BufReader::new(stream),
            _peer: peer,
        })
    }

    fn ask(&mut self, words: &[&str]) -> Value {
        self.reader
            .get_mut()
            .write_all(&array(words))
            .expect("redis-server reads");
        self.value()
    }

    fn value(&mut self) -> Value {
        let mut line = String::new();
        self.reader
            .read_line(&mut line)
            .expect("redis-server answers");
        let (kind, text) = line.trim_end().split_at(1);
        match kind {
            "*" => {
                let count: usize = text.parse().expect("a count");
                Value::List((0..count).map(|_| self.value()).collect())
            }
            "$" => {
                let mut bytes = vec![0; text.parse::<usize>().expect("a length") + 2];
                self.reader.read_exact(&mut bytes).expect("a string");
                bytes.truncate(bytes.len() - 2);
                Value::Text(String::from_utf8(bytes).expect("plain text"))
            }
            ":" => Value::Number(text.parse().expect("a number")),
            "+" => Value::Text(text.into()),
            _ => Value::Error,
        }
    }

    /// The keys that redis-server sees in a command; none in one that it would refuse.
    fn keys(&mut self, words: &[&str]) -> Vec<String> {
        match self.ask(&[&["COMMAND", "GETKEYS"], words].concat()) {
            Value::List(keys) => keys.iter().map(|key| key.text().to_owned()).collect(),
            _ => Vec::new(),
        }
    }
}

fn array(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        out += &format!("${}\r\n{word}\r\n", word.len());
    }
    out.into_bytes()
}

/// The proxy's route and keys of a command.
struct Seen {
    keys: Vec<String>,
    detached: bool,
    safe: bool,
}

fn proxy(words: &[&str]) -> Seen {
    let bytes = array(words);
    let mut scratch = RequestBuffers::default();
    let RequestFrame::Request(request, _) = RequestFramer::resp().frame(&bytes, &mut scratch)
    else {
        panic!("no request: {words:?}");
    };
    let text = |key: &[u8]| String::from_utf8(key.to_vec()).expect("plain text");
    let keys = match request.route {
        Route::Key(key) => vec![text(key)],
        Route::Together(keys) | Route::Split(_, keys) | Route::Dedicated(_, keys) => {
            keys.iter().map(text).collect()
        }
        _ => Vec::new(),
    };
    Seen {
        keys,
        detached: matches!(request.route, Route::Dedicated(..)),
        safe: request.repeat_safe,
    }
}

#[test]
fn the_keys_of_all_of_redis_commands_are_at_redis_positions() {
    let Some(mut redis) = Redis::start() else {
        skip!("there is no redis-server");
    };
    let commands = redis.ask(&["COMMAND"]);
    let mut compared = 0;
    for entry in commands.list() {
        let entry = entry.list();
        // OBJECT and other containers are no commands without the word behind them.
        let kinds: Vec<&[Value]> = match entry[9].list() {
            [] => vec![entry],
            words => words.iter().map(Value::list).collect(),
        };
        for kind in kinds {
            let name: Vec<&str> = kind[0].text().split('|').collect();
            let (least, step) = (kind[1].number().unsigned_abs() as usize, kind[5].number());
            let most = if kind[1].number() < 0 {
                least + 4
            } else {
                least
            };
            for count in least..=most {
                let numbered: Vec<String> =
                    (name.len()..count).map(|at| format!("k{at}")).collect();
                let mut words = name.clone();
                words.extend(numbered.iter().map(String::as_str));
                let seen = proxy(&words);
                let safe = kind[2].has("readonly");
                assert!(safe || !seen.safe, "{words:?} is not safe to repeat");
                let may_wait = kind[2].has("blocking") && !name[0].starts_with("xread");
                assert!(seen.detached || !may_wait, "{words:?} would hold others up");
                // A channel decides where these go, as a key does; a MSET without its last value has no keys for us.
                let channel = kind[2].has("pubsub");
                let incomplete = step == 2 && count % 2 == 0;
                // PFMERGE with nothing to merge has a key, of which only the first position tells.
                let first = usize::try_from(kind[3].number())
                    .ok()
                    .filter(|first| *first < count);
                // Numbers of keys have to be numbers; they have a test of their own.
                let movable = kind[2].has("movablekeys");
                if !channel && !incomplete && !movable {
                    let keys = redis.keys(&words);
                    match first {
                        Some(first @ 1..) if keys.is_empty() => {
                            assert_eq!(seen.keys, words[first..=first], "{words:?}")
                        }
                        _ => assert_eq!(seen.keys, keys, "{words:?}"),
                    }
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 500, "{compared}");
}

#[test]
fn every_command_without_keys_has_a_rule() {
    let Some(mut redis) = Redis::start() else {
        skip!("there is no redis-server");
    };
    let commands = redis.ask(&["COMMAND"]);
    let mut known = 0;
    for entry in commands.list() {
        let entry = entry.list();
        let subcommands = entry[9].list().iter().map(|kind| kind.list()[0].text());
        for name in std::iter::once(entry[0].text()).chain(subcommands) {
            let (name, word) = match name.split_once('|') {
                Some((name, word)) => (name, Some(word.as_bytes())),
                None => (name, None),
            };
            let known_one = request::is_known(name.as_bytes(), word);
            assert!(known_one, "{name} {:?}", word.map(<[u8]>::escape_ascii));
            known += 1;
        }
    }
    assert!(known > 350, "{known}");
    assert!(!request::is_known(b"nosuch", None) && !request::is_known(b"config", Some(b"nosuch")));
}

#[test]
fn keys_that_move_with_the_arguments_are_at_redis_positions() {
    let Some(mut redis) = Redis::start() else {
        skip!("there is no redis-server");
    };
    let mut compared = 0;
    for command in [
        "EVAL x 2 a b c",
        "EVAL x 0 a",
        "EVALSHA x 1 a",
        "FCALL f 2 a b c",
        "SORT a BY x STORE d STORE e",
        "SORT a STORE",
        "SORT_RO a BY b",
        "GEORADIUS k 1 2 3 m STORE d",
        "GEORADIUS k 1 2 3 m STOREDIST d",
        "GEORADIUSBYMEMBER k m 3 m STORE d",
        "MIGRATE h 1 k 0 5",
        "XREAD COUNT 1 BLOCK 2 STREAMS a b 0 1",
        "XREAD STREAMS a 0",
        "XREADGROUP GROUP g c STREAMS a b 1 2",
        "XREADGROUP GROUP streams c STREAMS a b 1 2",
        "ZUNIONSTORE d 2 a b WEIGHTS 1 2",
        "ZINTERSTORE d 1 a",
        "ZUNION 2 a b",
        "ZUNION 3 a b",
        "ZDIFF 1 a WITHSCORES",
        "SINTERCARD 2 a b LIMIT 1",
        "LMPOP 2 a b LEFT",
        "BLMPOP 0 2 a b LEFT",
        "BZMPOP 0 1 a MIN",
        "BLPOP a b c 0",
        "OBJECT ENCODING a",
        "MEMORY USAGE a",
        "BITOP AND d a b",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let keys: Vec<String> = redis.keys(&words);
        let keys: Vec<&str> = keys
            .iter()
            .map(String::as_str)
            .filter(|key| !key.is_empty())
            .collect();
        assert_eq!(proxy(&words).keys, keys, "{command}");
        compared += 1;
    }
    assert_eq!(compared, 28);
}
