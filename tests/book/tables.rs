//! Tables: the figures that `benches` has recorded in columns, as tables of the page.
//!
//! A recorded text with a line of titles that ends in `ratio  goal`, or has `middle half` or `longest` between these two, has a
//! table in `chapters/tables`, made here: `LARDER_BLESS=1 cargo test --test book tables` writes those that are out of date.

use std::env;
use std::fs;

use super::pages::{Book, files_below, text_of};

/// A recorded text as Markdown; nothing when it has no columns.
fn table(recorded: &str) -> Option<String> {
    let titles = recorded.lines().find(|line| {
        line.ends_with("  goal") && line.contains("larder  ") && line.contains("ratio  ")
    })?;
    let column = |title: &str| titles.find(title);
    let (ratio, goal) = (column("ratio")?, column("goal")?);
    let mut thirds = ["middle half", "longest"].into_iter();
    let third = thirds.find_map(|title| Some((title, column(title)?)));
    let (third, spread) = third.unwrap_or(("", goal));
    let peer = column("larder")? + "larder  ".len();
    let mut table = String::new();
    for line in recorded.lines() {
        let letters: Vec<char> = line.chars().collect();
        let part = |from: usize, to: usize| {
            let to = to.min(letters.len());
            let part: String = letters.get(from..to).unwrap_or_default().iter().collect();
            part.trim().to_owned()
        };
        if line == titles {
            let beside = part(peer, ratio);
            table += &match spread == goal {
                true => format!("| | larder | {beside} | ratio | goal |\n|---|--:|---|--:|---|\n"),
                false => format!(
                    "| | larder | {beside} | ratio | {third} | goal |\n|---|--:|---|--:|---|---|\n"
                ),
            };
        } else if let (true, Some((label, ours))) = (
            table.contains("|---|"),
            part(0, peer)
                .rsplit_once("  ")
                .map(|(label, ours)| (label.trim().to_owned(), ours.to_owned())),
        ) {
            let (beside, ratio) = (part(peer, ratio), part(ratio, spread));
            let mut goal = part(goal, usize::MAX);
            if spread < column("goal")? {
                goal = format!("{} | {goal}", part(spread, column("goal")?));
            }
            let (label, ours, beside) = match label.strip_suffix(" slower by") {
                Some(label) => (label.to_owned(), speed(&ours), speed(&beside)),
                None => (label, ours, beside),
            };
            table += &format!("| {label} | {ours} | {beside} | {ratio} | {goal} |\n");
        } else {
            table += line;
            table.push('\n');
        }
    }
    Some(table)
}

/// `-7.8%` slower is `7.8% faster`.
fn speed(cell: &str) -> String {
    let words = cell.split(' ').map(|word| match word.strip_prefix('-') {
        Some(part) if word.ends_with('%') => format!("{part} faster"),
        None if word.ends_with('%') => format!("{word} slower"),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Every table that is missing, out of date, left over, or shown by no page.
pub(crate) fn problems(book: &Book) -> Vec<String> {
    let mut problems = Vec::new();
    let directory = book.root.join("chapters/tables");
    let mut expected = Vec::new();
    for recorded in files_below(&book.root.join("chapters/measured"), ".txt") {
        let Some(table) = text_of(&recorded).ok().and_then(|text| table(&text)) else {
            continue;
        };
        let name = recorded
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let file = directory.join(format!("{name}.md"));
        if text_of(&file).ok().as_ref() != Some(&table) {
            if env::var_os("LARDER_BLESS").is_some() {
                let written =
                    fs::create_dir_all(&directory).and_then(|()| fs::write(&file, &table));
                problems.extend(written.err().map(|error| error.to_string()));
            } else {
                problems.push(format!(
                    "chapters/tables/{name}.md is not current: LARDER_BLESS=1 cargo test --test book tables"
                ));
            }
        }
        if !book.pages.iter().any(|page| page.tables.contains(&name)) {
            problems.push(format!("chapters/tables/{name}.md: no page shows it"));
        }
        expected.push(file);
    }
    for file in files_below(&directory, ".md") {
        if !expected.contains(&file) {
            problems.push(format!("{}: nothing is recorded for it", file.display()));
        }
    }
    for page in &book.pages {
        for name in &page.tables {
            if !directory.join(format!("{name}.md")).exists() {
                problems.push(format!("{}: no table {name}", page.path.display()));
            }
        }
    }
    problems
}

#[test]
fn columns_become_cells() {
    let recorded = "a machine\n\n               larder  peer            ratio  goal\ngets: a/s        1,000  other 900         1.11  at least 1\n  idle × 2          23  the disk: 1 a/s\nit is slower by   -7%  other 3%\n";
    let table = table(recorded).expect("it has columns");
    assert!(
        table.starts_with("a machine\n\n| | larder | peer | ratio | goal |\n"),
        "{table}"
    );
    assert!(
        table.contains("\n| gets: a/s | 1,000 | other 900 | 1.11 | at least 1 |\n"),
        "{table}"
    );
    let recorded = "\n               larder  peer            ratio  middle half  goal\ngets: a/s        1,000  other 900         1.11  1.00–1.20    at least 1\n\nat the end\n";
    let wider = super::tables::table(recorded).expect("it has columns");
    assert!(
        wider.contains(
            "\n| gets: a/s | 1,000 | other 900 | 1.11 | 1.00–1.20 | at least 1 |\n\nat the end\n"
        ),
        "{wider}"
    );
    assert!(
        table.contains("\n| it is | 7% faster | other 3% slower |"),
        "{table}"
    );
    assert!(
        table.contains("\n| idle × 2 | 23 | the disk: 1 a/s |  |  |\n"),
        "{table}"
    );
}
