//! Which arguments of a command are keys, and the access to each. Both follow from the command's entry in the table.

use super::table::CommandSpec;
use crate::protocol::resp::CommandArgs;

/// Whether any argument is a key.
pub(crate) fn has_keys(command: &CommandSpec) -> bool {
    let (first, _, step) = command.keys;
    first > 0 && step > 0
}

/// The positions of the keys among the arguments of a command that has keys, and takes so many arguments.
pub(crate) fn key_positions(
    command: &CommandSpec,
    args: CommandArgs<'_>,
) -> impl Iterator<Item = usize> + use<> {
    let (first, last, step) = command.keys;
    let last = if last < 0 {
        args.len() as i32 + last
    } else {
        last
    };
    (first..=last)
        .step_by(step as usize)
        .map(|key| key as usize)
}

/// The access to the key at a position, in the words of Redis's key specifications.
pub(crate) fn key_access(command: &CommandSpec, args: CommandArgs<'_>, key: usize) -> &'static str {
    match command.access {
        [access] if access.ends_with(VARIABLE_FLAGS) => set_access(args),
        [access] => access,
        access => access[key - command.keys.0 as usize],
    }
}

/// The end of SET's access, which depends on its options.
const VARIABLE_FLAGS: &str = "variable_flags";

/// SET's access to its key with these arguments.
fn set_access(args: CommandArgs<'_>) -> &'static str {
    let gets = |option: &[u8]| option.eq_ignore_ascii_case(b"get");
    if args.from(3).iter().any(gets) {
        "RW access update"
    } else {
        "OW update"
    }
}
