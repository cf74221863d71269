//! The command lines of the commands about one key, and the requests that they mean.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::json::encoded;
use crate::client::Item;
use crate::program::options::{ClientOptions, VALUE_LIMIT};
use crate::program::values::Span;
use crate::protocol::memcached::text::meta::base64;

const EXAMPLES: &str = "\
Try it:
  larder set greeting hello --ttl 60    store a value for a minute
  larder get greeting                   print it
  larder set page < index.html          a value from standard input, all of its bytes
  larder add lock $$ --ttl 30 || echo 'another process has the lock'
  larder get greeting --json --servers servers.txt
  larder get session:42 --resp --server 127.0.0.1:6379

In RESP, append, incr and decr create a key that doesn't exist, as Redis does; there is no prepend
and no --flags.

Exit code: 0 if it was done, 1 for a miss (there is no such key, or for add there is one), 2 for an
error.";

/// The commands about one key. `larder --help` lists their names in one line.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Print the value of a key
    #[command(hide = true, after_help = EXAMPLES)]
    Get(KeyArgs),
    /// Store a value
    #[command(hide = true, after_help = EXAMPLES)]
    Set(StoreArgs),
    /// Store a value if the key doesn't exist
    #[command(hide = true, after_help = EXAMPLES)]
    Add(StoreArgs),
    /// Store a value if the key exists
    #[command(hide = true, after_help = EXAMPLES)]
    Replace(StoreArgs),
    /// Add bytes behind a value that exists
    #[command(hide = true, after_help = EXAMPLES)]
    Append(ValueArgs),
    /// Add bytes before a value that exists
    #[command(hide = true, after_help = EXAMPLES)]
    Prepend(ValueArgs),
    /// Delete a key
    #[command(hide = true, after_help = EXAMPLES)]
    Delete(KeyArgs),
    /// Give a key a new lifetime
    #[command(hide = true, after_help = EXAMPLES)]
    Touch(TouchArgs),
    /// Add to a number that exists, and print the sum
    #[command(hide = true, after_help = EXAMPLES)]
    Incr(CountArgs),
    /// Subtract from a number that exists, down to 0, and print the difference
    #[command(hide = true, after_help = EXAMPLES)]
    Decr(CountArgs),
}

/// A key and its server.
#[derive(Debug, Clone, Args)]
pub(crate) struct KeyArgs {
    /// The key
    #[arg(value_name = "KEY")]
    key: OsString,

    /// KEY is given in base64, and its bytes may be any. The server needs meta commands (memcached 1.6)
    #[arg(long)]
    pub(super) base64: bool,

    /// Print the result as a JSON object
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) client: ClientOptions,
}

/// A key and bytes for it.
#[derive(Debug, Clone, Args)]
pub(crate) struct ValueArgs {
    #[command(flatten)]
    key: KeyArgs,

    /// The value [default: all bytes of standard input]
    #[arg(value_name = "VALUE", allow_negative_numbers = true)]
    value: Option<OsString>,
}

/// A key, and an item for it.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    value: ValueArgs,

    /// Lifetime, as in 60, 30m or 24h; 0 is no limit
    #[arg(long, value_name = "SPAN", default_value = "0")]
    ttl: Span,

    /// A number that the server keeps with the value
    #[arg(long, value_name = "N", default_value_t = 0)]
    flags: u32,
}

/// A key and a lifetime.
#[derive(Debug, Clone, Args)]
pub(crate) struct TouchArgs {
    #[command(flatten)]
    key: KeyArgs,

    /// Lifetime from now, as in 60, 30m or 24h; 0 is no limit
    #[arg(long, value_name = "SPAN")]
    ttl: Span,
}

/// A key and a number.
#[derive(Debug, Clone, Args)]
pub(crate) struct CountArgs {
    #[command(flatten)]
    key: KeyArgs,

    /// The number
    #[arg(value_name = "BY", default_value_t = 1)]
    by: u64,
}

/// A request about one key.
#[derive(Debug)]
pub(super) enum Request {
    Get,
    Store {
        condition: Condition,
        item: Item,
        lifetime: Option<Duration>,
    },
    Extend {
        end: End,
        value: Vec<u8>,
    },
    Delete,
    Touch(Option<Duration>),
    Count {
        direction: Direction,
        by: u64,
    },
}

/// When an item is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    IfMissing,
    IfPresent,
}

/// The end of a value at which bytes are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Front,
    Back,
}

/// Whether a number grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
}

impl Verb {
    /// The command's name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Verb::Get(_) => "get",
            Verb::Set(_) => "set",
            Verb::Add(_) => "add",
            Verb::Replace(_) => "replace",
            Verb::Append(_) => "append",
            Verb::Prepend(_) => "prepend",
            Verb::Delete(_) => "delete",
            Verb::Touch(_) => "touch",
            Verb::Incr(_) => "incr",
            Verb::Decr(_) => "decr",
        }
    }

    /// The request, after its value has been read from standard input if it isn't an argument.
    pub(super) fn request(self) -> Result<(KeyArgs, Request), String> {
        Ok(match self {
            Verb::Get(key) => (key, Request::Get),
            Verb::Set(args) => args.request(Condition::Always)?,
            Verb::Add(args) => args.request(Condition::IfMissing)?,
            Verb::Replace(args) => args.request(Condition::IfPresent)?,
            Verb::Append(args) => args.request(End::Back)?,
            Verb::Prepend(args) => args.request(End::Front)?,
            Verb::Delete(key) => (key, Request::Delete),
            Verb::Touch(args) => (args.key, Request::Touch(args.ttl.off_if_zero())),
            Verb::Incr(args) => args.request(Direction::Up),
            Verb::Decr(args) => args.request(Direction::Down),
        })
    }
}

impl KeyArgs {
    /// The bytes of the key.
    pub(super) fn key(&self) -> Result<Vec<u8>, String> {
        let text = self.key.as_bytes();
        if !self.base64 {
            return Ok(text.to_vec());
        }
        let mut key = Vec::new();
        // The decoder skips foreign bytes, as memcached's does. Here they are a mistake.
        match base64::decode(text, &mut key) && encoded(&key).as_bytes() == text {
            true => Ok(key),
            false => Err(format!("{:?} is no base64", self.key)),
        }
    }
}

impl StoreArgs {
    fn request(self, condition: Condition) -> Result<(KeyArgs, Request), String> {
        let item = Item {
            value: self.value.bytes()?,
            flags: self.flags,
        };
        let lifetime = self.ttl.off_if_zero();
        let request = Request::Store {
            condition,
            item,
            lifetime,
        };
        Ok((self.value.key, request))
    }
}

impl ValueArgs {
    fn request(self, end: End) -> Result<(KeyArgs, Request), String> {
        let value = self.bytes()?;
        Ok((self.key, Request::Extend { end, value }))
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        match &self.value {
            Some(value) => Ok(value.as_bytes().to_vec()),
            None => read_value(io::stdin().lock(), VALUE_LIMIT),
        }
    }
}

impl CountArgs {
    fn request(self, direction: Direction) -> (KeyArgs, Request) {
        let by = self.by;
        (self.key, Request::Count { direction, by })
    }
}

/// All bytes, but no more than a server could take.
fn read_value(from: impl Read, limit: usize) -> Result<Vec<u8>, String> {
    let mut value = Vec::new();
    let most = u64::try_from(limit).map_or(u64::MAX, |limit| limit.saturating_add(1));
    let read = from.take(most).read_to_end(&mut value);
    read.map_err(|error| format!("standard input can't be read: {error}"))?;
    match value.len() > limit {
        true => Err(format!("the value has more than {limit} bytes")),
        false => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_up_to_the_limit() {
        assert_eq!(read_value(&b"abc\n"[..], 4), Ok(b"abc\n".to_vec()));
        let problem = read_value(io::repeat(b'x'), 4).expect_err("it never ends");
        assert!(problem.contains("more than 4 bytes"), "{problem}");
    }
}
