//! The diff from the stage before, generated into `chapters/diffs` and checked to be current.
//!
//! `LARDER_BLESS=1 cargo test --test book diffs` writes those that are out of date.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::PathBuf;

use regex::Regex;
use similar::TextDiff;

use super::includes;
use super::pages::{Book, files_below, text_of};

/// Stages that are not written from the one before, and the beginning of the file names that they
/// are written from.
const ORIGINS: [(u32, &str); 3] = [(11, "04_"), (14, "06_"), (17, "04_")];

/// Programs that are no stages but applications on top of larder: they have no steps, no diff and no promised conversations.
const APPLICATIONS: [u32; 1] = [19];

/// The files of a stage: `examples/NN_name.rs`, or everything below `examples/NN_name/`.
pub(crate) fn files(book: &Book, stage: u32) -> Vec<PathBuf> {
    files_of(book, &prefix(stage))
}

/// The beginning of the names of a stage's files.
pub(crate) fn prefix(stage: u32) -> String {
    format!("{stage:02}_")
}

/// The beginning of the names of the files that a stage is written from: those of the stage before, if not of another
/// program.
pub(crate) fn origin(before: u32, stage: u32) -> String {
    let origin = ORIGINS.iter().find(|(number, _)| *number == stage);
    origin.map_or(prefix(before), |(_, prefix)| (*prefix).to_owned())
}

/// A stage and all stages that it is written from, one from the other.
pub(crate) fn lineage(stage: u32) -> Vec<u32> {
    let from = |&stage: &u32| origin(stage.checked_sub(1)?, stage)[..2].parse().ok();
    let stages = std::iter::successors(Some(stage), from);
    stages.take_while(|&stage| stage > 0).collect()
}

fn files_of(book: &Book, prefix: &str) -> Vec<PathBuf> {
    let examples = book.root.join("examples");
    files_below(&examples, ".rs")
        .into_iter()
        .filter(|file| {
            let inside = file.strip_prefix(&examples).ok();
            let first = inside.and_then(|path| path.components().next());
            first.is_some_and(|name| name.as_os_str().to_string_lossy().starts_with(prefix))
        })
        .collect()
}

/// The name of a stage's program: `01_echo`. An application has none.
pub(crate) fn name(book: &Book, stage: u32) -> Option<String> {
    if APPLICATIONS.contains(&stage) {
        return None;
    }
    let file = files(book, stage).into_iter().next()?;
    let first = file
        .strip_prefix(book.root.join("examples"))
        .ok()?
        .components()
        .next()?;
    Some(
        first
            .as_os_str()
            .to_string_lossy()
            .trim_end_matches(".rs")
            .to_owned(),
    )
}

/// A stage's files by the name that stays the same from stage to stage, and without the lines of
/// anchors.
pub(crate) fn parts(book: &Book, prefix: &str) -> Result<Vec<(String, String, String)>, String> {
    let mut parts = Vec::new();
    let mut files = files_of(book, prefix);
    // A module that is an older stage's file, unchanged: `#[path = "../01_echo/signals.rs"]`.
    let older = Regex::new("#\\[path = \"(.+)\"\\]").expect("a pattern");
    for file in files.clone() {
        let text = text_of(&file)?;
        let directory = file.parent().expect("a file is in a directory");
        let found = older.captures_iter(&text);
        files.extend(found.map(|path| includes::plain(&directory.join(&path[1]))));
    }
    for file in files {
        let path = file
            .strip_prefix(&book.root)
            .unwrap_or(&file)
            .to_string_lossy()
            .into_owned();
        let single = file.parent() == Some(&book.root.join("examples"));
        let role = match file.file_name() {
            Some(name) if !single => name.to_string_lossy().into_owned(),
            _ => "main.rs".to_owned(),
        };
        let text = text_of(&file)?;
        let kept = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("// ANCHOR") && !older.is_match(line));
        let text = kept.map(|line| format!("{line}\n")).collect();
        parts.push((role, path, text));
    }
    Ok(parts)
}

/// The changes from the stage before, or from the other program that this stage is written from,
/// file by file.
pub(crate) fn between(book: &Book, before: u32, stage: u32) -> Result<String, String> {
    let origin = origin(before, stage);
    let (old, new) = (parts(book, &origin)?, parts(book, &prefix(stage))?);
    let roles: BTreeSet<&String> = old.iter().chain(&new).map(|(role, _, _)| role).collect();
    let mut diff = String::new();
    for role in roles {
        let find = |parts: &'_ [(String, String, String)]| {
            let found = parts.iter().find(|(name, _, _)| name == role);
            found.map(|(_, path, text)| (path.clone(), text.clone()))
        };
        let (old_path, old_text) = find(&old).unwrap_or(("/dev/null".into(), String::new()));
        let (new_path, new_text) = find(&new).unwrap_or(("/dev/null".into(), String::new()));
        if old_text != new_text {
            let changes = TextDiff::from_lines(&old_text, &new_text);
            let mut unified = changes.unified_diff();
            diff += &unified
                .context_radius(2)
                .header(&old_path, &new_path)
                .to_string();
        }
    }
    Ok(diff)
}

/// Every diff that is missing, out of date, left over, or not shown by its chapter.
pub(crate) fn problems(book: &Book) -> Vec<String> {
    let mut problems = Vec::new();
    let directory = book.root.join("chapters/diffs");
    let mut stages: Vec<u32> = book
        .pages
        .iter()
        .filter_map(|page| page.chapter())
        .collect();
    stages.sort_unstable();
    stages.retain(|&stage| name(book, stage).is_some());
    let mut expected = Vec::new();
    for pair in stages.windows(2) {
        let Some(stage) = name(book, pair[1]) else {
            continue;
        };
        let file = directory.join(format!("{stage}.diff"));
        let current = match between(book, pair[0], pair[1]) {
            Ok(current) => current,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        if text_of(&file).ok().as_ref() != Some(&current) {
            if env::var_os("LARDER_BLESS").is_some() {
                let written =
                    fs::create_dir_all(&directory).and_then(|()| fs::write(&file, &current));
                problems.extend(written.err().map(|error| error.to_string()));
            } else {
                problems.push(format!(
                    "chapters/diffs/{stage}.diff is not current: LARDER_BLESS=1 cargo test --test book diffs"
                ));
            }
        }
        let shown = book
            .pages
            .iter()
            .filter(|page| page.chapter() == Some(pair[1]))
            .any(|page| {
                let directive = format!("{{{{#include diffs/{stage}.diff}}}}");
                page.fences
                    .iter()
                    .any(|fence| fence.language() == "diff" && fence.body.contains(&directive))
            });
        if !shown {
            problems.push(format!("chapter {} does not show its diff", pair[1]));
        }
        expected.push(file);
    }
    for file in files_below(&directory, ".diff") {
        if !expected.contains(&file) {
            problems.push(format!("{}: no stage has this diff", file.display()));
        }
    }
    problems
}
