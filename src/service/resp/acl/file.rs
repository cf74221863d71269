//! The file of users: `--acl-file`, ACL LOAD and ACL SAVE, in Redis's format.
//!
//! A line is `user NAME RULE …`; empty lines are allowed, comments are not. All lines are read before any is in force; one
//! error, and nothing changes. A new file is written beside the old one and put in its place, so a crash leaves one of the
//! two.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::describe::describe;
use super::rules::{RuleError, apply, has_spaces, join};
use super::user::User;
use super::users::{UserMap, Users};

const NOTHING_CHANGED: &str =
    "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";

/// Reads the users of a file into force. The error is Redis's, for a client or a person; nothing has changed then.
pub(crate) fn load(path: &Path, users: &Users) -> Result<(), String> {
    let text = fs::read(path).map_err(|error| {
        // The system's words, without Rust's number behind them.
        let error = error.to_string();
        let words = error.split(" (os error").next().unwrap_or_default();
        format!(
            "Error loading ACLs, opening file '{}': {words}",
            path.display()
        )
    })?;
    users.replace(read(&text, &path.display().to_string())?);
    Ok(())
}

/// The users of a file's text; `shown` is its path in errors.
pub(in crate::service::resp) fn read(text: &[u8], shown: &str) -> Result<UserMap, String> {
    let mut map = UserMap::new();
    let mut errors = String::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if !line.is_empty() {
            let place = format!("{shown}:{}", index + 1);
            read_line(line, &place, index + 1, &mut map, &mut errors);
        }
    }
    if !errors.is_empty() {
        return Err(errors + NOTHING_CHANGED);
    }
    Ok(map)
}

/// Reads a line, and appends what is wrong with it.
fn read_line(line: &[u8], place: &str, number: usize, users: &mut UserMap, errors: &mut String) {
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(b"user"), Some(name)) = (words.next(), words.next()) else {
        *errors += &format!("{place} should start with user keyword followed by the username. ");
        return;
    };
    let shown = String::from_utf8_lossy(name);
    if has_spaces(name) {
        *errors += &format!("'{place}: username '{shown}' contains invalid characters. ");
        return;
    }
    if users.contains_key(name) {
        *errors += &format!("WARNING: Duplicate user '{shown}' found on line {number}. ");
        return;
    }
    let Ok(rules) = join(words) else {
        *errors += &format!("{place}: Unmatched parenthesis in selector definition.");
        return;
    };
    let mut user = User::new(name);
    let mut told = false;
    for rule in rules {
        let rule = rule.trim_ascii();
        match apply(&mut user, rule) {
            Ok(()) => {}
            // An unknown command is no secret.
            Err(error @ RuleError::UnknownCommand) => {
                let (rule, text) = (String::from_utf8_lossy(rule), error.text());
                *errors += &format!("{place}: Error in applying operation '{rule}': {text}. ");
            }
            Err(_) if told => {}
            Err(error) => {
                *errors += &format!("{place}: {}. ", error.text());
                told = true;
            }
        }
    }
    users.insert(Arc::clone(&user.name), Arc::new(user));
}

/// Writes all users to a file.
pub(super) fn save(path: &Path, users: &Users) -> io::Result<()> {
    let text = text_of(users);
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".tmp-{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = write(&beside, &text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// The text of a file with all users.
pub(in crate::service::resp) fn text_of(users: &Users) -> Vec<u8> {
    let mut text = Vec::new();
    for user in users.all() {
        text.extend_from_slice(b"user ");
        text.extend_from_slice(&user.name);
        text.push(b' ');
        text.extend(describe(&user));
        text.push(b'\n');
    }
    text
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    // Hashes of passwords are for the owner only.
    let mut file: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text)?;
    file.sync_all()
}
