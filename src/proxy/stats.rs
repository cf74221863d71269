//! The proxy's statistics about its upstreams: `stats proxy` of memcached, the section `proxy` of
//! Redis's `INFO`. With several upstreams, both also follow the sums of the upstreams' own figures.

use std::sync::atomic::Ordering::Relaxed;

use crate::pool::Pool;
use crate::protocol::framing::request::{MergeRule, Request};
use crate::protocol::resp::CommandArgs;

/// Calls `each` with the names and values of all upstreams' statistics.
fn each_upstream(pool: &Pool, mut each: impl FnMut(&str, &str, String)) {
    for upstream in &pool.upstreams {
        let (name, counters) = (&upstream.address, &upstream.counters);
        let state = match upstream.health.is_ejected() {
            true => "ejected",
            false => "up",
        };
        each(name, "state", state.to_owned());
        each(
            name,
            "connections",
            counters.connections.load(Relaxed).to_string(),
        );
        each(
            name,
            "requests",
            counters.requests.load(Relaxed).to_string(),
        );
        each(name, "repeats", counters.repeats.load(Relaxed).to_string());
        each(name, "errors", counters.errors.load(Relaxed).to_string());
        each(
            name,
            "in_flight",
            counters.in_flight.load(Relaxed).to_string(),
        );
        if pool.is_cluster() {
            let redirects = counters.redirects.load(Relaxed);
            each(name, "redirects", redirects.to_string());
        }
        each(name, "ejections", upstream.health.ejections().to_string());
        for (key, part) in [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)] {
            each(name, key, counters.latency.quantile(part).to_string());
        }
    }
}

/// The lines of `stats proxy`.
pub(super) fn memcached(pool: &Pool) -> String {
    let mut lines = String::new();
    each_upstream(pool, |upstream, name, value| {
        lines += &format!("STAT {upstream}:{name} {value}\r\n");
    });
    lines
}

/// The proxy's own figures, appended to those of all upstreams if all sections were requested.
pub(super) fn tail(rule: MergeRule, request: &Request<'_>, pool: &Pool) -> Option<String> {
    let wanted = |args: CommandArgs<'_>| {
        let sections = [&b"default"[..], b"all", b"everything", b"proxy"];
        let is_one = |word: &[u8]| sections.iter().any(|one| word.eq_ignore_ascii_case(one));
        args.len() == 1 || args.iter().skip(1).any(is_one)
    };
    match rule {
        MergeRule::Stats => Some(memcached(pool)),
        MergeRule::Info => request
            .args()
            .filter(|args| wanted(*args))
            .map(|_| info(pool)),
        _ => None,
    }
}

/// The section of `INFO`.
pub(super) fn info(pool: &Pool) -> String {
    let mut text = String::from("# Proxy\r\n");
    let mut number = 0;
    let mut last = None;
    each_upstream(pool, |upstream, name, value| {
        match &last {
            None => {}
            Some(before) if *before == upstream => {
                text.push_str(&format!(",{name}={value}"));
                return;
            }
            Some(_) => {
                number += 1;
                text.push_str("\r\n");
            }
        }
        text.push_str(&format!(
            "upstream{number}:address={upstream},{name}={value}"
        ));
        last = Some(upstream.to_owned());
    });
    text.push_str("\r\n");
    text
}
