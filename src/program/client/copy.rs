//! `larder cp FROM TO`: a live cache into another.
//!
//! ```text
//!   each server of FROM: its list of keys ─▶ batch ─▶ read with flags and lifetimes ─▶ the server of the key in TO
//!                             ▲  waits while a batch is copied
//! ```
//!
//! Cost: two round trips for a batch. Memory: a batch, which is [`BATCH_KEYS`] keys or [`BATCH_BYTES`] of items, or one larger item.
//! An item that is changed meanwhile is copied before or after the change.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::exit;
use super::keys::{has_prefix, readable};
use crate::client::{Client, Entry, Error, Form, KeyEntry, StoreOutcome};
use crate::program::options::{CacheServers, CopyAccessOptions, WayOptions};
use crate::program::output::show;

/// Keys of a batch at most.
const BATCH_KEYS: usize = 200;

/// Bytes of a batch, by the sizes in the list of keys.
const BATCH_BYTES: u64 = 4 << 20;

/// Different reasons for refusals that the summary shows.
const REASONS: usize = 10;

const EXAMPLES: &str = "\
Try it:
  larder cp 10.0.0.1:11211 10.0.0.2:11211
  larder cp @old.txt @new.txt              one pool to another, by lists of `host:port weight`
  larder cp 10.0.0.1:11211 10.0.0.2:11211 --no-overwrite --prefix user:
  larder cp 10.0.0.1:6379 10.0.0.2:6379 --resp

Values, flags and remaining lifetimes are kept. From one Redis to another all types are copied,
otherwise only strings, and hashes between servers of RESP. Redis has no flags. Of a Redis,
database 0 is copied. Children of larder's nested keys are not copied.

Both caches stay in use: items that expire or are deleted meanwhile are counted, and keys that are
stored meanwhile may be missed. With --no-overwrite, TO keeps the items that it has.

Exit code: 0 if all items were copied, 1 if TO refused any, 2 for an error.";

/// The command line of `larder cp`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CopyArgs {
    /// The cache that is copied: HOST:PORT, a path with a slash for a Unix socket, or @FILE for the servers in a list
    #[arg(value_name = "FROM")]
    from: String,

    /// The cache that gets the items, likewise
    #[arg(value_name = "TO")]
    to: String,

    /// Keep the items that TO has
    #[arg(long)]
    no_overwrite: bool,

    /// Only keys that begin with TEXT
    #[arg(long, value_name = "TEXT")]
    prefix: Option<OsString>,

    /// Print the summary as a JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    access: CopyAccessOptions,

    #[command(flatten)]
    way: WayOptions,
}

/// Copies.
pub(crate) fn run(args: &CopyArgs) -> ExitCode {
    exit::run("cp", || {
        if args.from == args.to {
            return Err(format!("FROM and TO are the same: {}", args.from));
        }
        let named = |side: &str, name: &str, access| {
            let servers = args.way.named(name, &access);
            servers.map_err(|problem| format!("{side}: {problem}"))
        };
        let from = named("FROM", &args.from, args.access.source()?)?;
        let to = named("TO", &args.to, args.access.destination()?)?;
        let mut copy = Copy {
            args,
            to: &to,
            form: Form::Values,
            bar: bar(),
            summary: Summary::default(),
        };
        let copied = copy.all(&from);
        copy.bar.finish_and_clear();
        let summary = copy.summary;
        copied.map_err(|error| format!("{error}; copied before: {} items", summary.copied))?;
        show(match args.json {
            true => format!("{}\n", summary.json()),
            false => summary.text(),
        })?;
        Ok(match summary.refused {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(exit::NOT_DONE),
        })
    })
}

/// The progress, on a terminal. It is removed before the summary is printed.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {per_sec} {eta}") {
        bar.set_style(style);
    }
    bar
}

/// A copy on its way.
struct Copy<'a> {
    args: &'a CopyArgs,
    to: &'a CacheServers,
    form: Form,
    bar: ProgressBar,
    summary: Summary,
}

impl Copy<'_> {
    fn all(&mut self, from: &CacheServers) -> Result<(), Error> {
        // A server that is down or asks for a password is noticed before anything is copied.
        for client in self.to.clients() {
            client.version()?;
        }
        if has_dumps(from)? && has_dumps(self.to)? {
            self.form = Form::Dumps;
        }
        for client in from.clients() {
            self.bar.inc_length(client.item_count()?);
        }
        for client in from.clients() {
            let mut batch = Vec::new();
            let mut bytes = 0;
            for entry in client.keys() {
                let KeyEntry { key, size, .. } = entry?;
                if !has_prefix(&key, self.args.prefix.as_ref()) {
                    self.bar.inc(1);
                    continue;
                }
                let size = size.unwrap_or_default();
                bytes += size;
                if batch.len() == BATCH_KEYS || bytes > BATCH_BYTES && !batch.is_empty() {
                    self.batch(client, &batch)?;
                    batch.clear();
                    bytes = size;
                }
                batch.push(key);
            }
            self.batch(client, &batch)?;
        }
        Ok(())
    }

    fn batch(&mut self, from: &Client, keys: &[Vec<u8>]) -> Result<(), Error> {
        let entries: Vec<Entry> = from
            .entries(keys, self.form)?
            .into_iter()
            .flatten()
            .collect();
        self.summary.vanished += keys.len() as u64 - entries.len() as u64;
        let mut shares: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in &entries {
            let server = self.to.client_of(&entry.key);
            shares.entry(server.address()).or_default().push(entry);
        }
        for entries in shares.into_values() {
            let server = self.to.client_of(&entries[0].key);
            let outcomes = server.store_entries(&entries, self.args.no_overwrite)?;
            for (entry, outcome) in entries.into_iter().zip(outcomes) {
                self.summary
                    .count(&entry.key, entry.content.size(), outcome);
            }
        }
        self.bar.inc(keys.len() as u64);
        Ok(())
    }
}

/// Whether all of these servers have Redis's `DUMP` and `RESTORE`.
fn has_dumps(servers: &CacheServers) -> Result<bool, Error> {
    for client in servers.clients() {
        if !client.has_dumps()? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The result of a copy.
#[derive(Debug, Default)]
struct Summary {
    copied: u64,
    /// Of their values.
    bytes: u64,
    /// Keys that expired or were deleted after they had been listed.
    vanished: u64,
    /// Items that TO had and kept.
    kept: u64,
    refused: u64,
    /// The answers of TO, each with the first key that got it.
    reasons: BTreeMap<String, Vec<u8>>,
}

impl Summary {
    fn count(&mut self, key: &[u8], size: usize, outcome: StoreOutcome) {
        match outcome {
            StoreOutcome::Stored => {
                self.copied += 1;
                self.bytes += size as u64;
            }
            StoreOutcome::Exists => self.kept += 1,
            StoreOutcome::Refused(said) => {
                self.refused += 1;
                if self.reasons.len() < REASONS || self.reasons.contains_key(&said) {
                    self.reasons.entry(said).or_insert_with(|| key.to_vec());
                }
            }
        }
    }

    fn text(&self) -> String {
        let Summary {
            copied,
            bytes,
            vanished,
            kept,
            refused,
            reasons,
        } = self;
        let mut text = format!("{copied} items copied, {bytes} bytes\n");
        for (count, what) in [
            (vanished, "expired or were deleted meanwhile"),
            (kept, "were kept as TO has them"),
            (refused, "were refused by TO"),
        ] {
            if *count > 0 {
                text.push_str(&format!("{count} {what}\n"));
            }
        }
        for (said, key) in reasons {
            text.push_str(&format!("  {}: {said}\n", readable(key)));
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "copied": self.copied,
            "bytes": self.bytes,
            "vanished": self.vanished,
            "kept": self.kept,
            "refused": self.refused,
            "reasons": self.reasons.keys().collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_was_not_copied() {
        let mut summary = Summary {
            vanished: 2,
            ..Summary::default()
        };
        summary.count(b"a", 3, StoreOutcome::Stored);
        let refusal = || StoreOutcome::Refused("SERVER_ERROR no".to_owned());
        summary.count(b"b b", 3, refusal());
        summary.count(b"c", 3, refusal());
        assert_eq!(
            summary.text(),
            "1 items copied, 3 bytes\n2 expired or were deleted meanwhile\n2 were refused by TO\n  \
             b\\x20b: SERVER_ERROR no\n"
        );
        assert_eq!(
            summary.json().to_string(),
            r#"{"bytes":3,"copied":1,"kept":0,"reasons":["SERVER_ERROR no"],"refused":2,"vanished":2}"#
        );
    }
}
