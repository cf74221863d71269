//! The verbs about the server and the connection, such as `stats`, `flush_all` and `version`.

use super::fields::{BadLine, Nesting, ends_with_noreply};
use super::words::Words;
use super::{number, reply};

/// A command about the server or the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminCommand<'a> {
    /// `flush_all`.
    FlushAll {
        /// The time, as an exptime; 0 is now.
        delay: i32,
        /// Whether the command has `noreply`.
        noreply: bool,
    },
    /// `verbosity`.
    Verbosity {
        /// The level.
        level: u32,
        /// Whether the command has `noreply`.
        noreply: bool,
    },
    /// `stats`, with its words.
    Stats {
        /// The words after `stats`.
        words: Words<'a>,
    },
    /// `watch`, with its words.
    Watch {
        /// The words after `watch`.
        words: Words<'a>,
    },
    /// `lru_crawler`, with its words.
    LruCrawler {
        /// The words after `lru_crawler`.
        words: Words<'a>,
    },
    /// `cache_memlimit`.
    CacheMemlimit {
        /// The memory that items may take, in MiB; `None` if that is no number.
        mebibytes: Option<u32>,
        /// Whether the command has `noreply`.
        noreply: bool,
    },
    /// `refresh_certs`.
    RefreshCerts {
        /// Whether the command has `noreply`.
        noreply: bool,
    },
    /// `version`.
    Version,
    /// `quit`.
    Quit,
    /// `mn`.
    MetaNoop,
    /// `shutdown`, with any words.
    Shutdown,
}

pub(super) type Builder = for<'a> fn(Words<'a>, Nesting) -> Result<AdminCommand<'a>, BadLine>;

pub(super) const VERBS: &[(&str, Builder)] = &[
    ("flush_all", flush_all),
    ("stats", |words, _| Ok(AdminCommand::Stats { words })),
    ("watch", |words, _| Ok(AdminCommand::Watch { words })),
    ("lru_crawler", |words, _| {
        Ok(AdminCommand::LruCrawler { words })
    }),
    ("cache_memlimit", |mut words, _| {
        let noreply = ends_with_noreply(words);
        let mebibytes = words.next().and_then(number::strict_u32);
        Ok(AdminCommand::CacheMemlimit { mebibytes, noreply })
    }),
    ("refresh_certs", |words, _| {
        Ok(AdminCommand::RefreshCerts {
            noreply: ends_with_noreply(words),
        })
    }),
    ("version", |_, _| Ok(AdminCommand::Version)),
    ("verbosity", verbosity),
    ("quit", |_, _| Ok(AdminCommand::Quit)),
    ("mn", |_, _| Ok(AdminCommand::MetaNoop)),
    ("shutdown", |_, _| Ok(AdminCommand::Shutdown)),
];

fn flush_all(mut words: Words<'_>, _: Nesting) -> Result<AdminCommand<'_>, BadLine> {
    let noreply = ends_with_noreply(words);
    let count = words.count_up_to(3);
    if count > 2 {
        return Err(BadLine::too_many(words));
    }
    let delay = match words.next() {
        Some(delay) if count > usize::from(noreply) => {
            number::strict_i32(delay).ok_or(BadLine::unless(noreply, reply::BAD_EXPTIME))?
        }
        _ => 0,
    };
    Ok(AdminCommand::FlushAll { delay, noreply })
}

fn verbosity(mut words: Words<'_>, _: Nesting) -> Result<AdminCommand<'_>, BadLine> {
    match words.count_up_to(3) {
        0 => return Err(BadLine::malformed()),
        1 | 2 => {}
        _ => return Err(BadLine::too_many(words)),
    }
    let noreply = ends_with_noreply(words);
    let level = words.next().and_then(number::strict_u32);
    let level = level.ok_or(BadLine::unless(noreply, reply::BAD_FORMAT))?;
    Ok(AdminCommand::Verbosity { level, noreply })
}
