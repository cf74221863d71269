//! Users without sessions: rules and their description, the file, and the log's bounds.

use std::fs;

use proptest::prelude::*;

use super::describe::describe;
use super::log_entries::{AclLog, LogEntry, RefusalKind};
use super::rules::{apply, join};
use super::user::User;
use super::users::Users;
use super::{file, load_file};
use crate::service::resp::table::{self, table};
use crate::service::secret::Secret;

/// Rules of every kind, some of which undo others.
const RULES: &[&str] = &[
    "on",
    "off",
    "nopass",
    "resetpass",
    ">one",
    ">two",
    "allkeys",
    "resetkeys",
    "~a*",
    "%R~b*",
    "%W~b*",
    "%W~c",
    "allchannels",
    "resetchannels",
    "&news",
    "+@all",
    "-@all",
    "+@read",
    "-@read",
    "+@write",
    "-@dangerous",
    "+@slow",
    "-@slow",
    "+@connection",
    "-@hash",
    "+get",
    "-get",
    "+config|get",
    "-config|get",
    "-config",
    "+acl",
    "+select|0",
    "+select|1",
    "-select",
    "+eval",
    "-eval",
    "+debug|object",
    "-debug",
    "reset",
    "(+get ~x)",
    "(+@all %R~y -acl)",
    "clearselectors",
];

fn user_with<'a>(rules: impl IntoIterator<Item = &'a [u8]>) -> User {
    table::fill(crate::service::resp::FAMILIES);
    let mut user = User::new(b"u");
    for rule in rules {
        // A pattern behind allkeys is refused, which is no matter here.
        let _ = apply(&mut user, rule);
    }
    user
}

/// All that matters of a user, as text.
fn facts(user: &User) -> String {
    let mut facts = format!(
        "{} {} {:?}",
        user.enabled,
        user.passwords.are_any(),
        user.sanitize
    );
    for hash in user.passwords.hashes() {
        facts += &hash.hex();
    }
    for permissions in &user.permissions {
        for entry in table().all() {
            for first in ["0", "1", "x"] {
                let allowed = permissions.allows_command(entry.number, Some(first.as_bytes()));
                facts.push(if allowed { '+' } else { '-' });
            }
        }
        for key in &permissions.keys {
            facts += &format!("{:?} {} {}", key.pattern, key.read, key.write);
        }
        facts += &format!(
            "{} {} {:?}",
            permissions.all_keys, permissions.all_channels, permissions.channels
        );
        for (name, allowed) in &permissions.absent_commands {
            facts += &format!("{} {allowed}", name.escape_ascii());
        }
    }
    facts
}

proptest! {
    #[test]
    fn a_user_reads_back_as_it_was_described(chosen in prop::collection::vec(0..RULES.len(), 0..12)) {
        let user = user_with(chosen.iter().map(|&index| RULES[index].as_bytes()));
        let text = describe(&user);
        let rules = join(text.split(|&byte| byte == b' ')).expect("parentheses match");
        let again = user_with(rules.iter().map(|rule| &rule[..]));
        prop_assert_eq!(facts(&again), facts(&user), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn no_rule_causes_a_panic(rules in prop::collection::vec("[-+~%&@|><#!()a-zRW* 0]{0,12}", 0..6)) {
        let user = user_with(rules.iter().map(|rule| rule.as_bytes()));
        describe(&user);
    }
}

#[test]
fn a_file_is_written_and_read_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("users.acl");
    let users = Users::new(Some(Secret::from("sesame".to_owned())));
    let rules = ["on", ">x", "~cache:*", "+@read", "(+set ~w:*)"];
    let bob = user_with(rules.map(str::as_bytes));
    let copy = |user: &mut User| {
        *user = User {
            name: user.name.clone(),
            ..bob.clone()
        };
        Ok::<(), ()>(())
    };
    users.change(b"bob", copy).expect("allowed");
    file::save(&path, &users).expect("written");
    let text = fs::read_to_string(&path).expect("readable");
    assert!(!text.contains("sesame"), "{text}");
    assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 1);

    let read = Users::new(None);
    load_file(&path, &read).expect("well formed");
    assert!(read.authenticate(b"default", b"sesame").is_some());
    assert!(read.authenticate(b"default", b"").is_none());
    assert!(read.authenticate(b"bob", b"x").is_some());
    let bob_again = read.get(b"bob").expect("saved");
    assert_eq!(facts(&bob_again), facts(&bob));
}

#[test]
fn a_file_with_mistakes_names_them_all_and_changes_nothing() {
    table::fill(crate::service::resp::FAMILIES);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("users.acl");
    let place = path.display();
    let users = Users::new(None);
    for (text, expected) in [
        (
            "user a on\nuser a off\n",
            "WARNING: Duplicate user 'a' found on line 2. ".to_owned(),
        ),
        (
            "\n# comment\n",
            format!("{place}:2 should start with user keyword followed by the username. "),
        ),
        (
            "user\n",
            format!("{place}:1 should start with user keyword followed by the username. "),
        ),
        (
            "user a (+get\n",
            format!("{place}:1: Unmatched parenthesis in selector definition."),
        ),
        (
            "user a on +nope secret\nuser b <x +get\n",
            format!(
                "{place}:1: Error in applying operation '+nope': Unknown command or category name in ACL. \
                 {place}:1: Syntax error. \
                 {place}:2: The password you are trying to remove from the user does not exist. "
            ),
        ),
    ] {
        fs::write(&path, text).expect("written");
        let error = load_file(&path, &users).expect_err("malformed");
        let end = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
        assert_eq!(error, expected + end, "{text:?}");
        assert_eq!(users.all().len(), 1, "only the default user");
    }
    fs::remove_file(&path).expect("removed");
    let error = load_file(&path, &users).expect_err("missing");
    let expected = format!("Error loading ACLs, opening file '{place}': No such file or directory");
    assert_eq!(error, expected);
}

#[test]
fn the_log_counts_equal_refusals_together_and_keeps_the_latest() {
    let log = AclLog::default();
    let entry = |object: String, at_ms| LogEntry {
        count: 1,
        kind: RefusalKind::Key,
        in_transaction: false,
        object: object.into_bytes(),
        user: b"bob".to_vec(),
        at_ms,
        client: String::new(),
    };
    for at_ms in [0, 60_000, 120_001] {
        log.add(entry("a".to_owned(), at_ms));
    }
    let counts = log
        .latest(10)
        .iter()
        .map(|entry| entry.count)
        .collect::<Vec<_>>();
    assert_eq!(counts, [1, 2], "the last came more than a minute later");
    for number in 0..1000 {
        log.add(entry(format!("{number}{}", "x".repeat(10_000)), 200_000));
    }
    let kept = log.latest(usize::MAX);
    assert_eq!(kept.len(), 128);
    assert!(kept.iter().all(|entry| entry.object.len() <= 1024));
    assert!(kept[0].object.starts_with(b"999"));
    assert_eq!(log.count(RefusalKind::Key), 1003);
}
