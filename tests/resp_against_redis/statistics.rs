//! The figures of INFO that commands determine: calls, refusals and failures of each command, errors by their first word,
//! and hits and misses.

use std::collections::BTreeMap;

use crate::both::{Both, both};
use crate::commands::{Chance, SHAPES, command};
use crate::replies::{Value, encoded};
use crate::support::skip;
use crate::{COMMANDS, conversations};

/// Figures of INFO by their names, without times.
fn figures(info: &Value) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(&info.text).into_owned();
    let mut figures = BTreeMap::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let is_time = |part: &&str| !part.starts_with("usec");
        let is_determined = name.starts_with("cmdstat_")
            || name.starts_with("errorstat_")
            || ["keyspace_hits", "keyspace_misses"].contains(&name);
        // The commands of this test itself.
        if is_determined && !["cmdstat_config|resetstat", "cmdstat_info"].contains(&name) {
            let parts: Vec<&str> = value.split(',').filter(is_time).collect();
            figures.insert(name.to_owned(), parts.join(","));
        }
    }
    figures
}

impl Both {
    /// Sends the same to both, whose replies are not compared.
    fn tell(&mut self, words: &[String]) {
        let request = encoded(words);
        self.ask_larder(&request);
        self.ask_redis(&request);
    }

    fn figures(&mut self) -> [BTreeMap<String, String>; 2] {
        let mut both = [BTreeMap::new(), BTreeMap::new()];
        for section in ["commandstats", "errorstats", "stats"] {
            let request = encoded(&["INFO", section].map(str::to_owned));
            both[0].extend(figures(&self.ask_larder(&request)));
            both[1].extend(figures(&self.ask_redis(&request)));
        }
        both
    }

    /// The counts of some commands by both servers.
    fn counts(&mut self, what: &str, commands: &[Vec<String>]) -> [BTreeMap<String, String>; 2] {
        self.begin(what, "2");
        self.tell(&["CONFIG", "RESETSTAT"].map(str::to_owned));
        for words in commands {
            self.tell(words);
        }
        self.figures()
    }
}

#[test]
fn random_conversations_are_counted_as_redis_counts_them() {
    let Some(mut both) = both() else {
        skip!("redis-server is not installed, so INFO's figures were not compared");
    };
    for seed in conversations() {
        let mut chance = Chance::new(seed);
        let commands = (0..COMMANDS).map(|_| command(&mut chance, &SHAPES));
        // With TYPE, Redis looks each key up and counts a hit for it; larder's keys have their types with them.
        let commands = commands.filter(|words| words[0] != "SCAN");
        let mut commands: Vec<Vec<String>> = commands.collect();
        let what = format!("counts {seed}");
        let [ours, theirs] = both.counts(&what, &commands);
        if ours == theirs {
            continue;
        }
        let mut at = 0;
        while at < commands.len() {
            let mut fewer = commands.clone();
            fewer.remove(at);
            let [ours, theirs] = both.counts(&what, &fewer);
            if ours == theirs {
                at += 1;
            } else {
                commands = fewer;
            }
        }
        let [ours, theirs] = both.counts(&what, &commands);
        panic!("{what}: {commands:?}\nlarder: {ours:?}\nredis-server: {theirs:?}");
    }
}
