//! The settings that CONFIG reads and sets: their names, where they are kept, and which values they take.
//!
//! A setting is in one place (the store, the set of connections, the users), and this table has the functions that read and
//! change it there. To add one: an entry in [`PARAMETERS`], and a transcript.

use std::sync::atomic::Ordering::Relaxed;

use super::service_state::{MAX_BULK, MAXMEMORY_POLICIES, ServiceState};
use crate::protocol::resp::parse_integer;
use crate::server::limits::LEAST_REPLY_MEMORY;
use crate::service::secret::Secret;
use crate::store::{DATABASES, WhenFull};

/// The behaviours that [`MAXMEMORY_POLICIES`] name.
const POLICIES: [WhenFull; 2] = [WhenFull::Refuse, WhenFull::Evict];

/// One setting.
pub(super) struct ConfigParameter {
    pub(super) name: &'static str,
    pub(super) get: fn(&ServiceState) -> Vec<u8>,
    /// `None` for a setting that is fixed at the start.
    pub(super) set: Option<Settable>,
}

/// The rules for setting a value.
pub(super) enum Settable {
    Number(SettableNumber),
    Word(SettableWord),
    /// A number that the system may not allow; the error is the reason.
    Limited {
        number: SettableNumber,
        allows: fn(&ServiceState, i64) -> Result<(), String>,
    },
    /// `yes` or `no`.
    Switch(fn(&ServiceState, bool)),
    /// Any text that the first function accepts; its error is the reason.
    List {
        check: fn(&[u8]) -> Result<(), &'static str>,
        apply: fn(&ServiceState, &[u8]),
    },
    /// Any text. It is a secret, so it is not logged.
    Text(fn(&ServiceState, &[u8])),
}

/// The rules for setting one of several words.
pub(super) struct SettableWord {
    pub(super) words: &'static [&'static str],
    /// Gets the position of the word.
    pub(super) apply: fn(&ServiceState, usize),
}

/// The rules for setting a number.
pub(super) struct SettableNumber {
    /// Whether it may be written as `100mb`.
    bytes: bool,
    least: i64,
    most: i64,
    pub(super) apply: fn(&ServiceState, i64),
}

/// Every setting.
pub(super) const PARAMETERS: &[ConfigParameter] = &[
    ConfigParameter {
        name: "maxmemory",
        get: |shared| shared.store.memory().to_string().into(),
        set: Some(Settable::Number(SettableNumber {
            bytes: true,
            // Redis's 0 means no bound at all, which larder doesn't offer.
            least: 1 << 20,
            most: i64::MAX,
            apply: |shared, bytes| shared.store.set_memory(bytes as u64),
        })),
    },
    ConfigParameter {
        name: "maxmemory-policy",
        get: |shared| shared.maxmemory_policy().into(),
        set: Some(Settable::Word(SettableWord {
            words: &MAXMEMORY_POLICIES,
            apply: |shared, word| shared.store.set_when_full(POLICIES[word]),
        })),
    },
    ConfigParameter {
        name: "proto-max-bulk-len",
        get: |shared| shared.max_bulk().to_string().into(),
        set: Some(Settable::Number(SettableNumber {
            bytes: true,
            least: 1024,
            most: MAX_BULK,
            apply: |shared, bytes| shared.store.set_max_item_size(bytes as usize),
        })),
    },
    ConfigParameter {
        name: "maxclients",
        get: |shared| shared.connections.max().to_string().into(),
        set: Some(Settable::Limited {
            number: SettableNumber {
                bytes: false,
                least: 1,
                most: u32::MAX as i64,
                apply: |shared, clients| shared.connections.set_max(clients as usize),
            },
            allows: |shared, clients| {
                let raised = shared.connections.raise_open_files(clients as usize);
                raised.map_err(|possible| {
                    format!(
                        "The operating system is not able to handle the specified number of clients, try with {possible}"
                    )
                })
            },
        }),
    },
    ConfigParameter {
        // Redis's bound for the buffers of all clients, at which it closes the largest.
        name: "maxmemory-clients",
        get: |shared| shared.connections.max_reply_memory().to_string().into(),
        set: Some(Settable::Number(SettableNumber {
            bytes: true,
            least: LEAST_REPLY_MEMORY as i64,
            most: i64::MAX,
            apply: |shared, bytes| shared.connections.set_max_reply_memory(bytes as usize),
        })),
    },
    ConfigParameter {
        name: "latency-tracking",
        get: |shared| yes_or_no(shared.statistics.tracks_latency.load(Relaxed)).into(),
        set: Some(Settable::Switch(|shared, on| {
            shared.statistics.tracks_latency.store(on, Relaxed);
        })),
    },
    ConfigParameter {
        name: "latency-tracking-info-percentiles",
        get: |shared| {
            let percentiles = shared.statistics.percentiles();
            let shown: Vec<_> = percentiles.iter().map(f64::to_string).collect();
            shown.join(" ").into()
        },
        set: Some(Settable::List {
            check: |text| parse_percentiles(text).map(|_| ()),
            apply: |shared, text| {
                let percentiles = parse_percentiles(text).unwrap_or_default();
                shared.statistics.set_percentiles(percentiles);
            },
        }),
    },
    ConfigParameter {
        name: "latency-monitor-threshold",
        get: |shared| shared.slow_log().latency().threshold().to_string().into(),
        set: Some(Settable::Number(SettableNumber {
            bytes: false,
            least: 0,
            most: i64::MAX,
            apply: |shared, milliseconds| shared.slow_log().set_latency_threshold(milliseconds),
        })),
    },
    ConfigParameter {
        name: "slowlog-log-slower-than",
        get: |shared| shared.slow_log().slower_than().to_string().into(),
        set: Some(Settable::Number(SettableNumber {
            bytes: false,
            least: -1,
            most: i64::MAX,
            apply: |shared, microseconds| shared.slow_log().set_slower_than(microseconds),
        })),
    },
    ConfigParameter {
        name: "slowlog-max-len",
        get: |shared| shared.slow_log().max_len().to_string().into(),
        set: Some(Settable::Number(SettableNumber {
            bytes: false,
            least: 0,
            most: i64::MAX,
            apply: |shared, entries| shared.slow_log().set_max_len(entries.unsigned_abs()),
        })),
    },
    ConfigParameter {
        name: "timeout",
        get: |shared| shared.settings.idle_timeout.as_secs().to_string().into(),
        set: None,
    },
    ConfigParameter {
        name: "databases",
        get: |_| DATABASES.to_string().into(),
        set: None,
    },
    ConfigParameter {
        name: "requirepass",
        get: |shared| {
            let password = shared.users.default_password();
            password.map_or(Vec::new(), |password| password.expose().to_vec())
        },
        set: Some(Settable::Text(|shared, text| {
            let password = (!text.is_empty()).then(|| Secret::from(text));
            shared.users.set_default_password(password);
        })),
    },
    ConfigParameter {
        name: "client-query-buffer-limit",
        get: |shared| shared.max_request().to_string().into(),
        set: None,
    },
    ConfigParameter {
        name: "client-output-buffer-limit",
        get: |shared| format!("normal {} 0 0", shared.max_reply()).into(),
        set: None,
    },
    // larder writes snapshots by its own settings; redis-benchmark and others read these.
    ConfigParameter {
        name: "save",
        get: |_| Vec::new(),
        set: None,
    },
    ConfigParameter {
        name: "appendonly",
        get: |_| "no".to_owned().into(),
        set: None,
    },
];

impl SettableWord {
    /// The position of the word that `value` is, in any letter case.
    pub(super) fn check(&self, value: &[u8]) -> Result<usize, String> {
        let is = |word: &&'static str| word.as_bytes().eq_ignore_ascii_case(value);
        let words = self.words.join(", ");
        let wrong = || format!("argument(s) must be one of the following: {words}");
        self.words.iter().position(is).ok_or_else(wrong)
    }
}

impl SettableNumber {
    /// The number that `value` spells, if it may be set.
    pub(super) fn check(&self, value: &[u8]) -> Result<i64, String> {
        let number = if self.bytes {
            parse_bytes(value).ok_or("argument must be a memory value")?
        } else {
            parse_integer(value).ok_or("argument couldn't be parsed into an integer")?
        };
        let (least, most) = (self.least, self.most);
        if (least..=most).contains(&number) {
            Ok(number)
        } else {
            Err(format!(
                "argument must be between {least} and {most} inclusive"
            ))
        }
    }
}

/// A number of bytes with one of Redis's units: `k` is 1000, `kb` is 1024.
fn parse_bytes(text: &[u8]) -> Option<i64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = text.split_at(digits);
    let factor: i64 = match &unit.to_ascii_lowercase()[..] {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    std::str::from_utf8(digits)
        .ok()?
        .parse::<i64>()
        .ok()?
        .checked_mul(factor)
}

fn yes_or_no(on: bool) -> &'static str {
    if on { "yes" } else { "no" }
}

/// Whether `value` means yes, or the reason why it is neither.
pub(super) fn parse_switch(value: &[u8]) -> Result<bool, &'static str> {
    match value {
        _ if value.eq_ignore_ascii_case(b"yes") => Ok(true),
        _ if value.eq_ignore_ascii_case(b"no") => Ok(false),
        _ => Err("argument must be 'yes' or 'no'"),
    }
}

/// Percentiles with a space between them.
fn parse_percentiles(text: &[u8]) -> Result<Vec<f64>, &'static str> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let parse = |word: &[u8]| {
        let number = std::str::from_utf8(word).ok()?.parse::<f64>().ok()?;
        (!number.is_nan()).then_some(number)
    };
    let numbers = text.split(|byte| *byte == b' ').map(parse);
    let Some(percentiles) = numbers.collect::<Option<Vec<_>>>() else {
        return Err("Invalid latency-tracking-info-percentiles parameters");
    };
    if percentiles.iter().all(|one| (0.0..=100.0).contains(one)) {
        return Ok(percentiles);
    }
    Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
}
