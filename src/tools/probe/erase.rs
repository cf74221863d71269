//! Whether a server may be emptied. The probe empties it before every delivery, so a server with data is refused unless
//! the person at the terminal has given `--erase`.

use super::answer::{first_line, lines};
use super::server::Probe;
use crate::tools::transcript::{Protocol, Transcript};

/// A server's answer about its data.
enum Contents {
    Empty,
    /// The amount, as in `3 items`.
    Holds(String),
    /// The answer doesn't contain it.
    Unknown,
}

/// Refuses a server that holds data, or doesn't report whether it does. The error is a sentence for the person at
/// the terminal.
pub(super) fn allowed(probe: &Probe, chosen: &[&Transcript]) -> Result<(), String> {
    let address = probe.address();
    for protocol in [Protocol::Memcached, Protocol::Resp] {
        if !chosen
            .iter()
            .any(|transcript| transcript.protocol == protocol)
        {
            continue;
        }
        let contents = match protocol {
            Protocol::Resp => redis(probe),
            _ => memcached(probe),
        };
        let state = match contents {
            Contents::Empty => continue,
            Contents::Holds(what) => format!("{address} holds {what}"),
            Contents::Unknown => format!("{address} doesn't report whether it is empty"),
        };
        return Err(format!(
            "{state}, and the probe erases all data of a server. Use an empty server, or give --erase"
        ));
    }
    Ok(())
}

/// By `stats`. Items that have expired or were flushed are still counted until memcached finds them; its crawler lists
/// those that can be read.
fn memcached(probe: &Probe) -> Contents {
    let stats = lines(probe, b"stats\r\n", |line| line == "END");
    let items = stats
        .iter()
        .find_map(|line| line.strip_prefix("STAT curr_items "));
    match items {
        None => Contents::Unknown,
        Some("0") => Contents::Empty,
        Some(items) => match first_line(probe, b"lru_crawler metadump all\r\n").as_slice() {
            b"END\r\n" => Contents::Empty,
            _ => Contents::Holds(format!("{items} items")),
        },
    }
}

/// By `INFO keyspace`, which has a line for each database with keys; by `DBSIZE` if the server doesn't
/// have it.
fn redis(probe: &Probe) -> Contents {
    let info = lines(
        probe,
        b"*2\r\n$4\r\nINFO\r\n$8\r\nkeyspace\r\n*1\r\n$4\r\nPING\r\n",
        |line| line == "+PONG",
    );
    if info.iter().any(|line| line == "# Keyspace") {
        let holds = info.iter().find(|line| line.starts_with("db"));
        return holds.map_or(Contents::Empty, |keys| Contents::Holds(keys.clone()));
    }
    match first_line(probe, b"*1\r\n$6\r\nDBSIZE\r\n").as_slice() {
        b":0\r\n" => Contents::Empty,
        [b':', keys @ ..] => {
            let keys = String::from_utf8_lossy(keys);
            Contents::Holds(format!("{} keys", keys.trim_end()))
        }
        _ => Contents::Unknown,
    }
}
