//! The categories of commands in Redis's access control. They follow from a command's entry in the table.

use super::table::{ADMIN, CONNECTION, CommandSpec, DANGEROUS, FAST, READONLY, WRITE};

/// The categories of Redis's access control, which clients use to tell reads from writes. They
/// begin with an `@`.
pub(crate) fn categories(command: &CommandSpec) -> Vec<&'static str> {
    let mut categories = Vec::new();
    // A container belongs to no group itself.
    let group = match command.subcommands {
        [] => command.group,
        _ => "",
    };
    if group == "generic"
        || group == "server" && command.is(WRITE | READONLY) && command.keys.0 == 0
    {
        categories.push("@keyspace");
    }
    categories.extend(named(command, &[(READONLY, "@read"), (WRITE, "@write")]));
    match group {
        "string" => categories.push("@string"),
        "hash" => categories.push("@hash"),
        _ => {}
    }
    categories.extend(named(command, &[(ADMIN, "@admin")]));
    categories.push(if command.is(FAST) { "@fast" } else { "@slow" });
    categories.extend(named(command, &[(DANGEROUS, "@dangerous")]));
    match group {
        _ if command.is(CONNECTION) => categories.push("@connection"),
        "connection" => categories.push("@connection"),
        "transactions" => categories.push("@transaction"),
        _ => {}
    }
    categories
}

/// The names of those flags that a command has.
pub(crate) fn named(command: &CommandSpec, names: &[(u32, &'static str)]) -> Vec<&'static str> {
    let has = |(flag, name): &(u32, &'static str)| command.is(*flag).then_some(*name);
    names.iter().filter_map(has).collect()
}
