//! Drawings: SVG in `chapters/pictures`, included by the pages. Each has a description in words.

use super::pages::{Book, files_below, text_of};

/// Every drawing that is missing, has no words, is not one piece of HTML, or is shown by no page.
pub(crate) fn problems(book: &Book) -> Vec<String> {
    let mut problems = Vec::new();
    let directory = book.root.join("chapters/pictures");
    let mut shown = Vec::new();
    for page in &book.pages {
        for (line, name) in &page.pictures {
            let file = directory.join(format!("{name}.svg"));
            match text_of(&file) {
                Err(problem) => problems.push(format!("{}: {problem}", page.at(*line))),
                Ok(text) if !text.contains("<title") || !text.contains("<desc") => {
                    problems.push(format!("{name}.svg: no title or no description"));
                }
                // An empty line would end the HTML in the page.
                Ok(text) if text.contains("\n\n") => {
                    problems.push(format!("{name}.svg: an empty line"));
                }
                Ok(_) => {}
            }
            shown.push(file);
        }
    }
    for file in files_below(&directory, ".svg") {
        if !shown.contains(&file) {
            problems.push(format!("{}: no page shows it", file.display()));
        }
    }
    problems
}
