//! `larder invalidate --inspect`: the pending changes of each upstream.

use std::path::Path;
use std::time::Duration;

use crate::invalidate::message::unix_micros;
use crate::invalidate::spool::{Spool, SpoolCondition, SpoolResult, SpoolTransaction};
use crate::protocol::framing::reply::ReplyShape;
use crate::server::ClientTls;
use crate::upstream::{Answer, BlockingConnection, Deadlines, Greeting};

/// The state of the targets, in lines for a person: from the server that listens at `address`, with TLS if it is given, or
/// from its spool if none runs.
///
/// # Errors
/// A sentence for a person, when neither is possible.
pub fn inspect(
    address: Option<&str>,
    tls: Option<&ClientTls>,
    spool: &Path,
) -> Result<String, String> {
    if let Some(text) = address.and_then(|address| ask(address, tls)) {
        return Ok(text);
    }
    if !spool.join("lock").exists() {
        return Err(format!(
            "no server answers `stats invalidate` at {}, and there is no spool in {}; give --listen ADDR or --spool DIR",
            address.unwrap_or("a TCP address"),
            spool.display()
        ));
    }
    let (spool, found) = Spool::open(spool, false).map_err(|problem| {
        format!(
            "no server answers `stats invalidate` at {}, and the spool can't be read:\n{problem}\n\
             If larder invalidate is running, give its memcached address with --listen ADDR, or send INFO over RESP.",
            address.unwrap_or("a TCP address"),
        )
    })?;
    let mut out = String::from("not running; the pending changes in the spool\n");
    if let SpoolCondition::Lost(what) = found {
        out.push_str(&format!("damaged: {what}; all targets will be flushed\n"));
        spool
            .write(|group| group.set_number("strict", 1))
            .map_err(|error| error.to_string())?;
    }
    let read = spool.write(|group| recorded(group, &mut out));
    spool.close();
    read.map_err(|error| error.to_string())?;
    Ok(out)
}

/// The records of a spool about each upstream.
fn recorded(group: &mut SpoolTransaction<'_>, out: &mut String) -> SpoolResult<()> {
    let now = unix_micros();
    for (name, row) in group.rows()? {
        let mut pending = 0;
        for id in row.delivery_ids() {
            pending += group.len(id)?;
        }
        let state = match (row.left, row.flush) {
            (true, _) => "no longer a target",
            (false, true) => "to be flushed",
            (false, false) => "known",
        };
        let oldest = match row.since {
            0 => 0,
            since => now.saturating_sub(since) / 1_000_000,
        };
        out.push_str(&format!(
            "{name}\n  state           {state}\n  pending         {pending}\n  oldest_seconds  {oldest}\n"
        ));
    }
    for (name, rings) in group.rings()? {
        let earlier = rings.earlier().len();
        if earlier > 0 {
            out.push_str(&format!("{name}\n  earlier_rings   {earlier}\n"));
        }
    }
    Ok(())
}

/// Asks a running server.
fn ask(address: &str, tls: Option<&ClientTls>) -> Option<String> {
    const PATIENCE: Duration = Duration::from_secs(2);
    /// The answer is a few lines for each upstream; a longer one is from another server.
    const MOST: usize = 16 << 20;
    let deadlines = Deadlines {
        connect: PATIENCE,
        read: PATIENCE,
    };
    let greeting = Greeting::default();
    let mut server =
        BlockingConnection::connect((address, tls), &greeting, deadlines, MOST).ok()?;
    let answer = server
        .ask(b"stats invalidate\r\n", ReplyShape::Stats)
        .ok()?;
    let Answer::Value(text) = answer else {
        return None;
    };
    let text = String::from_utf8(text).ok()?;
    let lines = text.strip_suffix("END\r\n")?;
    let mut out = String::new();
    let mut last = "";
    for line in lines.lines() {
        let (name, value) = line.strip_prefix("STAT ")?.split_once(' ')?;
        let (of, name) = name.rsplit_once(':').unwrap_or(("larder invalidate", name));
        if of != last {
            out.push_str(&of.replacen('/', " ", 1));
            out.push('\n');
            last = of;
        }
        out.push_str(&format!("  {name:<15} {value}\n"));
    }
    Some(out)
}
