//! Passwords, which come from a file or the environment.

use std::fs;
use std::path::Path;

/// The environment variable that holds the password of RESP clients.
pub(super) const CLIENT_PASSWORD: &str = "LARDER_PASSWORD";

/// The environment variable that holds the password of upstreams.
pub(super) const UPSTREAM_PASSWORD: &str = "LARDER_UPSTREAM_PASSWORD";

/// The environment variable that holds the password of the origin.
pub(super) const ORIGIN_PASSWORD: &str = "LARDER_ORIGIN_PASSWORD";

/// The password from the file of `--password-file`, or from the environment; never from an argument, which other users of the machine
/// can see.
pub(super) fn password(file: Option<&Path>, variable: &str) -> Result<Option<String>, String> {
    password_of("--password-file", file, variable)
}

/// The same, from the file of this option.
pub(super) fn password_of(
    option: &str,
    file: Option<&Path>,
    variable: &str,
) -> Result<Option<String>, String> {
    let text = match file {
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|e| format!("{option} {}: can't be read: {e}", path.display()))?;
            match text.lines().next() {
                Some(line) if !line.is_empty() => line.to_owned(),
                _ => {
                    return Err(format!(
                        "{option} {}: its first line is empty",
                        path.display()
                    ));
                }
            }
        }
        None => match std::env::var(variable) {
            Ok(text) if !text.is_empty() => text,
            _ => return Ok(None),
        },
    };
    Ok(Some(text))
}
