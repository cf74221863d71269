//! The file of `--auth-file`: the users of memcached's protocol, in the format of memcached's `-Y`.
//!
//! A line is `user:password`. The user ends at the first colon, the password at the end of the line. Passwords are kept
//! as hashes. memcached reads eight lines of 255 bytes at most; here both numbers are unlimited.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use subtle::{Choice, ConstantTimeEq};

use crate::service::secret::PasswordHash;

/// The users of a file, as it was when it was last read.
#[derive(Debug)]
pub struct AuthFile {
    path: PathBuf,
    /// Held for a look-up or an exchange of all users.
    users: RwLock<Vec<User>>,
}

#[derive(Debug)]
struct User {
    name: Box<[u8]>,
    password: PasswordHash,
}

impl AuthFile {
    /// Reads a file.
    ///
    /// # Errors
    /// A sentence for a person, if the file can't be read or has a malformed line.
    pub fn load(path: &Path) -> Result<AuthFile, String> {
        Ok(AuthFile {
            path: path.to_owned(),
            users: RwLock::new(read(path)?),
        })
    }

    /// The users of a file with this text; the error is the number of a malformed line.
    #[cfg(feature = "internals")]
    pub(crate) fn of_text(text: &[u8]) -> Result<AuthFile, usize> {
        Ok(AuthFile {
            path: PathBuf::new(),
            users: RwLock::new(users(text)?),
        })
    }

    /// Reads the file again. Clients that have authenticated stay so. After an error the old users stay.
    ///
    /// # Errors
    /// As [`AuthFile::load`].
    pub(super) fn reload(&self) -> Result<(), String> {
        let users = read(&self.path)?;
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = users;
        Ok(())
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a user has this password. It compares with all users.
    pub(crate) fn accepts(&self, name: &[u8], password: &[u8]) -> bool {
        let password = PasswordHash::of(password);
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        let found = |found: Choice, user: &User| {
            found | user.name.ct_eq(name) & user.password.matches(&password)
        };
        users.iter().fold(Choice::from(0), found).into()
    }
}

fn read(path: &Path) -> Result<Vec<User>, String> {
    let text = fs::read(path)
        .map_err(|error| format!("--auth-file {}: can't be read: {error}", path.display()))?;
    let users = users(&text).map_err(|number| {
        format!(
            "--auth-file {}: line {number} is not user:password",
            path.display()
        )
    })?;
    if users.is_empty() {
        log::warn!(
            "--auth-file {} has no users, so no client of memcached's protocol can authenticate",
            path.display()
        );
    }
    Ok(users)
}

/// The users of a file's text; the error is the number of a malformed line.
fn users(text: &[u8]) -> Result<Vec<User>, usize> {
    let lines = text
        .strip_suffix(b"\n")
        .unwrap_or(text)
        .split(|&byte| byte == b'\n');
    let lines = lines.enumerate().filter(|_| !text.is_empty());
    let user = |(index, line): (usize, &[u8])| {
        let colon = memchr::memchr2(b':', 0, line).filter(|&at| line[at] == b':');
        let colon = colon.ok_or(index + 1)?;
        let password = &line[colon + 1..];
        let end = memchr::memchr2(b'\r', 0, password).unwrap_or(password.len());
        Ok(User {
            name: line[..colon].into(),
            password: PasswordHash::of(&password[..end]),
        })
    };
    lines.map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(text: &str, name: &str, password: &str) -> bool {
        let file = AuthFile {
            path: PathBuf::new(),
            users: RwLock::new(users(text.as_bytes()).expect("well formed")),
        };
        file.accepts(name.as_bytes(), password.as_bytes())
    }

    #[test]
    fn the_first_colon_ends_the_user_and_the_line_the_password() {
        for text in ["a:b\nc:d e:f\n", "a:b\r\nc:d e:f\r\n", "a:b\nc:d e:f"] {
            assert!(accepts(text, "a", "b"), "{text:?}");
            assert!(accepts(text, "c", "d e:f"), "{text:?}");
            for (name, password) in [
                ("a", "d e:f"),
                ("a", ""),
                ("", "b"),
                ("c", "d e"),
                ("A", "b"),
            ] {
                assert!(
                    !accepts(text, name, password),
                    "{text:?}: {name} {password}"
                );
            }
        }
        let many: String = (0..20)
            .map(|n| format!("user{n}:{}\n", "x".repeat(300)))
            .collect();
        assert!(accepts(&many, "user19", &"x".repeat(300)));
    }

    #[test]
    fn a_line_without_a_colon_is_an_error_with_its_number() {
        for (text, number) in [("a:b\nc\n", 2), ("\na:b\n", 1), ("a\0:b\n", 1), ("\n", 1)] {
            assert_eq!(
                users(text.as_bytes()).expect_err("malformed"),
                number,
                "{text:?}"
            );
        }
        assert!(users(b"").expect("no line").is_empty());
    }

    #[test]
    fn a_broken_file_leaves_the_users_as_they_were() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("users");
        fs::write(&path, "a:b\n").expect("written");
        let file = AuthFile::load(&path).expect("well formed");
        fs::write(&path, "a:c\nbroken\n").expect("written");
        let error = file.reload().expect_err("malformed");
        assert!(
            error.contains("line 2") && !error.contains("broken"),
            "{error}"
        );
        assert!(file.accepts(b"a", b"b") && !file.accepts(b"a", b"c"));
        fs::write(&path, "a:c\n").expect("written");
        file.reload().expect("well formed");
        assert!(!file.accepts(b"a", b"b") && file.accepts(b"a", b"c"));
    }
}
