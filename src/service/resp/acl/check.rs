//! Whether a user may run a command with its arguments.

use super::permissions::Permissions;
use super::user::User;
use crate::protocol::resp::CommandArgs;
use crate::service::resp::command_keys::{has_keys, key_access, key_positions};
use crate::service::resp::glob;
use crate::service::resp::table::{CommandEntry, NO_AUTH};

/// The part of a command that a user may not use. The later one counts more, as in Redis, if no permissions allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Denied {
    Command,
    /// The position of the key among the arguments.
    Key(usize),
}

/// Checks a command. One set of permissions has to allow all of it.
pub(crate) fn check(
    user: &User,
    entry: &CommandEntry,
    args: CommandArgs<'_>,
) -> Result<(), Denied> {
    let mut denied = Denied::Command;
    for permissions in &user.permissions {
        match allows(permissions, entry, args) {
            Ok(()) => return Ok(()),
            Err(reason) => denied = denied.max(reason),
        }
    }
    Err(denied)
}

fn allows(
    permissions: &Permissions,
    entry: &CommandEntry,
    args: CommandArgs<'_>,
) -> Result<(), Denied> {
    let command = entry.command;
    let first = (args.len() > 1).then(|| args.get(1));
    if !command.is(NO_AUTH) && !permissions.allows_command(entry.number, first) {
        return Err(Denied::Command);
    }
    if permissions.all_keys || !has_keys(command) {
        return Ok(());
    }
    for key in key_positions(command, args) {
        let access = key_access(command, args, key);
        let needs = |words: &[&str]| access.split(' ').any(|word| words.contains(&word));
        let (reads, writes) = (needs(&["access"]), needs(&["insert", "delete", "update"]));
        let name = args.get(key);
        let allowed = permissions.keys.iter().any(|pattern| {
            (pattern.read || !reads)
                && (pattern.write || !writes)
                && glob::matches(&pattern.pattern, name)
        });
        if !allowed {
            return Err(Denied::Key(key));
        }
    }
    Ok(())
}
