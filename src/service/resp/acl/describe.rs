//! Users as rules again: ACL LIST, ACL GETUSER and the file.
//!
//! As in Redis 7.0, the rules about commands are found from the set of allowed ones: `+@all` or `-@all`, the categories
//! that fit best, then single commands. So a user reads back as the same rules, though not in the words that set them.

use super::permissions::{CommandSet, Permissions};
use super::rules::{CATEGORIES, is_in, set_all_commands, set_category, set_command};
use super::user::User;
use crate::service::resp::table::table;

/// All rules of a user, as in the file.
pub(super) fn describe(user: &User) -> Vec<u8> {
    let mut text: Vec<u8> = flags(user).join(" ").into();
    text.push(b' ');
    for hash in user.passwords.hashes() {
        text.push(b'#');
        text.extend_from_slice(hash.hex().as_bytes());
        text.push(b' ');
    }
    let permissions = |permissions: &Permissions| {
        let keys = keys(permissions);
        let channels = channels(permissions);
        let separator = |rules: &[u8]| if rules.is_empty() { "" } else { " " };
        let reset = if permissions.all_channels {
            ""
        } else {
            "resetchannels "
        };
        [
            &keys[..],
            separator(&keys).as_bytes(),
            reset.as_bytes(),
            &channels,
            separator(&channels).as_bytes(),
            &commands(permissions),
        ]
        .concat()
    };
    text.extend(permissions(&user.permissions[0]));
    for further in &user.permissions[1..] {
        text.extend_from_slice(b" (");
        text.extend(permissions(further));
        text.push(b')');
    }
    text
}

/// The flags of a user.
pub(super) fn flags(user: &User) -> Vec<&'static str> {
    let mut flags = vec![if user.enabled { "on" } else { "off" }];
    if user.passwords.are_any() {
        flags.push("nopass");
    }
    match user.sanitize {
        Some(true) => flags.push("sanitize-payload"),
        Some(false) => flags.push("skip-sanitize-payload"),
        None => {}
    }
    flags
}

/// The rules about keys.
pub(super) fn keys(permissions: &Permissions) -> Vec<u8> {
    if permissions.all_keys {
        return b"~*".to_vec();
    }
    let patterns: Vec<Vec<u8>> = permissions
        .keys
        .iter()
        .map(|key| {
            let access: &[u8] = match (key.read, key.write) {
                (true, true) => b"~",
                (true, false) => b"%R~",
                _ => b"%W~",
            };
            [access, &key.pattern].concat()
        })
        .collect();
    patterns.join(&b' ')
}

/// The rules about channels.
pub(super) fn channels(permissions: &Permissions) -> Vec<u8> {
    if permissions.all_channels {
        return b"&*".to_vec();
    }
    let patterns = permissions.channels.iter();
    let patterns: Vec<Vec<u8>> = patterns.map(|one| [b"&", &one[..]].concat()).collect();
    patterns.join(&b' ')
}

/// The rules about commands.
pub(super) fn commands(permissions: &Permissions) -> Vec<u8> {
    let removes = permissions.commands.has_future_commands();
    let mut made = Permissions::none();
    set_all_commands(&mut made, removes);
    let mut rules: Vec<Vec<u8>> = vec![if removes { b"+@all" } else { b"-@all" }.to_vec()];
    // The permissions that the categories so far don't explain.
    let mut left = Permissions {
        commands: permissions.commands,
        ..Permissions::none()
    };
    let mut unused: Vec<&str> = CATEGORIES.to_vec();
    while let Some(index) = best(&left.commands, &unused, removes) {
        let category = unused.remove(index);
        let sign = if removes { "-" } else { "+" };
        rules.push(format!("{sign}@{category}").into());
        for (set, allowed) in [(&mut made, !removes), (&mut left, removes)] {
            set_category(set, category.as_bytes(), allowed).expect("its name is in the list");
        }
    }
    for entry in table().all() {
        let allowed = permissions.commands.has(entry.number);
        if allowed != made.commands.has(entry.number) {
            let sign = if allowed { "+" } else { "-" };
            rules.push(format!("{sign}{}", entry.name).into());
            set_command(&mut made, entry, allowed);
        }
        let arguments = permissions.first_arguments.get(&entry.number);
        for argument in arguments.filter(|_| !allowed).into_iter().flatten() {
            rules.push([b"+", entry.name.as_bytes(), b"|", argument].concat());
        }
    }
    for (name, allowed) in &permissions.absent_commands {
        rules.push([if *allowed { &b"+"[..] } else { b"-" }, name].concat());
    }
    rules.join(&b' ')
}

/// The category that explains most commands of a set and fewest others.
fn best(set: &CommandSet, categories: &[&str], removes: bool) -> Option<usize> {
    let mut best = None;
    let (mut fewest, mut most) = (usize::MAX, 0);
    for (index, category) in categories.iter().enumerate() {
        let entries = table().all().filter(|entry| is_in(entry.command, category));
        let (mut same, mut different) = (0, 0);
        for entry in entries {
            if set.has(entry.number) == removes {
                different += 1;
            } else {
                same += 1;
            }
        }
        if same > different && (different < fewest || different == fewest && same > most) {
            (best, fewest, most) = (Some(index), different, same);
        }
    }
    best
}
