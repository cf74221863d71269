//! Keeps the book true: included files exist, commands and programs are run, and names and links
//! are checked.
//!
//! Each check is a function from a book to a list of sentences, so that `book/planted.rs` can
//! hand it a small book with one fault and see that the fault is found. The conventions are
//! written for authors in `chapters/README.md`.

mod support;

mod book {
    pub(crate) mod console;
    pub(crate) mod diffs;
    pub(crate) mod exercises;
    pub(crate) mod fences;
    pub(crate) mod glossary;
    pub(crate) mod html;
    pub(crate) mod includes;
    pub(crate) mod links;
    pub(crate) mod names;
    pub(crate) mod pages;
    pub(crate) mod pictures;
    pub(crate) mod planted;
    pub(crate) mod plots;
    pub(crate) mod programs;
    pub(crate) mod running;
    pub(crate) mod shutdown;
    pub(crate) mod stages;
    pub(crate) mod states;
    pub(crate) mod steps;
    pub(crate) mod tables;
}

use std::path::Path;

use book::pages::{Book, Page};
use book::{
    console, diffs, fences, glossary, html, includes, links, names, pages, pictures, plots,
    programs, stages, steps, tables,
};

fn the_book() -> Book {
    Book::read(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("the book can be read")
}

#[track_caller]
fn sound(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn includes_lead_somewhere_and_every_anchor_is_used() {
    sound(&includes::problems(&the_book()));
}

#[test]
fn nothing_that_belongs_in_a_file_is_typed_into_a_page() {
    sound(&fences::problems(&the_book()));
}

#[test]
fn diffs_between_stages_are_current() {
    sound(&diffs::problems(&the_book()));
}

#[test]
fn steps_lead_from_an_empty_file_to_each_stage() {
    let book = the_book();
    sound(&steps::problems(&book));
    steps::build(&book).unwrap_or_else(|problem| panic!("{problem}"));
}

#[test]
fn plots_are_drawn_from_the_recorded_figures() {
    sound(&plots::problems(&the_book()));
}

#[test]
fn tables_have_the_recorded_figures() {
    sound(&tables::problems(&the_book()));
}

#[test]
fn pictures_exist_and_describe_themselves() {
    sound(&pictures::problems(&the_book()));
}

#[test]
fn links_lead_somewhere() {
    sound(&links::problems(&the_book()));
}

#[test]
fn names_in_backticks_exist() {
    sound(&names::problems(&the_book()));
}

#[test]
fn glossary_terms_are_linked_where_they_are_first_used() {
    sound(&glossary::problems(&the_book(), glossary::wanted()));
}

/// Its name is the first, and so it begins first: the longest page waits for a minute.
#[test]
fn all_console_blocks_print_the_output_on_the_page() {
    let book = the_book();
    steps::build(&book).unwrap_or_else(|problem| panic!("{problem}"));
    // Pages beside one another: most of their time they wait, as their readers do.
    sound(&stages::side_by_side(
        stages::AT_A_TIME,
        &book.pages,
        |page| {
            if !pages::is_chosen(&page.path.to_string_lossy()) {
                return None;
            }
            let missing = console::missing_peers(page);
            if missing.is_empty() {
                return console::replay(&book.root, page, programs::programs()).err();
            }
            let page = page.path.display();
            console::skipped(&format!(
                "console blocks of {page}: no {}",
                missing.join(", ")
            ));
            None
        },
    ));
}

#[test]
fn stages_pass_their_chapters_conversations_and_fail_later_ones() {
    let book = the_book();
    let transcripts = stages::transcripts(&book.root).unwrap_or_else(|problem| panic!("{problem}"));
    let chosen = |page: &&Page| pages::is_chosen(&page.path.to_string_lossy());
    let pages: Vec<&Page> = book.pages.iter().filter(chosen).collect();
    sound(&stages::side_by_side(
        stages::STAGES_AT_A_TIME,
        pages,
        |page| {
            let stage = page.chapter().and_then(|stage| diffs::name(&book, stage));
            let checked = match &stage {
                Some(name) => stages::problems(&book, page, name, &transcripts),
                None => stages::problems_without_stage(&book, page),
            };
            let problems = checked.unwrap_or_else(|problem| vec![problem]);
            (!problems.is_empty()).then(|| problems.join("\n"))
        },
    ));
}

#[test]
fn built_pages_have_no_dead_links() {
    let book = the_book();
    match html::build(&book.root) {
        Some(built) => sound(&html::problems(&built.expect("mdbook builds the book"))),
        None => console::skipped("the built pages: no mdbook (cargo install mdbook --locked)"),
    }
}
