//! The checks are checked: a small sound book passes them all, and with one planted fault the right
//! one reports it.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::pages::Book;
use super::{console, diffs, fences, glossary, html, includes, links, names, plots, stages};

const SUMMARY: &str = "# Summary\n\n[Start](start.md)\n\n- [One](01-one.md)\n- [Two](02-two.md)\n\n[Glossary](glossary.md)\n";

const ONE: &str = "\
# One

A [ring](glossary.md#ring) is built in `examples/01_one.rs` by `build_ring`.

```rust
{{#include ../examples/01_one.rs:build}}
```

```transcript
{{#include ../tests/transcripts/one.txt:talk}}
```

```console
$ printf 'a\\nb\\n'
a
b
```

```rust
{{#include ../examples/01_one.rs}}
```
";

const TWO: &str = "\
# Two

See [the first chapter](01-one.md#one).

{{#include plots/02_rates.svg}}

```text
{{#include measured/02_two.txt}}
```

```diff
{{#include diffs/02_two.diff}}
```

```rust
{{#include ../examples/02_two.rs}}
```
";

const PROGRAM: &str = "\
//! A program.

// ANCHOR: build
fn build_ring() {}
// ANCHOR_END: build
";

const PLOT: &str = r#"
kind = "bars"
title = "Rates"
shows = "Two is faster than one."
from = "measured/02_two.txt"
series = [{ name = "rate", line = '^(?<label>\w+): (?<value>\d+)/s' }]
"#;

/// A small book without faults, changed by `change`.
fn planted(change: impl FnOnce(&Path)) -> (TempDir, Book) {
    let directory = TempDir::new().expect("a directory");
    let root = directory.path();
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a file lies in a directory")).expect("made");
        fs::write(path, text).expect("written");
    };
    write(
        "book.toml",
        "[book]\ntitle = \"A small book\"\nsrc = \"chapters\"\n",
    );
    write("chapters/SUMMARY.md", SUMMARY);
    write("chapters/start.md", "# Start\n\nNothing is said yet.\n");
    write("chapters/01-one.md", ONE);
    write("chapters/02-two.md", TWO);
    write(
        "chapters/glossary.md",
        "# Glossary\n\nring\n: A circle of servers.\n",
    );
    write("chapters/names.txt", "# None.\n");
    write("examples/01_one.rs", PROGRAM);
    write(
        "examples/02_two.rs",
        "//! A program.\n\nfn build_rings() {}\n",
    );
    write("chapters/measured/02_two.txt", "one: 1000/s\ntwo: 2000/s\n");
    write("chapters/plots/02_rates.toml", PLOT);
    write(
        "tests/transcripts/one.txt",
        "# ANCHOR: talk\n> a\n< a\n# ANCHOR_END: talk\n",
    );
    let book = Book::read(root).expect("it can be read");
    let diff = diffs::between(&book, 1, 2).expect("there is a diff");
    write("chapters/diffs/02_two.diff", &diff);
    let drawn = plots::drawing(&book, "02_rates").expect("there is a plot");
    write("chapters/plots/02_rates.svg", &drawn);
    change(root);
    let book = Book::read(root).expect("it can be read");
    (directory, book)
}

fn replace(root: &Path, file: &str, from: &str, to: &str) {
    let path = root.join(file);
    let text = fs::read_to_string(&path).expect("it is there");
    assert!(text.contains(from), "{file} does not contain {from:?}");
    fs::write(path, text.replacen(from, to, 1)).expect("written");
}

fn consoles(book: &Book) -> Vec<String> {
    let replay = |page| console::replay(&book.root, page, &book.root).err();
    book.pages.iter().filter_map(replay).collect()
}

type Check = fn(&Book) -> Vec<String>;

/// Plants a fault and expects the check to report this about it.
#[track_caller]
fn finds(check: Check, file: &str, from: &str, to: &str, said: &str) {
    let (_directory, book) = planted(|root| replace(root, file, from, to));
    let problems = check(&book);
    assert!(
        problems.iter().any(|problem| problem.contains(said)),
        "{said:?} not in {problems:?}"
    );
}

#[test]
fn the_book_without_faults_is_sound() {
    let (_directory, book) = planted(|_| ());
    let checks: [Check; 8] = [
        includes::problems,
        fences::problems,
        diffs::problems,
        plots::problems,
        links::problems,
        names::problems,
        consoles,
        |book| glossary::problems(book, 1),
    ];
    for check in checks {
        assert_eq!(check(&book), [] as [String; 0]);
    }
}

#[test]
fn a_missing_file_or_anchor_is_found() {
    let page = "chapters/01-one.md";
    finds(
        includes::problems,
        page,
        "one.rs:build",
        "uno.rs:build",
        "uno.rs",
    );
    finds(
        includes::problems,
        page,
        "one.rs:build",
        "one.rs:raze",
        "has no anchor raze",
    );
    finds(
        includes::problems,
        page,
        "one.rs:build",
        "one.rs:3",
        "names an anchor",
    );
    finds(
        includes::problems,
        page,
        "one.txt:talk",
        "one.txt",
        "no page uses the anchor talk",
    );
    let program = "examples/01_one.rs";
    finds(
        includes::problems,
        program,
        "// ANCHOR_END: build\n",
        "",
        "begin once and end once",
    );
    finds(
        includes::problems,
        program,
        "fn build_ring() {}\n",
        "",
        "nothing in the included part",
    );
    finds(
        includes::problems,
        "chapters/start.md",
        "Nothing",
        "{{#include a.rs}}",
        "outside a fenced",
    );
}

#[test]
fn code_typed_by_hand_is_found() {
    let page = "chapters/01-one.md";
    let include = "{{#include ../examples/01_one.rs:build}}";
    finds(
        fences::problems,
        page,
        include,
        "fn main() {}",
        "rust typed by hand",
    );
    finds(
        fences::problems,
        page,
        "```rust\n",
        "```rust,ignore\n",
        "nothing runs",
    );
    finds(
        fences::problems,
        page,
        "```console\n",
        "```\n",
        "without a language",
    );
    finds(
        fences::problems,
        page,
        "```console\n",
        "```go\n",
        "not used in this book",
    );
    finds(
        fences::problems,
        page,
        "{{#include ../tests/transcripts/one.txt:talk}}",
        "> a",
        "typed by hand",
    );
    finds(
        fences::problems,
        page,
        "{{#include ../examples/01_one.rs}}",
        "",
        "does not show examples/01_one.rs whole",
    );
    finds(
        fences::problems,
        "chapters/start.md",
        "Nothing",
        "    fn main() {}\n\nNothing",
        "without a language",
    );
}

#[test]
fn a_command_that_waits_is_repeated_until_it_prints_what_the_page_says() {
    // A line is added each time, and the page shows the file after the third.
    let command = "$ sleep 0; echo x >> target/file; cat target/file | wc -l\n3\n";
    let (_directory, book) = planted(|root| {
        let printf = "$ printf 'a\\nb\\n'\na\nb\n";
        replace(root, "chapters/01-one.md", printf, command);
    });
    assert_eq!(consoles(&book), [] as [String; 0]);
}

#[test]
fn a_console_block_that_prints_something_else_is_found() {
    let page = "chapters/01-one.md";
    finds(consoles, page, "a\nb\n", "a\nc\n", "and the page says");
    finds(consoles, page, "a\nb\n", "a\n", "and the page says");
    finds(
        consoles,
        page,
        "$ printf",
        "$ exit 1; printf",
        "and the page says",
    );
    finds(consoles, page, "$ printf", "printf", "begins with");
    finds(
        consoles,
        page,
        "$ printf 'a\\nb\\n'",
        "$ cargo test",
        "only cargo run -q",
    );
    finds(
        consoles,
        page,
        "```console\n$ printf 'a\\nb\\n'",
        "```console,server\n$ cargo run -q --example 09_none",
        "09_none",
    );
}

#[test]
fn a_diff_that_is_not_current_is_found() {
    finds(
        diffs::problems,
        "examples/02_two.rs",
        "rings",
        "things",
        "02_two.diff is not current",
    );
    finds(
        diffs::problems,
        "chapters/02-two.md",
        "{{#include diffs/02_two.diff}}",
        "",
        "does not show its diff",
    );
    let (_directory, book) = planted(|root| {
        fs::write(root.join("chapters/diffs/07_old.diff"), "").expect("written");
    });
    assert!(diffs::problems(&book)[0].contains("no stage has this diff"));
}

#[test]
fn a_plot_that_differs_from_its_figures_is_found() {
    let plot = "chapters/plots/02_rates.toml";
    let (text, page) = ("chapters/measured/02_two.txt", "chapters/02-two.md");
    let not_current = "02_rates.svg is not current";
    for (file, from, to, said) in [
        (text, "2000", "3000", not_current),
        (plot, "Rates", "Rate", not_current),
        ("chapters/plots/02_rates.svg", "2,000", "3,000", not_current),
        (
            plot,
            ": (?<value>",
            "= (?<value>",
            "has no line for \"rate\"",
        ),
        (plot, "title =", "titel =", "unknown field `titel`"),
        (plot, "02_two", "02_three", "02_three.txt"),
        (
            page,
            "{{#include measured/02_two.txt}}",
            "",
            "plot 02_rates without measured/02_two.txt",
        ),
        (
            page,
            "{{#include plots/02_rates.svg}}\n",
            "",
            "no page shows the plot 02_rates",
        ),
        (
            "chapters/start.md",
            "Nothing",
            "{{#include plots/02_rates.svg}}\n\nNothing",
            "more than one page",
        ),
        (
            page,
            "plots/02_rates",
            "plots/02_prices",
            "there is no chapters/plots/02_prices.toml",
        ),
    ] {
        let (_directory, book) = planted(|root| replace(root, file, from, to));
        let problems = plots::problems(&book);
        let found = problems.iter().any(|problem| problem.contains(said));
        assert!(found, "{said:?} not in {problems:?}");
    }
    let (_directory, book) = planted(|root| {
        fs::write(root.join("chapters/plots/07_old.svg"), "").expect("written");
    });
    assert!(plots::problems(&book)[0].contains("07_old.svg: nothing describes it"));
}

#[test]
fn a_dead_link_is_found() {
    let page = "chapters/02-two.md";
    finds(
        links::problems,
        page,
        "(01-one.md#one)",
        "(01-uno.md)",
        "is no page of the book",
    );
    finds(
        links::problems,
        page,
        "(01-one.md#one)",
        "(01-one.md#uno)",
        "has no fragment #uno",
    );
    finds(
        links::problems,
        page,
        "(01-one.md#one)",
        "(#here)",
        "has no fragment #here",
    );
    finds(
        links::problems,
        page,
        "(01-one.md#one)",
        "(one.png)",
        "does not exist",
    );
    finds(
        links::problems,
        page,
        "(01-one.md#one)",
        "(../examples/01_one.rs)",
        "outside the book",
    );
}

#[test]
fn a_name_that_does_not_exist_is_found() {
    let page = "chapters/01-one.md";
    finds(
        names::problems,
        page,
        "`examples/01_one.rs`",
        "`examples/01_uno.rs`",
        "01_uno.rs",
    );
    finds(
        names::problems,
        page,
        "`build_ring`",
        "`raze_ring`",
        "`raze_ring` does not exist",
    );
    finds(
        names::problems,
        page,
        "`build_ring`",
        "`RingBuilder`",
        "`RingBuilder` does not exist",
    );
    finds(
        names::problems,
        page,
        "`build_ring`",
        "`--ring-size 3`",
        "`--ring-size` does not exist",
    );
    finds(
        names::problems,
        "chapters/names.txt",
        "# None.",
        "ReadString of Go",
        "no page says ReadString",
    );
}

#[test]
fn a_glossary_term_that_is_not_linked_is_found() {
    let check: Check = |book| glossary::problems(book, 1);
    finds(
        check,
        "chapters/start.md",
        "Nothing",
        "Nothing of rings",
        "first use of \"ring\"",
    );
    finds(
        check,
        "chapters/01-one.md",
        "(glossary.md#ring)",
        "(start.md)",
        "first use of \"ring\"",
    );
    finds(
        check,
        "chapters/glossary.md",
        "ring\n",
        "bell\n",
        "no page uses \"bell\"",
    );
    let (_directory, book) = planted(|_| ());
    assert!(glossary::problems(&book, 2)[0].contains("fewer than 2"));
}

/// The report of the check of stages about the first real stage, if chapter 1 of the small book
/// includes this conversation.
fn stage(fence: &str, number: u32, answer: &str) -> Vec<String> {
    let (_directory, book) = planted(|root| {
        replace(root, "chapters/01-one.md", "```transcript", fence);
        let header =
            format!("protocol: echo\nshows: one\nstage: {number}\nagrees: larder only: planted\n");
        let talk = format!("# ANCHOR: talk\n> a\n< {answer}\n# ANCHOR_END: talk\n");
        let file = root.join("tests/transcripts/one.txt");
        fs::write(file, format!("{header}\n{talk}")).expect("written");
    });
    let page = book
        .pages
        .iter()
        .find(|page| page.chapter() == Some(1))
        .expect("chapter 1");
    let transcripts = stages::transcripts(&book.root).expect("transcripts");
    stages::problems(&book, page, "01_echo", &transcripts).expect("the stage starts")
}

#[test]
fn a_stage_that_breaks_its_promise_is_found() {
    let finds = |problems: Vec<String>, said: &str| {
        let found = problems.iter().any(|problem| problem.contains(said));
        assert!(found, "{said:?} not in {problems:?}");
    };
    let page = "```transcript";
    assert!(
        !stage(page, 1, "a")
            .iter()
            .any(|problem| problem.contains("tests/transcripts/one.txt"))
    );
    finds(stage(page, 1, "b"), "tests/transcripts/one.txt");
    finds(
        stage(page, 1, "a"),
        "shows no conversation that its stage fails",
    );
    finds(stage(page, 2, "a"), "one is for stage 2");
    finds(stage(page, 2, "a"), "no transcript says what it must do");
    finds(
        stage("```transcript,fails", 2, "a"),
        "passes one, which it must fail",
    );
    finds(
        stage("```transcript,fails", 1, "a"),
        "a later stage must pass it",
    );
    finds(
        stage("```transcript,article", 1, "a"),
        "shows no code of an article",
    );
    assert!(
        !stage("```transcript,fails", 2, "b")
            .iter()
            .any(|problem| problem.contains("must fail"))
    );
}

#[test]
fn a_dead_link_in_a_built_page_is_found() {
    let built = |change: fn(&Path)| html::build(planted(change).1.root.as_path()).is_some();
    if !built(|_| ()) {
        return console::skipped("faults in built pages: no mdbook");
    }
    let problems = |change: fn(&Path)| {
        let (_directory, book) = planted(change);
        html::problems(
            &html::build(&book.root)
                .expect("there is an mdbook")
                .expect("it builds"),
        )
    };
    assert_eq!(problems(|_| ()), [] as [String; 0]);
    // The checks of the sources don't read raw HTML.
    let dead = problems(|root| {
        replace(
            root,
            "chapters/start.md",
            "Nothing",
            "<a href=\"no.html\">x</a> <img src=\"no.png\">",
        );
    });
    assert!(
        dead.iter().any(|p| p.contains("no.html leads nowhere")),
        "{dead:?}"
    );
    assert!(
        dead.iter().any(|p| p.contains("no.png leads nowhere")),
        "{dead:?}"
    );
    let fragment = problems(|root| {
        replace(
            root,
            "chapters/start.md",
            "Nothing",
            "<a href=\"01-one.html#uno\">x</a>",
        );
    });
    assert!(
        fragment
            .iter()
            .any(|p| p.contains("01-one.html#uno leads nowhere")),
        "{fragment:?}"
    );
}
