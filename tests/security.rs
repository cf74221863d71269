//! Keeps SECURITY.md true: each row of its table has a bound, and the tests of each number exist.

use std::fs;
use std::path::Path;

#[test]
fn each_threat_has_a_bound_and_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("SECURITY.md")).expect("it is part of the project");
    let (threats, tests) = page.split_once("\n## Tests\n").expect("two parts");
    let rows: Vec<&str> = threats
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let tests: Vec<&str> = tests.lines().filter(|line| line.contains("`")).collect();
    assert!(rows.len() > 20, "{} rows", rows.len());
    assert_eq!(rows.len(), tests.len());
    for (number, (row, tests)) in (1..).zip(rows.into_iter().zip(tests)) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let ["", first, _, attempt, bound, worst, ""] = cells[..] else {
            panic!("five columns: {row}");
        };
        assert_eq!(first, number.to_string());
        assert!(![attempt, bound, worst].contains(&""), "{row}");
        let tests = tests.strip_prefix(&format!("{number}. "));
        for test in tests.expect("the number of the row").split(", ") {
            is_a_test(root, test.trim_matches('`'));
        }
    }
}

/// There is a test of this name: `file: function`.
#[track_caller]
fn is_a_test(root: &Path, name: &str) {
    let (file, function) = name.split_once(": ").expect("file: function");
    let text = fs::read_to_string(root.join(file)).expect(file);
    let found = text.split_once(&format!("fn {function}() {{"));
    let (before, _) = found.unwrap_or_else(|| panic!("{file} has no {function}"));
    let attribute = before.trim_end().lines().last().expect("a line").trim();
    assert_eq!(attribute, "#[test]", "{function}");
}
