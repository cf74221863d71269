//! The book as mdBook builds it: every link, image, script and fragment of every page leads
//! somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::Path;
use std::process::Command;

use regex::Regex;
use tempfile::TempDir;

use super::includes::plain;
use super::pages::{files_below, text_of};
use crate::support::find;

/// Builds the book into a directory of its own; nothing when there is no mdBook here.
pub(crate) fn build(root: &Path) -> Option<Result<TempDir, String>> {
    // The directory of `cargo install`, which may not be in PATH.
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cargo/bin/mdbook"));
    let program = find("mdbook").or(home.filter(|program| program.is_file()))?;
    Some(built(&program, root))
}

fn built(program: &Path, root: &Path) -> Result<TempDir, String> {
    let directory = TempDir::new().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(["build", "--dest-dir"])
        .arg(directory.path())
        .arg(root)
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() || log.contains("ERROR") || log.contains("WARN") {
        return Err(format!("mdbook says\n{log}"));
    }
    Ok(directory)
}

/// Every broken reference of the built pages, and every directive that was left on one.
pub(crate) fn problems(directory: &TempDir) -> Vec<String> {
    let directory = directory.path();
    let reference = Regex::new(r#"(?:href|src)="([^"]*)""#).expect("a pattern");
    let id = Regex::new(r#"\sid="([^"]*)""#).expect("a pattern");
    let mut pages = BTreeMap::new();
    for file in files_below(directory, ".html") {
        let Ok(text) = text_of(&file) else { continue };
        let ids: BTreeSet<String> = id.captures_iter(&text).map(|c| c[1].to_owned()).collect();
        pages.insert(file, (text, ids));
    }
    let mut problems = Vec::new();
    for (file, (text, _)) in &pages {
        let name = file.strip_prefix(directory).unwrap_or(file);
        // The page for unknown addresses is served from anywhere, and its links start at the
        // site's root.
        if name == Path::new("404.html") {
            continue;
        }
        if text.contains("{{#") {
            problems.push(format!(
                "{}: a directive was left on the page",
                name.display()
            ));
        }
        for reference in reference.captures_iter(text) {
            let target = reference[1].replace("&amp;", "&");
            if target.contains("://")
                || target.starts_with("data:")
                || target.starts_with("mailto:")
            {
                continue;
            }
            let (path, fragment) = target.split_once('#').unwrap_or((&target, ""));
            let at = match path {
                "" => file.clone(),
                path => plain(&file.parent().unwrap_or(file).join(path)),
            };
            let found = match pages.get(&at) {
                Some((_, ids)) => fragment.is_empty() || ids.contains(fragment),
                None => at.is_file(),
            };
            if !found {
                problems.push(format!("{}: {target} leads nowhere", name.display()));
            }
        }
    }
    problems
}
