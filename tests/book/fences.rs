//! The allowed content of fenced blocks. Code, conversations, diffs and configuration come in by
//! include from files that are compiled, run or checked; nothing of that kind is typed into a page.

use super::includes;
use super::pages::Book;

/// Languages whose blocks hold nothing but includes.
const INCLUDED: [&str; 8] = [
    "rust",
    "transcript",
    "diff",
    "toml",
    "ini",
    "sh",
    "python",
    "c",
];

/// Languages that are written on the page: the terminal's text (which is replayed), and drawings.
const WRITTEN: [&str; 2] = ["console", "text"];

/// Every block of an unknown kind or with something typed where an include belongs, and every
/// stage whose chapter doesn't show its files whole.
pub(crate) fn problems(book: &Book) -> Vec<String> {
    let mut problems = Vec::new();
    for page in &book.pages {
        for fence in &page.fences {
            let at = page.at(fence.line);
            let language = fence.language();
            if INCLUDED.contains(&language) {
                let typed = fence.body.lines().find(|line| {
                    let line = line.trim();
                    let include = line.starts_with("{{#include ") && line.ends_with("}}");
                    !line.is_empty() && !include
                });
                if let Some(line) = typed {
                    problems.push(format!("{at}: {language} typed by hand: {line:?}"));
                }
            } else if language.is_empty() {
                problems.push(format!("{at}: a block without a language"));
            } else if !WRITTEN.contains(&language) {
                problems.push(format!(
                    "{at}: {language:?} blocks are not used in this book"
                ));
            }
            for word in [
                "ignore",
                "no_run",
                "should_panic",
                "compile_fail",
                "editable",
            ] {
                if fence.is(word) {
                    problems.push(format!("{at}: {word} would mean code that nothing runs"));
                }
            }
        }
        if let Some(chapter) = page.chapter() {
            let whole: Vec<_> = page
                .fences
                .iter()
                .filter_map(|fence| includes::of(page, fence).ok())
                .flatten()
                .filter(|include| include.anchor.is_none())
                .map(|include| book.root.join(include.path))
                .collect();
            for file in super::diffs::files(book, chapter) {
                if !whole.contains(&file) {
                    let file = file.strip_prefix(&book.root).unwrap_or(&file);
                    let page = page.path.display();
                    problems.push(format!("{page}: does not show {} whole", file.display()));
                }
            }
        }
    }
    problems
}
