//! Random conversations, held against a real redis-server: both must answer the same.
//!
//! A conversation is some dozens of commands on a handful of keys, fields and values, so that they meet; among them
//! wrong numbers, wrong options and wrong counts of arguments. Replies without an order are sorted, times may differ
//! by a minute, and random replies are not compared. Each conversation follows from a number, and a difference prints
//! the conversation up to there.

#[path = "../support/mod.rs"]
mod support;

mod both;
mod clients;
mod commands;
mod expiry;
mod passing;
mod replies;
mod statistics;

use both::both;
use clients::clients;
use commands::{Chance, SHAPES, SHARED, command, text};
use larder::store::Config;
use replies::encoded;
use support::skip;

/// Conversations, half of them in RESP3.
const CONVERSATIONS: u64 = 500;
/// The numbers of the conversations: `LARDER_SEED` is the only one, `LARDER_STREAMS` another count.
fn conversations() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    match number("LARDER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LARDER_STREAMS").unwrap_or(CONVERSATIONS),
    }
}

/// Commands in each.
const COMMANDS: usize = 60;

#[test]
fn random_conversations_are_answered_as_redis_answers_them() {
    let Some(mut both) = both() else {
        skip!("redis-server is not installed, so random conversations were not compared");
    };
    for seed in conversations() {
        both.begin(
            &format!("conversation {seed}"),
            if seed % 2 == 0 { "2" } else { "3" },
        );
        let mut chance = Chance::new(seed);
        for _ in 0..COMMANDS {
            both.say(&command(&mut chance, &SHAPES));
        }
    }
}

#[test]
fn random_patterns_match_as_in_redis() {
    let Some(mut both) = both() else {
        skip!("redis-server is not installed, so random patterns were not compared");
    };
    let mut chance = Chance::new(1);
    for round in 0..20 {
        both.begin(&format!("keys {round}"), "2");
        for _ in 0..40 {
            let key = text(&mut chance, &["a", "b", "c", "-", "]", "\\", "^", "*"], 6);
            both.say(&["SET".to_owned(), key, String::new()]);
        }
        for _ in 0..100 {
            let letters = ["a", "b", "c", "*", "*", "?", "[", "]", "^", "-", "\\"];
            both.say(&["KEYS".to_owned(), text(&mut chance, &letters, 9)]);
        }
    }
}

#[test]
fn random_numbers_are_added_as_redis_adds_them() {
    if !cfg!(target_arch = "x86_64") {
        skip!("redis-server adds with more than 80 bits here, so sums were not compared");
    }
    let Some(mut both) = both() else {
        skip!("redis-server is not installed, so sums were not compared");
    };
    let digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let hex = ["0", "1", "5", "8", "a", "F", "."];
    both.begin("sums", "2");
    let mut chance = Chance::new(1);
    for round in 0..20_000 {
        let mut number = chance.pick(&["", "", "-", "+"]).to_owned();
        if chance.below(20) == 0 {
            number.push_str("0x");
            number.push_str(&text(&mut chance, &hex, 24));
            if chance.below(2) == 0 {
                number.push_str(&format!("p{}", chance.below(200) as i64 - 100));
            }
        } else {
            let (most, decimals) = (1 + chance.below(24), chance.below(24));
            number.push_str(&text(&mut chance, &digits, most));
            if chance.below(3) > 0 {
                number.push('.');
                number.push_str(&text(&mut chance, &digits, decimals));
            }
            match chance.below(20) {
                0 => number.push_str(&format!("e{}", chance.below(10_100) as i64 - 5_050)),
                1..6 => number.push_str(&format!("E{:+}", chance.below(40) as i64 - 20)),
                6 => number.push('x'),
                _ => {}
            }
        }
        // Large sums hide small increments, so the commands begin anew now and then.
        if round % 5 == 0 {
            both.begin(&format!("sum {round}"), "2");
        }
        both.say(&["INCRBYFLOAT".to_owned(), "sum".to_owned(), number]);
    }
}

#[test]
fn random_strings_have_the_same_common_subsequence_as_in_redis() {
    let Some(mut both) = both() else {
        skip!("redis-server is not installed, so subsequences were not compared");
    };
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut chance = Chance::new(1);
    for round in 0..1_000 {
        both.begin(
            &format!("strings {round}"),
            if round % 2 == 0 { "2" } else { "3" },
        );
        for key in ["one", "two"] {
            let value = text(&mut chance, &["a", "b", "c"], 20);
            both.say(&["SET".to_owned(), key.to_owned(), value]);
        }
        both.say(&words("LCS one two"));
        both.say(&words("LCS one two IDX WITHMATCHLEN"));
        both.say(&words("LCS one two IDX MINMATCHLEN 2"));
    }
}

#[test]
fn commands_take_the_arguments_keys_and_flags_that_they_take_in_redis() {
    let Some(mut both) = both() else {
        skip!("redis-server is not installed, so the table of commands was not compared");
    };
    both.begin("commands", "2");
    let mut names: Vec<&str> = SHAPES
        .iter()
        .chain(SHARED)
        .filter_map(|shape| shape.split(' ').next())
        .filter(|name| *name != "FOO")
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let request = encoded(&["COMMAND", "INFO", name].map(str::to_owned));
        // Name, arity, flags, first key, last key, step, categories, tips, key specifications.
        let [ours, theirs] = [both.ask_larder(&request), both.ask_redis(&request)].map(|reply| {
            let mut facts = reply.elements[0].elements[..9].to_vec();
            let flags = &mut facts[2].elements;
            // About reading a file at the start, about replicas, scripts and the log of slow commands: larder has none.
            let absent = ["loading", "stale", "noscript", "allow_busy", "skip_slowlog"];
            flags.retain(|flag| !absent.iter().any(|absent| flag.text == absent.as_bytes()));
            flags.sort();
            facts[2].text.clear();
            facts[6].elements.sort();
            // Tips are for clients of a cluster, notes for people.
            facts.remove(7);
            for specification in &mut facts[7].elements {
                if specification.elements[0].text == b"notes" {
                    specification.elements.drain(..2);
                }
                specification.text.clear();
            }
            facts
        });
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn clients_that_share_keys_are_answered_as_redis_answers_them() {
    let Some(mut clients) = clients() else {
        skip!("redis-server is not installed, so clients that share keys were not compared");
    };
    for seed in conversations() {
        clients.begin(&format!("clients {seed}"), 2);
        let mut chance = Chance::new(seed);
        for _ in 0..COMMANDS {
            let client = chance.below(2);
            let words = command(&mut chance, SHARED);
            clients.say(client, &encoded(&words));
        }
    }
}

#[test]
fn malformed_requests_end_a_connection_where_they_end_it_in_redis() {
    let Some(mut clients) = clients() else {
        skip!("redis-server is not installed, so malformed requests were not compared");
    };
    let mut closed = 0;
    for seed in 0..4 * CONVERSATIONS {
        clients.begin(&format!("malformed {seed}"), 2);
        let mut chance = Chance::new(seed);
        let mut bytes = Vec::new();
        for _ in 0..1 + chance.below(5) {
            bytes.extend(match chance.below(4) {
                0 => b"PING inline\r\n".to_vec(),
                1 => encoded(&["SET", "k", "v"].map(str::to_owned)),
                2 => encoded(&["GET", "k"].map(str::to_owned)),
                _ => b"set k 'a b' \r\n".to_vec(),
            });
        }
        for _ in 0..chance.below(4) {
            let place = chance.below(bytes.len());
            let byte = *b"\r\n\0*$:'\" 019-\\x\xff"
                .get(chance.below(16))
                .unwrap_or(&b'a');
            match chance.below(3) {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ => drop(bytes.remove(place)),
            }
        }
        bytes.extend(encoded(&["SET", "last", "v"].map(str::to_owned)));
        clients.say(0, &bytes);
        closed += u32::from(clients.is_closed(0));
        // Whether the last command was run.
        clients.say(1, &encoded(&["GET", "last"].map(str::to_owned)));
    }
    assert!(closed > 100, "only {closed} connections were closed");
}

/// Alone, without redis-server, which evicts others: if keys are evicted between two words of a command, larder
/// still answers whole replies.
#[test]
fn random_conversations_go_on_when_memory_is_short() {
    let mut evicted = 0;
    for seed in 0..CONVERSATIONS {
        let mut larder = both::larder(Config {
            memory: 20_000,
            shards: 1,
            ..Config::default()
        });
        let mut chance = Chance::new(seed);
        for _ in 0..COMMANDS {
            let words = command(&mut chance, &SHAPES);
            both::ask(&mut *larder, &encoded(&words));
            // Something large beside it, so that there is never room for long.
            let filler = format!("filler{}", chance.below(100));
            let filler = ["SET".to_owned(), filler, "x".repeat(500)];
            both::ask(&mut *larder, &encoded(&filler));
        }
        let info = both::ask(&mut *larder, b"INFO stats\r\n");
        let info = String::from_utf8_lossy(&info.text).into_owned();
        let count = info
            .lines()
            .find_map(|line| line.strip_prefix("evicted_keys:"));
        evicted += count
            .and_then(|count| count.parse::<u64>().ok())
            .expect("INFO tells it");
    }
    assert!(
        evicted > CONVERSATIONS,
        "memory was not short: {evicted} items were evicted"
    );
}
