//! The error texts that more than one command answers, as Redis 7.0 words them.

use super::acl::Denied;
use crate::protocol::resp::CommandArgs;

pub(crate) const WRONGTYPE: &str =
    "WRONGTYPE Operation against a key holding the wrong kind of value";
pub(crate) const NOT_INTEGER: &str = "ERR value is not an integer or out of range";
pub(crate) const NOT_FLOAT: &str = "ERR value is not a valid float";
pub(crate) const SYNTAX: &str = "ERR syntax error";
pub(crate) const NO_SUCH_KEY: &str = "ERR no such key";
pub(crate) const OVERFLOW: &str = "ERR increment or decrement would overflow";
pub(crate) const NOT_FINITE: &str = "ERR increment would produce NaN or Infinity";
pub(crate) const SAME_OBJECT: &str = "ERR source and destination objects are the same";
pub(crate) const DB_INDEX: &str = "ERR DB index is out of range";
pub(crate) const TOO_LARGE: &str = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
pub(crate) const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";
pub(crate) const NOAUTH: &str = "NOAUTH Authentication required.";
pub(crate) const WRONGPASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";
pub(crate) const NO_KEY: &str =
    "NOPERM this user has no permissions to access one of the keys used as arguments";
pub(crate) const CLIENT_NAME: &str =
    "ERR Client names cannot contain spaces, newlines or special characters.";

/// The error for a name that is no command's, the arguments shown as far as Redis shows them.
#[cold]
pub(crate) fn unknown_command(args: CommandArgs<'_>) -> Vec<u8> {
    let mut text = b"ERR unknown command '".to_vec();
    text.extend(shown(&args[0], SHOWN));
    text.extend(b"', with args beginning with: ");
    let start = text.len();
    for arg in args.from(1).iter() {
        let room = SHOWN.saturating_sub(text.len() - start);
        if room == 0 {
            break;
        }
        text.push(b'\'');
        text.extend(shown(arg, room));
        text.extend(b"' ");
    }
    text
}

/// The error for a command that the user may not run.
pub(crate) fn no_command(name: &str) -> String {
    format!("NOPERM this user has no permissions to run the '{name}' command")
}

/// The error in EXEC's reply for a command that the user may not run any more.
pub(crate) fn rules_changed(denied: Denied) -> String {
    let reason = match denied {
        Denied::Command => "no permission to execute the command or subcommand",
        Denied::Key(_) => "no permission to touch the specified keys",
    };
    format!(
        "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command \
         is no longer allowed for the following reason: {reason}"
    )
}

/// The error for a container without this subcommand.
#[cold]
pub(crate) fn unknown_subcommand(container: &str, args: CommandArgs<'_>) -> Vec<u8> {
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend(shown(&args[1], SHOWN));
    text.extend(b"'. Try ");
    text.extend(container.to_ascii_uppercase().into_bytes());
    text.extend(b" HELP.");
    text
}

/// The error for a subcommand with a wrong number of arguments, of those that check it themselves.
#[cold]
pub(crate) fn wrong_subcommand(args: CommandArgs<'_>) -> Vec<u8> {
    let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
    text.extend(shown(&args[1], SHOWN));
    text.extend(b"'. Try ");
    text.extend(args[0].to_ascii_uppercase());
    text.extend(b" HELP.");
    text
}

/// Bytes of a client's words that an error repeats at most.
const SHOWN: usize = 128;

/// The first `room` bytes of a word, which ends at a NUL for Redis.
fn shown(word: &[u8], room: usize) -> &[u8] {
    let room = room.min(word.len());
    word[..room]
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default()
}
