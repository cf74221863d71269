//! `larder keys`: the keys of servers with their sizes and remaining lifetimes.
//!
//! Cost: each line is printed when it has come, so memory doesn't grow with the number of keys, and a reader may stop early.

use std::ffi::OsString;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};

use super::exit;
use super::json::{add_bytes, encoded};
use crate::client::{Client, KeyEntry};
use crate::program::options::ClientOptions;

const EXAMPLES: &str = "\
Try it:
  larder keys                                the size, the seconds to live and the key of each item
  larder keys --prefix user: --json
  larder keys | sort -n | tail -1            the largest item
  larder keys --base64 | while read -r size ttl key; do larder get --base64 \"$key\"; done

The size is that of the item in the server's memory, overhead included. `-` is an item that doesn't
expire. Items that are stored or deleted meanwhile may be listed. With --resp a key may be listed
twice, as by SCAN, and of a Redis, database 0 is listed. Children of larder's nested keys are not
listed.

Exit code: 0, or 2 for an error.";

/// The command line of `larder keys`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct KeysArgs {
    /// Only keys that begin with TEXT
    #[arg(long, value_name = "TEXT")]
    prefix: Option<OsString>,

    /// Print a JSON object for each key
    #[arg(long)]
    json: bool,

    /// Print keys in base64. Otherwise spaces, control characters and bytes that are no text are written as \x20
    #[arg(long)]
    base64: bool,

    #[command(flatten)]
    client: ClientOptions,
}

/// Lists the keys.
pub(crate) fn run(args: &KeysArgs) -> ExitCode {
    exit::run("keys", || {
        let servers = args.client.servers()?;
        let mut out = BufWriter::new(io::stdout().lock());
        for client in servers.clients() {
            list(args, client, &mut out)?;
        }
        written(out.flush())?;
        Ok(ExitCode::SUCCESS)
    })
}

fn list(args: &KeysArgs, client: &Client, out: &mut impl Write) -> Result<(), String> {
    for entry in client.keys() {
        let entry = entry.map_err(|error| error.to_string())?;
        if !has_prefix(&entry.key, args.prefix.as_ref()) {
            continue;
        }
        let line = match args.json {
            true => json(client, &entry).to_string(),
            false => text(&entry, args.base64),
        };
        if !written(writeln!(out, "{line}"))? {
            break;
        }
    }
    Ok(())
}

/// Whether the line was written; otherwise the reader has left, as `head` does.
fn written(result: io::Result<()>) -> Result<bool, String> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("standard output: {error}")),
    }
}

/// Whether a key is among those that are asked for.
pub(super) fn has_prefix(key: &[u8], prefix: Option<&OsString>) -> bool {
    prefix.is_none_or(|prefix| key.starts_with(prefix.as_bytes()))
}

fn text(entry: &KeyEntry, base64: bool) -> String {
    let key = match base64 {
        true => encoded(&entry.key),
        false => readable(&entry.key),
    };
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    format!("{:>9} {:>9} {key}", number(entry.size), number(ttl(entry)))
}

fn json(client: &Client, entry: &KeyEntry) -> Value {
    let mut object = Map::new();
    add_bytes(&mut object, "key", &entry.key);
    object.insert("size".into(), entry.size.into());
    object.insert("ttl".into(), ttl(entry).into());
    object.insert("server".into(), client.address().into());
    Value::Object(object)
}

/// The remaining lifetime in seconds, rounded up.
fn ttl(entry: &KeyEntry) -> Option<u64> {
    let seconds = |lifetime: Duration| lifetime.as_secs() + u64::from(lifetime.subsec_nanos() > 0);
    entry.lifetime.map(seconds)
}

/// A key as one word of printable characters.
pub(super) fn readable(key: &[u8]) -> String {
    let mut word = String::new();
    let escape = |word: &mut String, bytes: &[u8]| {
        word.extend(bytes.iter().map(|byte| format!("\\x{byte:02x}")));
    };
    for chunk in key.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => word.push_str("\\\\"),
                _ if letter.is_whitespace() || letter.is_control() => {
                    escape(&mut word, letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => word.push(letter),
            }
        }
        escape(&mut word, chunk.invalid());
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_word() {
        for (key, word) in [
            (&b"user:1"[..], "user:1"),
            ("Zürich".as_bytes(), "Zürich"),
            (b"a b\\\r\n\x1b\0", r"a\x20b\\\x0d\x0a\x1b\x00"),
            (b"\xff\xfe", r"\xff\xfe"),
            ("a\u{2028}b".as_bytes(), r"a\xe2\x80\xa8b"),
        ] {
            assert_eq!(readable(key), word);
        }
    }

    #[test]
    fn a_line_has_a_size_a_lifetime_and_the_key() {
        let entry = |size, lifetime| KeyEntry {
            key: b"a b".to_vec(),
            size,
            lifetime,
        };
        let line = text(&entry(Some(69), None), false);
        assert_eq!(line, r"       69         - a\x20b");
        let part = Duration::from_millis(1001);
        let line = text(&entry(None, Some(part)), true);
        assert_eq!(line, "        -         2 YSBi");
    }
}
