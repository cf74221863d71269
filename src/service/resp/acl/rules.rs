//! The rules of ACL SETUSER and of the file: one word each, applied to a user one after the other.
//!
//! The words, their order of precedence and the errors are those of Redis 7.0.

use super::passwords::Passwords;
use super::permissions::{CommandSet, KeyPattern, Permissions};
use super::user::User;
use crate::protocol::framing::request::is_known;
use crate::service::resp::categories::categories;
use crate::service::resp::table::{CommandEntry, CommandSpec, table};
use crate::service::secret::PasswordHash;

/// The names of all categories, in Redis's order. Some have no command in larder.
pub(super) const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// The reason why a rule is refused, in Redis's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleError {
    UnknownCommand,
    Syntax,
    KeyAfterAllKeys,
    ChannelAfterAllChannels,
    NoSuchPassword,
    BadHash,
    FirstArgumentOfSubcommand,
}

impl RuleError {
    pub(super) fn text(self) -> &'static str {
        match self {
            RuleError::UnknownCommand => "Unknown command or category name in ACL",
            RuleError::Syntax => "Syntax error",
            RuleError::KeyAfterAllKeys => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any \
                 effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::ChannelAfterAllChannels => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any \
                 effect. Try 'resetchannels' to start with an empty list of channels"
            }
            RuleError::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            RuleError::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            RuleError::FirstArgumentOfSubcommand => {
                "Allowing first-arg of a subcommand is not supported"
            }
        }
    }
}

/// Joins the words of permissions in parentheses: `(+get ~a*)` may come as several. The error is the word with the
/// parenthesis that is not closed.
pub(super) fn join<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, &'a [u8]> {
    let mut rules: Vec<Vec<u8>> = Vec::new();
    let mut open: Option<&[u8]> = None;
    for word in words {
        match (open, rules.last_mut()) {
            (Some(_), Some(rule)) => {
                rule.push(b' ');
                rule.extend_from_slice(word);
            }
            _ => rules.push(word.to_vec()),
        }
        if open.is_some() || word.starts_with(b"(") {
            let first = open.unwrap_or(word);
            open = (!word.ends_with(b")")).then_some(first);
        }
    }
    open.map_or(Ok(rules), Err)
}

/// Applies a rule to a user.
pub(super) fn apply(user: &mut User, rule: &[u8]) -> Result<(), RuleError> {
    match (&rule.to_ascii_lowercase()[..], rule) {
        (b"", _) => {}
        (b"on", _) => user.enabled = true,
        (b"off", _) => user.enabled = false,
        (b"sanitize-payload", _) => user.sanitize = Some(true),
        (b"skip-sanitize-payload", _) => user.sanitize = Some(false),
        (b"nopass", _) => user.passwords = Passwords::any(),
        (b"resetpass", _) => user.passwords = Passwords::default(),
        (b"reset", _) => {
            *user = User {
                sanitize: Some(true),
                ..User::new(&user.name)
            }
        }
        (b"clearselectors", _) => user.permissions.truncate(1),
        (_, [b'>', password @ ..]) => user.passwords.add(PasswordHash::of(password)),
        (_, [b'#', hash @ ..]) => user.passwords.add(read_hash(hash)?),
        (_, [b'<', password @ ..]) => remove(user, PasswordHash::of(password))?,
        (_, [b'!', hash @ ..]) => remove(user, read_hash(hash)?)?,
        (_, [b'(', rules @ .., b')']) => {
            let mut permissions = Permissions::none();
            for rule in rules.split(|byte| byte.is_ascii_whitespace()) {
                if !rule.is_empty() {
                    apply_permission(&mut permissions, rule)?;
                }
            }
            user.permissions.push(permissions);
        }
        _ => apply_permission(user.own_permissions(), rule)?,
    }
    Ok(())
}

fn read_hash(digits: &[u8]) -> Result<PasswordHash, RuleError> {
    PasswordHash::from_hex(digits).ok_or(RuleError::BadHash)
}

fn remove(user: &mut User, hash: PasswordHash) -> Result<(), RuleError> {
    let removed = user.passwords.remove(hash);
    removed.then_some(()).ok_or(RuleError::NoSuchPassword)
}

/// Applies a rule about commands, keys or channels.
pub(super) fn apply_permission(to: &mut Permissions, rule: &[u8]) -> Result<(), RuleError> {
    match (&rule.to_ascii_lowercase()[..], rule) {
        (b"allkeys" | b"~*", _) => set_all_keys(to, true),
        (b"resetkeys", _) => set_all_keys(to, false),
        (b"allchannels" | b"&*", _) => set_all_channels(to, true),
        (b"resetchannels", _) => set_all_channels(to, false),
        (b"allcommands" | b"+@all", _) => set_all_commands(to, true),
        (b"nocommands" | b"-@all", _) => set_all_commands(to, false),
        (_, [b'~' | b'%', ..]) => add_key_pattern(to, rule)?,
        (_, [b'&', pattern @ ..]) => {
            if to.all_channels {
                return Err(RuleError::ChannelAfterAllChannels);
            }
            check_pattern(pattern)?;
            if !to.channels.iter().any(|one| **one == *pattern) {
                to.channels.push(pattern.into());
            }
        }
        (_, [sign @ (b'+' | b'-'), b'@', category @ ..]) => {
            set_category(to, category, *sign == b'+')?;
        }
        (_, [b'+', name @ ..]) => allow(to, name)?,
        (_, [b'-', name @ ..]) => match find(name) {
            Ok(entry) => set_command(to, entry, false),
            Err(_) => set_absent(to, name, false)?,
        },
        _ => return Err(RuleError::Syntax),
    }
    Ok(())
}

fn set_all_keys(to: &mut Permissions, all: bool) {
    to.all_keys = all;
    to.keys.clear();
}

fn set_all_channels(to: &mut Permissions, all: bool) {
    to.all_channels = all;
    to.channels.clear();
}

pub(super) fn set_all_commands(to: &mut Permissions, all: bool) {
    to.all_commands = all;
    to.commands = if all {
        CommandSet::ALL
    } else {
        CommandSet::NONE
    };
    to.first_arguments.clear();
    to.absent_commands.clear();
}

/// `~PATTERN`, `%R~PATTERN`, `%W~PATTERN` or `%RW~PATTERN`.
fn add_key_pattern(to: &mut Permissions, rule: &[u8]) -> Result<(), RuleError> {
    if to.all_keys {
        return Err(RuleError::KeyAfterAllKeys);
    }
    let (read, write, pattern) = match rule {
        [b'~', pattern @ ..] => (true, true, pattern),
        _ => {
            let end = rule.iter().position(|&byte| byte == b'~');
            // As in Redis, the pattern may be missing, and then it matches only the key without a name.
            let letters = rule[1..end.unwrap_or(rule.len())].to_ascii_lowercase();
            let (read, write) = match &letters[..] {
                b"" => (false, false),
                b"r" => (true, false),
                b"w" => (false, true),
                b"rw" | b"wr" => (true, true),
                _ => return Err(RuleError::Syntax),
            };
            if !read && !write {
                return Err(RuleError::Syntax);
            }
            (read, write, end.map_or(&b""[..], |end| &rule[end + 1..]))
        }
    };
    check_pattern(pattern)?;
    match to.keys.iter_mut().find(|one| *one.pattern == *pattern) {
        Some(old) => (old.read, old.write) = (old.read || read, old.write || write),
        None => to.keys.push(KeyPattern {
            pattern: pattern.into(),
            read,
            write,
        }),
    }
    Ok(())
}

fn check_pattern(pattern: &[u8]) -> Result<(), RuleError> {
    match has_spaces(pattern) {
        true => Err(RuleError::Syntax),
        false => Ok(()),
    }
}

/// Whether a word could not be written into the file and read again.
pub(super) fn has_spaces(word: &[u8]) -> bool {
    let is_space = |byte: &u8| matches!(byte, b'\t'..=b'\r' | b' ' | 0);
    word.iter().any(is_space)
}

/// `COMMAND`, `COMMAND|SUBCOMMAND`, or `COMMAND|ARGUMENT` for a command without subcommands.
fn allow(to: &mut Permissions, name: &[u8]) -> Result<(), RuleError> {
    let Some(bar) = memchr::memrchr(b'|', name) else {
        return match find(name) {
            Ok(entry) => {
                set_command(to, entry, true);
                Ok(())
            }
            Err(_) => set_absent(to, name, true),
        };
    };
    let Ok(command) = find(&name[..bar]) else {
        return set_absent(to, name, true);
    };
    let argument = &name[bar + 1..];
    if command.name.contains('|') {
        return Err(RuleError::FirstArgumentOfSubcommand);
    }
    if argument.is_empty() {
        return Err(RuleError::Syntax);
    }
    if !command.subcommands.is_empty() {
        set_command(to, find(name)?, true);
        return Ok(());
    }
    let arguments = to.first_arguments.entry(command.number).or_default();
    if !arguments
        .iter()
        .any(|one| one.eq_ignore_ascii_case(argument))
    {
        arguments.push(argument.into());
    }
    Ok(())
}

fn find(name: &[u8]) -> Result<&'static CommandEntry, RuleError> {
    table().by_full_name(name).ok_or(RuleError::UnknownCommand)
}

/// Notes a rule about a command of Redis that larder doesn't have, or about a subcommand or an argument of one.
fn set_absent(to: &mut Permissions, name: &[u8], allowed: bool) -> Result<(), RuleError> {
    let name = name.to_ascii_lowercase();
    let mut words = name.split(|byte| *byte == b'|');
    let command = words.next().unwrap_or_default();
    if find(command).is_ok() || !is_known(command, None) {
        return Err(RuleError::UnknownCommand);
    }
    match (words.next(), words.next()) {
        (Some(b""), _) => return Err(RuleError::Syntax),
        (_, Some(_)) => return Err(RuleError::UnknownCommand),
        _ => {}
    }
    to.all_commands &= allowed;
    let below = [command, b"|"].concat();
    let is_whole = name == command;
    to.absent_commands
        .retain(|(one, _)| **one != name[..] && !(is_whole && one.starts_with(&below)));
    // Without a rule it is as commands of later versions.
    if !is_whole || allowed != to.commands.has_future_commands() {
        to.absent_commands.push((name.into(), allowed));
    }
    Ok(())
}

/// Allows or forbids a command and its subcommands.
pub(super) fn set_command(to: &mut Permissions, entry: &CommandEntry, allowed: bool) {
    to.all_commands &= allowed;
    to.commands.set(entry.number, allowed);
    to.first_arguments.remove(&entry.number);
    for subcommand in table().subcommands(entry) {
        to.commands.set(subcommand.number, allowed);
    }
}

/// Allows or forbids a category.
pub(super) fn set_category(
    to: &mut Permissions,
    category: &[u8],
    allowed: bool,
) -> Result<(), RuleError> {
    let known = |name: &&&str| category.eq_ignore_ascii_case(name.as_bytes());
    let category = CATEGORIES
        .iter()
        .find(known)
        .ok_or(RuleError::UnknownCommand)?;
    for entry in table().all() {
        if is_in(entry.command, category) {
            set_command(to, entry, allowed);
        }
    }
    // The categories of commands that larder doesn't have are not known. None may be allowed that this forbids.
    to.absent_commands.retain(|(_, one)| allowed || !one);
    Ok(())
}

/// Whether a command belongs to a category.
pub(super) fn is_in(command: &CommandSpec, category: &str) -> bool {
    categories(command).iter().any(|one| one[1..] == *category)
}
