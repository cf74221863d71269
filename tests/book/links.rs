//! Links between pages and into the project. mdBook builds green with a dead one.

use super::includes::plain;
use super::pages::Book;

/// Every link to a page, a fragment or a file that isn't there.
pub(crate) fn problems(book: &Book) -> Vec<String> {
    let mut problems = Vec::new();
    for page in &book.pages {
        for link in &page.links {
            let target = link.target.as_str();
            if target.starts_with("https://") {
                continue;
            }
            let (path, fragment) = match target.split_once('#') {
                Some((path, fragment)) => (path, Some(fragment)),
                None => (target, None),
            };
            let directory = page.path.parent().unwrap_or(&page.path);
            let path = if path.is_empty() {
                page.path.clone()
            } else {
                plain(&directory.join(path))
            };
            let wrong = match book.pages.iter().find(|other| other.path == path) {
                Some(other) => match fragment {
                    Some(name) if !other.fragments.iter().any(|f| f == name) => {
                        Some(format!("{} has no fragment #{name}", path.display()))
                    }
                    _ => None,
                },
                None if path.extension().is_some_and(|e| e == "md") => {
                    Some(format!("{} is no page of the book", path.display()))
                }
                None if !path.starts_with("chapters") => Some(format!(
                    "{} lies outside the book: name the file instead",
                    path.display()
                )),
                None if !book.root.join(&path).exists() => {
                    Some(format!("{} does not exist", path.display()))
                }
                None => None,
            };
            problems.extend(wrong.map(|what| format!("{}: {what}", page.at(link.line))));
        }
    }
    problems
}
