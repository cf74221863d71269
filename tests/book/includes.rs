//! `{{#include}}`: mdBook lets a missing file or anchor pass in silence, so here they are
//! problems, as is an anchor that no page uses.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use regex::Regex;

use super::pages::{Book, Fence, Page, files_below, text_of};

/// One directive.
pub(crate) struct Include {
    /// Relative to the root.
    pub(crate) path: PathBuf,
    pub(crate) anchor: Option<String>,
}

/// The directives of a block, or the error in them.
pub(crate) fn of(page: &Page, fence: &Fence) -> Result<Vec<Include>, String> {
    of_text(page, &fence.body)
}

fn of_text(page: &Page, text: &str) -> Result<Vec<Include>, String> {
    let directive = Regex::new(r"\{\{#([a-z_]+)\s+([^}\s]*)\s*\}\}").expect("a pattern");
    let mut found = Vec::new();
    for captures in directive.captures_iter(text) {
        if &captures[1] != "include" {
            return Err(format!(
                "{{{{#{}}}}} is not used in this book",
                &captures[1]
            ));
        }
        let (path, anchor) = match captures[2].split_once(':') {
            Some((path, anchor)) => (path, Some(anchor.to_owned())),
            None => (&captures[2], None),
        };
        if let Some(lines) = anchor
            .as_deref()
            .filter(|a| a.starts_with(|c: char| !c.is_alphabetic()))
        {
            return Err(format!(
                "{path}:{lines} includes by line, which rots; an include names an anchor"
            ));
        }
        let directory = page.path.parent().unwrap_or(Path::new(""));
        found.push(Include {
            path: plain(&directory.join(path)),
            anchor,
        });
    }
    Ok(found)
}

/// The text that the directive puts on the page: the file or the part between its anchors, without
/// the lines of anchors.
pub(crate) fn expand(book: &Book, include: &Include) -> Result<String, String> {
    let name = include.path.display();
    let text = text_of(&book.root.join(&include.path))?;
    let marks = Regex::new(r"ANCHOR(_END)?:\s*([\w-]+)").expect("a pattern");
    let mut inside = include.anchor.is_none();
    let (mut begun, mut ended) = (0, 0);
    let mut part = String::new();
    for line in text.lines() {
        match marks.captures(line) {
            Some(mark) if include.anchor.as_deref() == Some(&mark[2]) => {
                inside = mark.get(1).is_none();
                *(if inside { &mut begun } else { &mut ended }) += 1;
            }
            Some(_) => {}
            None if inside => {
                part.push_str(line);
                part.push('\n');
            }
            None => {}
        }
    }
    match &include.anchor {
        Some(anchor) if begun == 0 => Err(format!("{name} has no anchor {anchor}")),
        Some(anchor) if begun != 1 || ended != 1 => Err(format!(
            "{name}: anchor {anchor} must begin once and end once"
        )),
        _ if part.trim().is_empty() => Err(format!("{name}: nothing in the included part")),
        _ => Ok(part),
    }
}

/// Every include of a missing file or anchor, and every anchor that no page uses. Outside of a fenced block, a page of the
/// project may be included, and nothing else.
pub(crate) fn problems(book: &Book) -> Vec<String> {
    let mut problems = Vec::new();
    let mut used = BTreeSet::new();
    for page in &book.pages {
        let fences = page
            .fences
            .iter()
            .map(|fence| (fence.line, &fence.body, true));
        let prose = page
            .prose
            .iter()
            .map(|(line, text, _)| (*line, text, false));
        for (line, text, fenced) in fences.chain(prose) {
            let includes = match of_text(page, text) {
                Ok(includes) => includes,
                Err(problem) => {
                    problems.push(format!("{}: {problem}", page.at(line)));
                    continue;
                }
            };
            for include in includes {
                let is_page = include.path.extension().is_some_and(|kind| kind == "md");
                if !fenced && !is_page {
                    let problem = "an include outside a fenced block";
                    problems.push(format!("{}: {problem}", page.at(line)));
                }
                if let Err(problem) = expand(book, &include) {
                    problems.push(format!("{}: {problem}", page.at(line)));
                }
                used.insert((include.path, include.anchor));
            }
        }
    }
    let mark = Regex::new(r"ANCHOR:\s*([\w-]+)").expect("a pattern");
    for directory in ["examples", "src", "tests/transcripts", "chapters"] {
        for file in files_below(&book.root.join(directory), "") {
            if file.extension().is_some_and(|e| e == "md") {
                continue;
            }
            let Ok(text) = text_of(&file) else { continue };
            let path = file.strip_prefix(&book.root).unwrap_or(&file).to_path_buf();
            for anchor in mark.captures_iter(&text) {
                let anchor = anchor[1].to_owned();
                if !used.contains(&(path.clone(), Some(anchor.clone()))) {
                    problems.push(format!(
                        "{}: no page uses the anchor {anchor}",
                        path.display()
                    ));
                }
            }
        }
    }
    problems
}

/// The path without `.` and `..`, so that one file has one name.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}
