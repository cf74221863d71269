//! The settings of a server: the check of those that a transcript needs, and the restoring of those that it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::answer::{first_line, lines};
use super::server::Probe;
use crate::tools::transcript::{Agrees, Protocol, Transcript};

/// The reason why a transcript is not tried on a server: other settings, unknown settings, or a different answer of
/// the real server. A transcript that is chosen by its whole name is always tried.
pub(super) fn why_skipped(
    probe: &Probe,
    transcript: &Transcript,
    only: &[String],
) -> Option<String> {
    if only.contains(&transcript.name) {
        return None;
    }
    // Of memcached's other transcripts, those are suites of their own.
    let with_others = transcript.protocol == Protocol::Resp || transcript.over_udp;
    if let Agrees::LarderOnly(reason) = &transcript.agrees
        && with_others
        && transcript.options.is_empty()
    {
        return Some(format!("larder only: {reason}"));
    }
    let mut missing = Vec::new();
    for (name, value) in &transcript.options {
        let is_so = match (transcript.protocol, name.as_str()) {
            (Protocol::Memcached, "nested") => probe.knows_nested_keys() == (value == "on"),
            _ => false,
        };
        if !is_so {
            missing.push(format!("{name}={value}"));
        }
    }
    if missing.is_empty() {
        return None;
    }
    let (missing, name) = (missing.join(" "), &transcript.name);
    Some(format!(
        "needs a server with {missing}; if yours has that, choose it with --only {name}"
    ))
}

/// The requests by which a memcached client changes settings of the server.
static MEMCACHED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?m-u)^(?:verbosity|cache_memlimit|slabs automove|lru_crawler|lru mode|stats detail) ",
    )
    .expect("it is valid")
});

/// The request by which a Redis client does, with the setting's name.
static REDIS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?mi-u)^CONFIG SET ([\w-]+) ").expect("it is valid"));

/// Settings before a transcript: the name, and the request that sets the value again.
pub(super) struct SavedSettings<'t> {
    transcript: &'t Transcript,
    before: BTreeMap<String, String>,
}

/// Reads the settings that a transcript may change.
pub(super) fn save<'t>(probe: &Probe, transcript: &'t Transcript) -> SavedSettings<'t> {
    SavedSettings {
        transcript,
        before: settable(probe, transcript),
    }
}

impl SavedSettings<'_> {
    /// Restores the settings that have another value now. If the server refuses, it keeps its
    /// value.
    pub(super) fn restore(self, probe: &Probe) {
        if self.before.is_empty() {
            return;
        }
        let now = settable(probe, self.transcript);
        for (name, request) in self.before {
            if now.get(&name) != Some(&request) {
                first_line(probe, request.as_bytes());
            }
        }
    }
}

/// The settings that a transcript may change, each with the request that sets its present value.
fn settable(probe: &Probe, transcript: &Transcript) -> BTreeMap<String, String> {
    let sent = transcript.sent();
    match transcript.protocol {
        Protocol::Memcached if MEMCACHED.is_match(&sent) => memcached(probe),
        Protocol::Resp => {
            let names = REDIS.captures_iter(&sent).map(|found| found[1].to_vec());
            let names: BTreeSet<Vec<u8>> = names.map(|name| name.to_ascii_lowercase()).collect();
            let names = names.iter().map(|name| String::from_utf8_lossy(name));
            names.filter_map(|name| redis(probe, &name)).collect()
        }
        _ => BTreeMap::new(),
    }
}

fn memcached(probe: &Probe) -> BTreeMap<String, String> {
    let settings = lines(probe, b"stats settings\r\n", |line| line == "END");
    let settings = settings.iter().filter_map(|line| {
        let (name, value) = line.strip_prefix("STAT ")?.split_once(' ')?;
        let switch = |on, off| if value == "yes" { on } else { off };
        let request = match name {
            "verbosity" => format!("verbosity {value}\r\n"),
            "maxbytes" => format!("cache_memlimit {}\r\n", value.parse::<u64>().ok()? >> 20),
            "detail_enabled" => format!("stats detail {}\r\n", switch("on", "off")),
            "slab_automove" => format!("slabs automove {value}\r\n"),
            "lru_crawler" => format!("lru_crawler {}\r\n", switch("enable", "disable")),
            "lru_segmented" => format!("lru mode {}\r\n", switch("segmented", "flat")),
            _ => return None,
        };
        Some((name.to_owned(), request))
    });
    settings.collect()
}

fn redis(probe: &Probe, name: &str) -> Option<(String, String)> {
    let question = format!("CONFIG GET {name}\r\nPING\r\n");
    let answer = lines(probe, question.as_bytes(), |line| line == "+PONG");
    // An array of two bulk strings, the name and the value.
    let value = answer.get(4).filter(|_| answer[0] == "*2")?;
    Some((
        name.to_owned(),
        format!("CONFIG SET {name} \"{value}\"\r\n"),
    ))
}
