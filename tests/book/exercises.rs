//! Exercises: of each that has a starter, the starter fails its conversation and the solution
//! passes it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::console::skipped;
use super::pages::Book;
use super::programs::programs;
use super::stages::{AT_A_TIME, side_by_side};
use crate::support::{Kind, Peer};

/// Exercises of a chapter that come with starter and solution.
const CHECKED: usize = 2;

fn run(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(programs().join("examples/exercises"))
        .args(arguments)
        .output();
    let output = output.expect("the exercises are built");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

/// The numbers of all exercises, by chapter.
fn numbers() -> BTreeMap<u32, Vec<String>> {
    let mut numbers: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for line in run(&[]).1.lines() {
        let number = line.split(' ').next().unwrap_or_default();
        let chapter = number.split('.').next().and_then(|n| n.parse().ok());
        numbers
            .entry(chapter.expect("N.M"))
            .or_default()
            .push(number.to_owned());
    }
    numbers
}

#[test]
fn starters_fail_and_solutions_pass() {
    // The exercises of chapters without a stage are held against a real server.
    let memcached = Peer::start(Kind::Memcached, &[]).expect("memcached starts");
    let address = memcached.as_ref().map(|peer| peer.address().to_string());
    let mut exercises = Vec::new();
    for (chapter, numbers) in numbers() {
        let against = match &address {
            _ if ![0, 13].contains(&chapter) => vec![],
            Some(address) => vec!["against", address],
            None => {
                skipped(&format!("exercises of chapter {chapter}: no memcached"));
                continue;
            }
        };
        exercises.extend(numbers.into_iter().map(|number| (number, against.clone())));
    }
    // Some starters fail by staying silent, which takes the whole time that a reply is waited for.
    let problems = side_by_side(AT_A_TIME, exercises, |(number, against)| {
        let (solved, said) = run(&[&[number.as_str()], &against[..]].concat());
        if solved || !said.contains("not solved yet") {
            return Some(format!("the starter of {number}: {said}"));
        }
        let (solved, said) = run(&[&[&number, "solution"], &against[..]].concat());
        (!solved).then(|| format!("the solution of {number}: {said}"))
    });
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_chapter_has_exercises_with_hints_and_questions_with_answers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let book = Book::read(root).expect("the book can be read");
    let numbers = numbers();
    for page in &book.pages {
        let Some(chapter) = page.chapter() else {
            continue;
        };
        let name = page.path.display();
        let checked = numbers.get(&chapter).map_or(0, Vec::len);
        assert!(
            checked >= CHECKED,
            "{name}: {checked} exercises with a starter and a solution"
        );
        for fragment in ["exercises", "questions"] {
            assert!(
                page.fragments.iter().any(|f| f == fragment),
                "{name} has no ## {fragment}"
            );
        }
        let text = std::fs::read_to_string(root.join(&page.path)).expect("the page can be read");
        let (_, exercises) = text
            .split_once("## Exercises")
            .expect("the heading is there");
        assert!(
            exercises.matches("**Hint").count() >= CHECKED,
            "{name}: fewer than two hints"
        );
        assert!(
            exercises.matches("<details>").count() >= 4,
            "{name}: answers stand in <details>"
        );
        for number in &numbers[&chapter] {
            assert!(
                exercises.contains(&format!("**{number} ")),
                "{name} does not set {number}"
            );
        }
        let more = format!("**{chapter}.{} ", CHECKED + 1);
        assert!(
            exercises.contains(&more),
            "{name}: fewer than three exercises"
        );
    }
}
