//! Steps: the small diffs by which a reader's own program, `examples/mine`, grows from an empty file to each stage.
//!
//! A page shows a step as ```` ```diff,step ```` with one include of `chapters/steps/NN/KK.diff`. A chapter's diffs are
//! applied in its order, to the program of the chapter before or to the one that its stage is written from. After the
//! last step the program is the chapter's stage, and every state in between compiles, with the project's own
//! dependencies: see `states.rs`. Those with a console block behind them can be started; the block runs the program under
//! the name `mine`.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::OnceLock;
use std::thread;

use regex::Regex;

use super::console;
use super::diffs;
use super::pages::{Book, files_below, is_chosen, text_of};
use super::programs;
use super::stages::side_by_side;
use super::states::{self, State};

/// Lines that a step may add: a reader types no more before they are explained and run.
const LINES: usize = 25;

/// The directory of the reader's files, as the diffs name it.
const PLACE: &str = "examples/mine/";

/// The reader's program: its files by name.
type Files = BTreeMap<String, String>;

/// One step.
struct Step {
    /// `01/03`: the chapter and the step's number in it.
    name: String,
    /// Its place on the page.
    at: String,
    diff: String,
    /// A console block stands behind it.
    runs: bool,
}

/// The steps of the book in its order, and the errors in their names.
fn steps(book: &Book) -> Result<Vec<Step>, String> {
    let directive =
        Regex::new(r"^\{\{#include steps/((\d\d)/(\d\d))\.diff\}\}\s*$").expect("a pattern");
    let mut steps: Vec<Step> = Vec::new();
    for page in &book.pages {
        let mut number = 0;
        for fence in &page.fences {
            if fence.language() == "console"
                && number > 0
                && let Some(step) = steps.last_mut()
            {
                step.runs = true;
            }
            if fence.language() != "diff" || !fence.is("step") {
                continue;
            }
            number += 1;
            let at = page.at(fence.line);
            let include = directive.captures(&fence.body);
            let include = include.ok_or(format!("{at}: a step is one include of steps/NN/KK"))?;
            let expected = format!("{:02}/{number:02}", page.chapter().unwrap_or_default());
            if include[1] != expected {
                return Err(format!("{at}: this is step {expected}"));
            }
            let file = format!("chapters/steps/{expected}.diff");
            steps.push(Step {
                name: expected,
                at,
                diff: text_of(&book.root.join(file))?,
                runs: false,
            });
        }
    }
    Ok(steps)
}

/// Applies a step's diff; its context must fit to the letter. A file that is removed has its two names and no lines.
fn apply(files: &mut Files, diff: &str) -> Result<(), String> {
    let mut lines = diff.lines().peekable();
    while let Some(line) = lines.next() {
        let name = |line: &str| line.split_once(PLACE).map(|(_, name)| name.to_owned());
        let (Some(old), Some(new)) = (
            line.strip_prefix("--- "),
            lines.next().and_then(|l| l.strip_prefix("+++ ")),
        ) else {
            return Err(format!("{line:?} is not the head of a file's diff"));
        };
        let before = match name(old) {
            Some(name) => files.remove(&name).ok_or(format!("{name} is not there"))?,
            None => String::new(),
        };
        let before: Vec<&str> = before.lines().collect();
        let (mut after, mut taken) = (Vec::new(), 0);
        while let Some(head) = lines.next_if(|line| line.starts_with("@@ ")) {
            let start = head[4..].split([',', ' ']).next().unwrap_or_default();
            let start: usize = start.parse().map_err(|_| format!("{head}: no line"))?;
            let start = start.max(1) - 1;
            after.extend_from_slice(before.get(taken..start).ok_or(format!("{head}: order"))?);
            taken = start;
            while let Some(line) =
                lines.next_if(|line| !line.starts_with(['@', '-']) || is_removal(line))
            {
                let (sign, text) = line.split_at(line.len().min(1));
                if sign != "+" {
                    if before.get(taken) != Some(&text) {
                        return Err(format!("{text:?} is not line {}", taken + 1));
                    }
                    taken += 1;
                }
                if sign != "-" {
                    after.push(text);
                }
            }
        }
        after.extend_from_slice(&before[taken..]);
        if let Some(name) = name(new) {
            let text = after.iter().map(|line| format!("{line}\n")).collect();
            files.insert(name, text);
        }
    }
    Ok(())
}

/// A line that is taken out, and not the head of the next file.
fn is_removal(line: &str) -> bool {
    line.starts_with('-') && !line.starts_with("--- ")
}

/// Every state of the reader's program, by the name of the step that leads to it.
fn states(book: &Book) -> Result<Vec<(Step, Files)>, String> {
    let (mut chapter, mut files) = (0, Files::new());
    let mut states = Vec::new();
    for step in steps(book)? {
        if step.chapter() != chapter {
            chapter = step.chapter();
            files = start(book, chapter)?;
        }
        apply(&mut files, &step.diff).map_err(|problem| format!("{}: {problem}", step.at))?;
        states.push((step, files.clone()));
    }
    Ok(states)
}

impl Step {
    fn chapter(&self) -> u32 {
        self.name[..2].parse().expect("two digits")
    }
}

/// The program before a chapter's first step: the one that its stage is written from, and none before the first
/// chapter.
fn start(book: &Book, chapter: u32) -> Result<Files, String> {
    stage(book, &diffs::origin(chapter - 1, chapter))
}

/// A stage's files as a reader has them: without the text over main.rs, which explains how to run the
/// stage.
fn stage(book: &Book, prefix: &str) -> Result<Files, String> {
    let parts = diffs::parts(book, prefix)?;
    let parts = parts.into_iter().map(|(name, _, text)| {
        let head = name == "main.rs";
        let kept = text
            .lines()
            .skip_while(|line| head && (line.starts_with("//!") || line.is_empty()));
        // Cargo.toml denies crates without a text, and so the reader's has one.
        let text: String = kept.map(|line| format!("{line}\n")).collect();
        let over = if head { "//! My own server.\n" } else { "" };
        (name, format!("{over}{text}"))
    });
    Ok(parts.collect())
}

/// Every step that doesn't apply, adds too much, or is shown by no page; and every chapter whose steps lead elsewhere
/// than to its stage.
pub(crate) fn problems(book: &Book) -> Vec<String> {
    let states = match states(book) {
        Ok(states) => states,
        Err(problem) => return vec![problem],
    };
    let mut problems = Vec::new();
    let mut ends: BTreeMap<u32, &Files> = BTreeMap::new();
    for (step, files) in &states {
        let added = step.diff.lines().filter(|line| line.starts_with('+'));
        let added = added.filter(|line| !line.starts_with("+++ ")).count();
        if added > LINES {
            problems.push(format!(
                "{}: a step adds {added} lines; at most {LINES}",
                step.at
            ));
        }
        ends.insert(step.chapter(), files);
    }
    for (chapter, files) in ends {
        match stage(book, &diffs::prefix(chapter)) {
            Ok(stage) if stage == *files => {}
            Ok(stage) => {
                let differs = |name: &&String| stage.get(*name) != files.get(*name);
                let names: Vec<_> = stage.keys().chain(files.keys()).filter(differs).collect();
                problems.push(format!(
                    "chapter {chapter}: its steps don't lead to its stage: {names:?} (chapters/steps/steps.py says how \
                     to change one)"
                ));
            }
            Err(problem) => problems.push(problem),
        }
    }
    for file in files_below(&book.root.join("chapters/steps"), ".diff") {
        let name = file.with_extension("");
        if !states.iter().any(|(step, _)| name.ends_with(&step.name)) {
            problems.push(format!("{}: no page shows this step", file.display()));
        }
    }
    problems
}

/// Builds the reader's program after each step. Returns rustc's errors if one doesn't compile.
pub(crate) fn build(book: &Book) -> Result<(), String> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    BUILT.get_or_init(|| build_all(book)).clone()
}

fn build_all(book: &Book) -> Result<(), String> {
    let directory = programs::programs().join(console::STEPS);
    let mut chapters: BTreeMap<String, Vec<State>> = BTreeMap::new();
    for (step, files) in states(book)? {
        if is_chosen(&step.at) {
            let (chapter, _) = step.name.split_once('/').expect("NN/KK");
            let states = chapters.entry(chapter.to_owned()).or_default();
            states.push(State {
                name: format!("s{}", step.name.replace('/', "_")),
                files,
                runs: step.runs,
            });
        }
    }
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let problems = side_by_side(cores, chapters, |(chapter, states)| {
        states::build(&directory, &chapter, &states).err()
    });
    match problems.is_empty() {
        true => Ok(()),
        false => Err(format!("a step does not compile:\n{}", problems.join("\n"))),
    }
}

#[test]
fn a_step_is_applied_to_the_letter_or_not_at_all() {
    let mut files = Files::new();
    apply(
        &mut files,
        "--- /dev/null\n+++ b/examples/mine/main.rs\n@@ -0,0 +1,3 @@\n+a\n+\n+c\n",
    )
    .unwrap();
    assert_eq!(files["main.rs"], "a\n\nc\n");
    let change = "--- a/examples/mine/main.rs\n+++ b/examples/mine/main.rs\n@@ -1,3 +1,3 @@\n a\n \n-c\n+d\n";
    apply(&mut files, change).unwrap();
    assert_eq!(files["main.rs"], "a\n\nd\n");
    assert!(apply(&mut files, change).unwrap_err().contains("line 3"));
    let mut files = Files::from([("main.rs".to_owned(), "a\n".to_owned())]);
    apply(
        &mut files,
        "--- a/examples/mine/main.rs\n+++ /dev/null\n--- /dev/null\n+++ b/examples/mine/a.rs\n@@ -0,0 +1 @@\n+a\n",
    )
    .unwrap();
    assert_eq!(
        files.into_iter().collect::<Vec<_>>(),
        [("a.rs".to_owned(), "a\n".to_owned())]
    );
}
