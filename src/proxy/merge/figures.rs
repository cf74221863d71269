//! Figures of several servers as those of one: `INFO` of Redis, `stats` of memcached.
//!
//! Counts are summed: items, connections, commands, bytes. Other values (a version, a port, an uptime, a ratio) are the
//! first server's. The proxy's own figures follow.

use ahash::AHashMap;

/// The counts of `INFO`, by the beginnings of their names.
const COUNTED: &[&str] = &[
    "active_defrag_",
    "aof_buffer_length",
    "aof_current_size",
    "blocked_clients",
    "clients_in_timeout_table",
    "cluster_connections",
    "connected_",
    "current_cow",
    "dump_payload_sanitizations",
    "evicted_",
    "expired_keys",
    "instantaneous_",
    "io_threaded_",
    "keyspace_",
    "lazyfree",
    "maxclients",
    "maxmemory",
    "mem_clients",
    "migrate_cached_sockets",
    "number_of_",
    "pubsub",
    "rdb_changes_since_last_save",
    "rejected_",
    "sync_",
    "total_",
    "tracking_",
    "unexpected_error_replies",
    "used_cpu_",
    "used_memory",
];

/// Names that begin like that and are no counts.
const NOT_COUNTED: &[&str] = &["maxmemory_policy", "total_system_memory"];

/// Numbers of `stats` that are no counts.
const NO_COUNTS: &[&str] = &[
    "accepting_conns",
    "hash_is_expanding",
    "hash_power_level",
    "lru_crawler_running",
    "pid",
    "pointer_size",
    "slab_reassign_running",
    "time",
    "uptime",
];

/// The text of `INFO`, of replies that are each one string.
pub(super) fn info(replies: &[&[u8]], tail: &str) -> Vec<u8> {
    let texts: Vec<_> = replies.iter().map(|reply| string(reply)).collect();
    // Sections and names in the order in which they come first.
    let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut values: AHashMap<&str, Vec<&str>> = AHashMap::new();
    for text in &texts {
        let mut at = 0;
        for line in text.lines() {
            if line.starts_with('#') {
                let known = sections.iter().position(|(name, _)| *name == line);
                at = known.unwrap_or(sections.len());
                if known.is_none() {
                    sections.push((line, Vec::new()));
                }
            } else if let (Some((name, value)), Some(section)) =
                (line.split_once(':'), sections.get_mut(at))
            {
                let values = values.entry(name).or_insert_with(|| {
                    section.1.push(name);
                    Vec::new()
                });
                values.push(value);
            }
        }
    }
    let mut text = String::new();
    for (section, names) in sections {
        text += section;
        text += "\r\n";
        for name in names {
            if let Some(value) = combined(name, &values) {
                text += &format!("{name}:{value}\r\n");
            }
        }
        text += "\r\n";
    }
    text += tail;
    match replies.first() {
        Some([b'=', ..]) => format!("={}\r\ntxt:{text}\r\n", text.len() + 4),
        _ => format!("${}\r\n{text}\r\n", text.len()),
    }
    .into_bytes()
}

/// The value of one line of `INFO` for all servers; `None` if the line has no meaning for several.
fn combined(name: &str, all: &AHashMap<&str, Vec<&str>>) -> Option<String> {
    let values = &all[name];
    let first = || values.first().map(|first| (*first).to_owned());
    let counted = |name: &str| {
        COUNTED.iter().any(|begin| name.starts_with(begin))
            && !NOT_COUNTED.contains(&name)
            && !name.ends_with("_perc")
    };
    match name {
        // Clients see one Redis that stands alone.
        "redis_mode" => Some("standalone".to_owned()),
        "cluster_enabled" => Some("0".to_owned()),
        "loading" | "async_loading" => values.iter().max().map(|any| (*any).to_owned()),
        _ if name.ends_with("_in_progress") => values.iter().max().map(|any| (*any).to_owned()),
        _ if name.ends_with("_status") => {
            let bad = values.iter().find(|status| **status != "ok");
            bad.map(|bad| (*bad).to_owned()).or_else(first)
        }
        // Quantiles of several servers have no quantile.
        _ if name.starts_with("latency_percentiles_") => None,
        _ if is_list(name) => Some(list(values)),
        _ => match name.strip_suffix("_human") {
            Some(base) if counted(base) => {
                let bytes = all.get(base).and_then(|values| sum(values))?;
                Some(human(bytes.parse().ok()?))
            }
            _ if counted(name) => sum(values).or_else(first),
            _ => first(),
        },
    }
}

/// Whether the value of a line is a list of named numbers.
fn is_list(name: &str) -> bool {
    let database = name
        .strip_prefix("db")
        .is_some_and(|number| number.parse::<u32>().is_ok());
    database || name.starts_with("cmdstat_") || name.starts_with("errorstat_")
}

/// Lists of named numbers, added up; means follow from the sums.
fn list(values: &[&str]) -> String {
    let mut sums: Vec<(&str, f64)> = Vec::new();
    for value in values {
        let figures = || value.split(',').filter_map(|figure| figure.split_once('='));
        let expires = figures().find(|(name, _)| *name == "expires");
        let expires = expires.and_then(|(_, number)| number.parse::<f64>().ok());
        for (name, number) in figures() {
            let mut number = number.parse().unwrap_or(0.0);
            if name == "avg_ttl" {
                // Weighed by the keys that have one.
                number *= expires.unwrap_or(0.0);
            }
            match sums.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += number,
                None => sums.push((name, number)),
            }
        }
    }
    let sum = |name| {
        sums.iter()
            .find(|(known, _)| *known == name)
            .map_or(0.0, |(_, sum)| *sum)
    };
    let figures = sums.iter().map(|(name, number)| match *name {
        "usec_per_call" => format!("{name}={:.2}", sum("usec") / sum("calls").max(1.0)),
        "avg_ttl" => format!("{name}={:.0}", number / sum("expires").max(1.0)),
        _ => format!("{name}={number:.0}"),
    });
    figures.collect::<Vec<_>>().join(",")
}

/// memcached's `STAT` lines.
pub(super) fn stats(replies: &[&[u8]], tail: &str) -> Vec<u8> {
    let texts: Vec<_> = replies
        .iter()
        .map(|reply| String::from_utf8_lossy(reply))
        .collect();
    let mut names: Vec<&str> = Vec::new();
    let mut values: AHashMap<&str, Vec<&str>> = AHashMap::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        let figure = line
            .strip_prefix("STAT ")
            .and_then(|line| line.split_once(' '));
        if let Some((name, value)) = figure {
            let values = values.entry(name).or_insert_with(|| {
                names.push(name);
                Vec::new()
            });
            values.push(value);
        }
    }
    let mut text = String::new();
    for name in names {
        let values = &values[name];
        let sum = match NO_COUNTS.contains(&name) {
            true => None,
            false => sum(values),
        };
        let value = sum.unwrap_or_else(|| values[0].to_owned());
        text += &format!("STAT {name} {value}\r\n");
    }
    text += tail;
    text += "END\r\n";
    text.into_bytes()
}

/// The sum of numbers, with as many decimals as the first; `None` if one is no number.
fn sum(values: &[&str]) -> Option<String> {
    let whole: Option<Vec<i128>> = values.iter().map(|value| value.parse().ok()).collect();
    if let Some(whole) = whole {
        return Some(whole.iter().sum::<i128>().to_string());
    }
    let numbers: Option<Vec<f64>> = values
        .iter()
        .map(|value| value.parse().ok().filter(|number: &f64| number.is_finite()))
        .collect();
    let decimals = values
        .first()?
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    Some(format!("{:.decimals$}", numbers?.iter().sum::<f64>()))
}

/// Bytes as Redis writes them for people.
fn human(bytes: u64) -> String {
    let units = ["K", "M", "G", "T", "P"];
    let mut number = bytes as f64;
    let mut unit = None;
    for next in units {
        if number < 1024.0 {
            break;
        }
        number /= 1024.0;
        unit = Some(next);
    }
    match unit {
        None => format!("{bytes}B"),
        Some(unit) => format!("{number:.2}{unit}"),
    }
}

/// The text of a bulk or verbatim string.
fn string(reply: &[u8]) -> std::borrow::Cow<'_, str> {
    let start = memchr::memchr(b'\n', reply).map_or(0, |end| end + 1);
    let text = reply[start..].strip_suffix(b"\r\n").unwrap_or_default();
    let text = match reply.first() {
        Some(b'=') => text.get(4..).unwrap_or_default(),
        _ => text,
    };
    String::from_utf8_lossy(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Vec<u8> {
        let text = text.replace('\n', "\r\n");
        format!("${}\r\n{text}\r\n", text.len()).into_bytes()
    }

    #[test]
    fn counts_of_info_are_summed_and_the_rest_is_the_first_ones() {
        let one = bulk(
            "# Server\nredis_version:7.0.15\nredis_mode:cluster\ntcp_port:1\n\n# Memory\n\
             used_memory:1000\nused_memory_human:1000B\nmaxmemory_policy:noeviction\n\n\
             # Stats\ninstantaneous_input_kbps:0.25\nkeyspace_hits:3\n\n\
             # Keyspace\ndb0:keys=1,expires=1,avg_ttl=10\n",
        );
        let other = bulk(
            "# Server\nredis_version:7.0.14\nredis_mode:cluster\ntcp_port:2\n\n# Memory\n\
             used_memory:1048\nused_memory_human:1.02K\nmaxmemory_policy:allkeys-lru\n\n\
             # Stats\ninstantaneous_input_kbps:1.50\nkeyspace_hits:4\n\n\
             # Keyspace\ndb0:keys=5,expires=3,avg_ttl=30\ndb1:keys=2,expires=0,avg_ttl=0\n",
        );
        let expected = bulk(
            "# Server\nredis_version:7.0.15\nredis_mode:standalone\ntcp_port:1\n\n# Memory\n\
             used_memory:2048\nused_memory_human:2.00K\nmaxmemory_policy:noeviction\n\n\
             # Stats\ninstantaneous_input_kbps:1.75\nkeyspace_hits:7\n\n\
             # Keyspace\ndb0:keys=6,expires=4,avg_ttl=25\ndb1:keys=2,expires=0,avg_ttl=0\n\n\
             # Proxy\n",
        );
        let found = info(&[&one, &other], "# Proxy\r\n");
        assert_eq!(String::from_utf8(found), String::from_utf8(expected));
    }

    #[test]
    fn a_verbatim_string_stays_one() {
        let text = b"=14\r\ntxt:# A\r\nb:1\r\n\r\n";
        let expected = "=19\r\ntxt:# A\r\nb:1\r\n\r\nc:2\r\n";
        let found = info(&[text, text], "c:2");
        assert_eq!(String::from_utf8(found).unwrap(), expected);
    }

    #[test]
    fn counts_of_stats_are_summed_and_the_rest_is_the_first_ones() {
        let one = b"STAT pid 7\r\nSTAT version 1.6.18\r\nSTAT rusage_user 0.5\r\nSTAT curr_items 1\r\nEND\r\n";
        let other = b"STAT pid 8\r\nSTAT version 1.6.9\r\nSTAT rusage_user 1.25\r\nSTAT curr_items 2\r\nEND\r\n";
        let found = stats(&[one, other], "STAT a:1:state up\r\n");
        assert_eq!(
            String::from_utf8(found).unwrap(),
            "STAT pid 7\r\nSTAT version 1.6.18\r\nSTAT rusage_user 1.8\r\nSTAT curr_items 3\r\n\
             STAT a:1:state up\r\nEND\r\n"
        );
    }
}
