//! The glossary: forty terms or more, each linked where the book first uses it.

use regex::Regex;

use super::pages::Book;

/// The smallest number of terms.
const TERMS: usize = 40;

/// Terms too few, unused, or not linked at their first use in running text.
pub(crate) fn problems(book: &Book, terms_wanted: usize) -> Vec<String> {
    let mut problems = Vec::new();
    let glossary = |page: &&super::pages::Page| page.path.ends_with("glossary.md");
    let Some(glossary_page) = book.pages.iter().find(glossary) else {
        return vec!["the book has no glossary.md".into()];
    };
    if glossary_page.terms.len() < terms_wanted {
        let count = glossary_page.terms.len();
        problems.push(format!(
            "the glossary has {count} terms, fewer than {terms_wanted}"
        ));
    }
    for (term, fragment) in &glossary_page.terms {
        let target = format!("glossary.md#{fragment}");
        match first_use(book, term) {
            None => problems.push(format!("glossary.md: no page uses {term:?}")),
            Some((_, Some(link))) if link == target => {}
            Some((at, _)) => {
                problems.push(format!(
                    "{at}: the first use of {term:?} should link to {target}"
                ));
            }
        }
    }
    problems
}

/// The first place of a term in the running text of a chapter, and the link around it.
fn first_use(book: &Book, term: &str) -> Option<(String, Option<String>)> {
    let words: Vec<String> = term.split_whitespace().map(regex::escape).collect();
    let pattern = format!(r"(?i)\b{}(s|es)?\b", words.join(r"\s+"));
    let pattern = Regex::new(&pattern).expect("words make a pattern");
    for page in book
        .pages
        .iter()
        .filter(|page| !page.path.ends_with("glossary.md"))
    {
        // Pieces of one paragraph are joined, so that a term may run over the end of a line.
        let mut text = String::new();
        let mut starts = Vec::new();
        for (line, piece, link) in &page.prose {
            starts.push((text.len(), *line, link.clone()));
            text.push_str(piece);
        }
        if let Some(found) = pattern.find(&text) {
            let piece = starts.iter().rfind(|(start, _, _)| *start <= found.start());
            let (_, line, link) = piece.expect("the first piece starts at 0");
            return Some((page.at(*line), link.clone()));
        }
    }
    None
}

pub(crate) fn wanted() -> usize {
    TERMS
}
