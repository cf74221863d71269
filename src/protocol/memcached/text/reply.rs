//! Replies, as bytes appended to the output. The texts are memcached 1.6.45's.

use super::words::Words;

/// No such command, or not as many words as it takes.
pub const ERROR: &[u8] = b"ERROR\r\n";
/// A key that is too long, or a field that is not a number.
pub(crate) const BAD_FORMAT: &[u8] = b"CLIENT_ERROR bad command line format\r\n";
/// No `\r\n` after a value.
pub const BAD_DATA_CHUNK: &[u8] = b"CLIENT_ERROR bad data chunk\r\n";
/// An expiration time that is not a number.
pub(crate) const BAD_EXPTIME: &[u8] = b"CLIENT_ERROR invalid exptime argument\r\n";
/// The amount of an `incr` or `decr` is not a number.
pub(crate) const BAD_DELTA: &[u8] = b"CLIENT_ERROR invalid numeric delta argument\r\n";
/// The value under an `incr` or `decr` is not a number.
pub const NON_NUMERIC: &[u8] = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
/// An item over the item size.
pub const TOO_LARGE: &[u8] = b"SERVER_ERROR object too large for cache\r\n";
/// No room could be made for an item.
pub const OUT_OF_MEMORY_STORING: &[u8] = b"SERVER_ERROR out of memory storing object\r\n";
/// No room could be made for a longer number, or for the result of a meta command without a value.
pub const OUT_OF_MEMORY: &[u8] = b"SERVER_ERROR out of memory\r\n";
/// No room could be made for a number that `ma` was to begin.
pub(crate) const OUT_OF_MEMORY_ALLOCATING: &[u8] =
    b"SERVER_ERROR Out of memory allocating new item\r\n";
/// The amount of memory that `cache_memlimit` names is too small.
pub const MEMLIMIT_TOO_SMALL: &[u8] = b"MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n";
/// The amount of memory that `cache_memlimit` names is more than any machine has.
pub const MEMLIMIT_NOT_BYTES: &[u8] =
    b"MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n";
/// A class that `lru_crawler` can't have.
pub const BAD_CLASS: &[u8] = b"BADCLASS invalid class id\r\n";
/// A class that `stats cachedump` can't have.
pub const ILLEGAL_CLASS: &[u8] = b"CLIENT_ERROR Illegal slab id\r\n";
/// `stats cachedump` without its two numbers.
pub const BAD_LINE: &[u8] = b"CLIENT_ERROR bad command line\r\n";
/// A `get` line over [`GET_LINE_LIMIT`](super::GET_LINE_LIMIT).
pub(crate) const OUT_OF_MEMORY_READING: &[u8] = b"SERVER_ERROR out of memory reading request\r\n";
/// A list of children that is too long for one answer; larder's own.
pub(crate) const LISTING_TOO_LARGE: &[u8] = b"SERVER_ERROR too many children to list\r\n";
/// `stats detail` without an order that exists.
pub const DETAIL_USAGE: &[u8] = b"CLIENT_ERROR usage: stats detail on|off|dump\r\n";
/// `refresh_certs`, when a file can't be used.
pub(crate) const CERTIFICATES_STAY: &[u8] =
    b"SERVER_ERROR the certificates can't be used, the old ones stay; see the log\r\n";
/// `shutdown`, which memcached must be started with an option to obey.
pub const SHUTDOWN_DISABLED: &[u8] = b"SERVER_ERROR: shutdown not enabled\r\n";
/// `shutdown` with another word than `graceful`.
pub(crate) const BAD_SHUTDOWN_MODE: &[u8] = b"CLIENT_ERROR invalid shutdown mode\r\n";
/// `flush_all` where clients may not remove all items.
pub const FLUSH_DISABLED: &[u8] = b"CLIENT_ERROR flush_all not allowed\r\n";
/// `watch` where clients may not see what others do.
pub const WATCH_DISABLED: &[u8] = b"CLIENT_ERROR watch commands not allowed\r\n";
/// `watch` behind another command whose answer has not been sent.
pub const WATCH_IS_PIPELINED: &[u8] = b"ERROR cannot pipeline other commands before watch\r\n";
/// `watch` when as many clients watch as may.
pub const TOO_MANY_WATCHERS: &[u8] = b"WATCHER_TOO_MANY log watcher limit reached\r\n";
/// One connection too many; the connection is then closed.
pub const TOO_MANY_CONNECTIONS: &[u8] = b"ERROR Too many open connections\r\n";

/// A meta command with more than 20 words.
pub(crate) const TOO_MANY_FLAGS: &[u8] = b"CLIENT_ERROR options flags are too long\r\n";
/// A flag of a meta command that is there twice.
pub(crate) const DUPLICATE_FLAG: &[u8] = b"CLIENT_ERROR duplicate flag\r\n";
/// No such flag of meta commands.
pub(crate) const INVALID_FLAG: &[u8] = b"CLIENT_ERROR invalid flag\r\n";
/// The token of a flag is not a number.
pub(crate) const BAD_TOKEN: &[u8] = b"CLIENT_ERROR bad token in command line format\r\n";
/// A key of a meta command is not base64.
pub(crate) const BAD_KEY: &[u8] = b"CLIENT_ERROR error decoding key\r\n";
/// The opaque of a meta command is too long.
pub(crate) const OPAQUE_TOO_LONG: &[u8] = b"CLIENT_ERROR opaque token too long\r\n";
/// The initial number of `ma` is not a number; no client sees this one.
pub(crate) const BAD_META_INITIAL: &[u8] = b"CLIENT_ERROR invalid numeric initial value\r\n";
/// The delta of `ma` is not a number; no client sees this one.
pub(crate) const BAD_META_DELTA: &[u8] = b"CLIENT_ERROR invalid numeric delta value\r\n";
/// Any bad flag of `ma`.
pub(crate) const BAD_META_ARITHMETIC: &[u8] = b"CLIENT_ERROR invalid or duplicate flag\r\n";
/// No such mode of `ma`.
pub(crate) const BAD_META_ARITHMETIC_MODE: &[u8] = b"CLIENT_ERROR invalid mode for ma M token\r\n";
/// No such mode of `ms`.
pub(crate) const BAD_META_SET_MODE: &[u8] = b"CLIENT_ERROR invalid mode for ms M token\r\n";

/// A value was stored.
pub const STORED: &[u8] = b"STORED\r\n";
/// A condition of the command did not hold.
pub const NOT_STORED: &[u8] = b"NOT_STORED\r\n";
/// The item of a `cas` has changed.
pub const EXISTS: &[u8] = b"EXISTS\r\n";
/// No item has this key.
pub const NOT_FOUND: &[u8] = b"NOT_FOUND\r\n";
/// The item was deleted.
pub const DELETED: &[u8] = b"DELETED\r\n";
/// The item has its new expiration time.
pub const TOUCHED: &[u8] = b"TOUCHED\r\n";
/// Done.
pub const OK: &[u8] = b"OK\r\n";
/// The counters were set to zero.
pub const RESET: &[u8] = b"RESET\r\n";
/// The end of a list of values or of statistics.
pub const END: &[u8] = b"END\r\n";
/// The end of a list of `lru_crawler mgdump`.
pub const META_END: &[u8] = b"EN\r\n";
/// The version: of memcached, whose commands these are, and of larder behind it.
///
/// No client that we know chooses features by it. libmemcached reads three numbers of at most 255 and refuses a version that
/// begins with 0; pylibmc and php-memcached show the numbers to programs, which may compare them, so they are memcached's own.
/// Dalli asks for the version to see that a new connection works. pymemcache and spymemcached hand the text on. meta-memcache is
/// told in its settings which server there is. python-memcached, python-binary-memcached, memjs, Keyv and dogpile.cache don't ask.
pub const VERSION_NUMBER: &str = concat!("1.6.45-larder-", env!("CARGO_PKG_VERSION"));
/// The answer to `version`.
pub const VERSION: &[u8] =
    concat!("VERSION 1.6.45-larder-", env!("CARGO_PKG_VERSION"), "\r\n").as_bytes();
/// The answer to `mn`.
pub const META_NOOP: &[u8] = b"MN\r\n";

/// `VALUE <path> <flags> <bytes> [<cas unique>]`, the value, and its `\r\n`.
pub fn value(out: &mut Vec<u8>, path: Words<'_>, flags: u32, value: &[u8], unique: Option<u64>) {
    let key = path.as_bytes();
    out.reserve(key.len() + value.len() + 64);
    value_line(out, path, flags, value.len(), unique);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The line before a value of `length` bytes.
pub(crate) fn value_line(
    out: &mut Vec<u8>,
    path: Words<'_>,
    flags: u32,
    length: usize,
    unique: Option<u64>,
) {
    out.extend_from_slice(b"VALUE ");
    words(out, path);
    out.push(b' ');
    decimal(out, u64::from(flags));
    out.push(b' ');
    decimal(out, length as u64);
    if let Some(unique) = unique {
        out.push(b' ');
        decimal(out, unique);
    }
    out.extend_from_slice(b"\r\n");
}

/// A number on a line of its own: the answer to `incr` and `decr`.
pub fn number(out: &mut Vec<u8>, number: u64) {
    decimal(out, number);
    out.extend_from_slice(b"\r\n");
}

/// `STAT <name> <value>`.
pub fn stat(out: &mut Vec<u8>, name: &str, value: impl std::fmt::Display) {
    use std::io::Write;
    // Writing to a Vec can't fail.
    let _ = write!(out, "STAT {name} {value}\r\n");
}

/// Words with one space between them, for any number of spaces in the line.
fn words(out: &mut Vec<u8>, words: Words<'_>) {
    if let Some(word) = words.single() {
        out.extend_from_slice(word);
        return;
    }
    for (index, word) in words.enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

fn decimal(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
