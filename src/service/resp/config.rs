//! CONFIG: the server's settings under Redis's names; some can be changed while it runs.
//!
//! It has only settings that larder has. A changeable value is kept in one place (the store, the set of
//! connections), so there is no second copy that could differ. As in Redis, CONFIG SET checks all its
//! pairs before it applies the first.

use super::command_docs::help;
use super::context::Context;
use super::errors;
use super::glob;
use super::service_state::{MAX_BULK, MAXMEMORY_POLICIES, ServiceState};
use super::table::{ADMIN, CommandSpec, DANGEROUS};
use crate::protocol::resp::parse_integer;
use crate::server::limits::LEAST_REPLY_MEMORY;
use crate::service::secret::Secret;
use crate::store::{DATABASES, WhenFull};

const GROUP: &str = "server";

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec::new("config", -2, 0, help)
    .docs(
        GROUP,
        "2.0.0",
        "",
        "A container for commands about settings.",
    )
    .subcommands(&[
        CommandSpec::new("get", -3, ADMIN | DANGEROUS, get).docs(
            GROUP,
            "2.0.0",
            "parameter [parameter ...]",
            "Returns the settings whose names match.",
        ),
        CommandSpec::new("help", 2, 0, help).docs(GROUP, "5.0.0", "", "Shows this list."),
        CommandSpec::new("resetstat", 2, ADMIN | DANGEROUS, resetstat).docs(
            GROUP,
            "2.0.0",
            "",
            "Resets the counters.",
        ),
        CommandSpec::new("rewrite", 2, ADMIN | DANGEROUS, rewrite).docs(
            GROUP,
            "2.8.0",
            "",
            "Answers an error: larder doesn't write its configuration file.",
        ),
        CommandSpec::new("set", -4, ADMIN | DANGEROUS, set).docs(
            GROUP,
            "2.0.0",
            "parameter value [parameter value ...]",
            "Changes settings until the server ends.",
        ),
    ])];

/// The behaviours that [`MAXMEMORY_POLICIES`] name.
const POLICIES: [WhenFull; 2] = [WhenFull::Refuse, WhenFull::Evict];

/// One setting.
struct ConfigParameter {
    name: &'static str,
    get: fn(&ServiceState) -> Vec<u8>,
    /// `None` for a setting that is fixed at the start.
    set: Option<Settable>,
}

/// The rules for setting a value.
enum Settable {
    Number(SettableNumber),
    Word(SettableWord),
    /// Any text. It is a secret, so it is not logged.
    Text(fn(&ServiceState, &[u8])),
}

/// The rules for setting one of several words.
struct SettableWord {
    words: &'static [&'static str],
    /// Gets the position of the word.
    apply: fn(&ServiceState, usize),
}

/// The rules for setting a number.
struct SettableNumber {
    /// Whether it may be written as `100mb`.
    bytes: bool,
    least: i64,
    most: i64,
    apply: fn(&ServiceState, i64),
}

const PARAMETERS: &[ConfigParameter] = &[
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
        set: Some(Settable::Number(SettableNumber {
            bytes: false,
            least: 1,
            most: u32::MAX as i64,
            apply: |shared, clients| shared.connections.set_max(clients as usize),
        })),
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

fn get(ctx: &mut Context<'_>) {
    let patterns: Vec<_> = ctx
        .args
        .from(2)
        .iter()
        .map(<[u8]>::to_ascii_lowercase)
        .collect();
    let fits = |parameter: &&ConfigParameter| {
        let name = parameter.name.as_bytes();
        patterns.iter().any(|pattern| glob::matches(pattern, name))
    };
    let found: Vec<_> = PARAMETERS.iter().filter(fits).collect();
    ctx.reply.map(found.len());
    for parameter in found {
        ctx.reply.bulk(parameter.name.as_bytes());
        ctx.reply.bulk(&(parameter.get)(ctx.service));
    }
}

fn set(ctx: &mut Context<'_>) {
    let pairs = ctx.args.from(2);
    if pairs.len() % 2 == 1 {
        return ctx.reply.error(errors::SYNTAX);
    }
    let mut changes: Vec<(&ConfigParameter, Change<'_>)> = Vec::new();
    for at in (0..pairs.len()).step_by(2) {
        let (name, value) = (pairs.get(at), pairs.get(at + 1));
        let named =
            |parameter: &&ConfigParameter| parameter.name.as_bytes().eq_ignore_ascii_case(name);
        let Some(parameter) = PARAMETERS.iter().find(named) else {
            let text = [
                b"ERR Unknown option or number of arguments for CONFIG SET - '",
                name,
                b"'",
            ];
            return ctx.reply.error(text.concat());
        };
        let repeated = changes.iter().any(|change| change.0.name == parameter.name);
        let checked = match &parameter.set {
            None => Err("can't set immutable config".to_owned()),
            Some(_) if repeated => Err("duplicate parameter".to_owned()),
            Some(Settable::Text(apply)) => Ok(Change::Text(*apply, value)),
            Some(Settable::Word(set)) => {
                let value = set.check(value);
                value.map(|word| Change::Word(set, word))
            }
            Some(Settable::Number(set)) => {
                let value = set.check(value);
                value.map(|value| Change::Number(set.apply, value))
            }
        };
        match checked {
            Ok(change) => changes.push((parameter, change)),
            Err(why) => {
                return ctx.reply.error(format!(
                    "ERR CONFIG SET failed (possibly related to argument '{}') - {why}",
                    parameter.name
                ));
            }
        }
    }
    changes
        .iter()
        .for_each(|(parameter, change)| change.apply(ctx.service, parameter.name));
    // One of them may be the password.
    ctx.client.refresh_user(&ctx.service.users);
    ctx.reply.ok();
}

/// A change that CONFIG SET has checked.
enum Change<'a> {
    Number(fn(&ServiceState, i64), i64),
    Word(&'static SettableWord, usize),
    Text(fn(&ServiceState, &[u8]), &'a [u8]),
}

impl Change<'_> {
    fn apply(&self, service: &ServiceState, name: &str) {
        match self {
            Change::Number(apply, value) => {
                apply(service, *value);
                log::info!("{name} is {value} from now on, as a client asked");
            }
            Change::Word(set, word) => {
                (set.apply)(service, *word);
                let word = set.words[*word];
                log::info!("{name} is {word} from now on, as a client asked");
            }
            Change::Text(apply, text) => {
                apply(service, text);
                log::info!("{name} has changed, as a client asked");
            }
        }
    }
}

impl SettableWord {
    /// The position of the word that `value` is, in any letter case.
    fn check(&self, value: &[u8]) -> Result<usize, String> {
        let is = |word: &&'static str| word.as_bytes().eq_ignore_ascii_case(value);
        let words = self.words.join(", ");
        let wrong = || format!("argument(s) must be one of the following: {words}");
        self.words.iter().position(is).ok_or_else(wrong)
    }
}

impl SettableNumber {
    /// The number that `value` spells, if it may be set.
    fn check(&self, value: &[u8]) -> Result<i64, String> {
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

fn resetstat(ctx: &mut Context<'_>) {
    ctx.service.reset_counts();
    ctx.reply.ok();
}

fn rewrite(ctx: &mut Context<'_>) {
    ctx.reply
        .error("ERR The server is running without a config file");
}
