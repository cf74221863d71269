//! The sources of the book: pages in the order of SUMMARY.md, and the facts about each that the
//! checks use.

use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A book: the checkout it lives in and its pages. The checks take one, so that they can be
/// shown a faulty one.
pub(crate) struct Book {
    /// The directory that holds `chapters`, `examples`, `src` and `tests`.
    pub(crate) root: PathBuf,
    pub(crate) pages: Vec<Page>,
}

/// One page of the book.
pub(crate) struct Page {
    /// Relative to the root, as in `chapters/01-echo.md`.
    pub(crate) path: PathBuf,
    pub(crate) fences: Vec<Fence>,
    pub(crate) links: Vec<Link>,
    /// Inline code, with its line.
    pub(crate) codes: Vec<(usize, String)>,
    /// The fragments that a link can name.
    pub(crate) fragments: Vec<String>,
    /// Running text outside headings and code: the line, the text, and the link that it stands
    /// in.
    pub(crate) prose: Vec<(usize, String, Option<String>)>,
    /// The plots that it shows: the line, and the name in `chapters/plots`.
    pub(crate) plots: Vec<(usize, String)>,
    /// The drawings that it shows: the line, and the name in `chapters/pictures`.
    pub(crate) pictures: Vec<(usize, String)>,
    /// The tables of `chapters/tables` that it shows.
    pub(crate) tables: Vec<String>,
    /// The terms of definition lists, as a reader sees them, and their fragments.
    pub(crate) terms: Vec<(String, String)>,
}

/// A fenced block.
pub(crate) struct Fence {
    /// The line of the opening fence, from 1.
    pub(crate) line: usize,
    /// The text behind the opening fence: the language, then words after commas.
    pub(crate) info: String,
    pub(crate) body: String,
}

pub(crate) struct Link {
    pub(crate) line: usize,
    pub(crate) target: String,
}

impl Book {
    /// Reads SUMMARY.md and every page that it names.
    pub(crate) fn read(root: &Path) -> Result<Book, String> {
        let chapters = root.join("chapters");
        let summary = text_of(&chapters.join("SUMMARY.md"))?;
        let mut pages = Vec::new();
        for link in Page::parse(PathBuf::from("chapters/SUMMARY.md"), &summary).links {
            let path = PathBuf::from("chapters").join(&link.target);
            let text = text_of(&root.join(&path))?;
            pages.push(Page::parse(path, &text));
        }
        if pages.is_empty() {
            return Err("SUMMARY.md names no page".into());
        }
        Ok(Book {
            root: root.to_path_buf(),
            pages,
        })
    }
}

/// Whether a page is checked, by its path or a place on it: an author can choose one, as in `LARDER_PAGE=06`.
pub(crate) fn is_chosen(page: &str) -> bool {
    let chosen = std::env::var("LARDER_PAGE").unwrap_or_default();
    page.contains(&chosen)
}

impl Page {
    /// The number at the start of the file's name: the chapter, and the stage that it builds.
    pub(crate) fn chapter(&self) -> Option<u32> {
        let (digits, _) = self.path.file_name()?.to_str()?.split_once('-')?;
        digits.parse().ok()
    }

    /// `path:line`, for messages.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    pub(crate) fn parse(path: PathBuf, text: &str) -> Page {
        let mut page = Page {
            path,
            fences: Vec::new(),
            links: Vec::new(),
            codes: Vec::new(),
            fragments: Vec::new(),
            prose: Vec::new(),
            plots: Vec::new(),
            pictures: Vec::new(),
            tables: Vec::new(),
            terms: Vec::new(),
        };
        let mut fence: Option<Fence> = None;
        let mut title: Option<String> = None;
        let mut link: Option<String> = None;
        let options = Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_HEADING_ATTRIBUTES
            | Options::ENABLE_DEFINITION_LIST
            | Options::ENABLE_GFM;
        for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
            let line = text[..range.start].matches('\n').count() + 1;
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = match kind {
                        CodeBlockKind::Fenced(info) => info.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    fence = Some(Fence {
                        line,
                        info,
                        body: String::new(),
                    });
                }
                Event::End(TagEnd::CodeBlock) => page.fences.extend(fence.take()),
                Event::Start(Tag::Heading { .. } | Tag::DefinitionListTitle) => {
                    title = Some(String::new());
                }
                Event::End(end @ (TagEnd::Heading(_) | TagEnd::DefinitionListTitle)) => {
                    let title = title.take().unwrap_or_default();
                    let fragment = fragment(&title, &page.fragments);
                    page.fragments.push(fragment.clone());
                    if end == TagEnd::DefinitionListTitle {
                        page.terms.push((title, fragment));
                    }
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    link = Some(dest_url.to_string());
                    page.links.push(Link {
                        line,
                        target: dest_url.to_string(),
                    });
                }
                Event::End(TagEnd::Link | TagEnd::Image) => link = None,
                Event::Text(piece) => match (&mut fence, &mut title) {
                    (Some(fence), _) => fence.body.push_str(&piece),
                    (_, Some(title)) => title.push_str(&piece),
                    _ if svg(&piece, "plots").is_some() => {
                        page.plots
                            .extend(svg(&piece, "plots").map(|name| (line, name)));
                    }
                    _ if piece.starts_with("{{#include tables/") => {
                        let name = piece.trim_start_matches("{{#include tables/");
                        page.tables.push(name.trim_end_matches(".md}}").to_owned());
                    }
                    _ if svg(&piece, "pictures").is_some() => {
                        page.pictures
                            .extend(svg(&piece, "pictures").map(|name| (line, name)));
                    }
                    _ => page.prose.push((line, piece.to_string(), link.clone())),
                },
                Event::Code(code) => {
                    if let Some(title) = &mut title {
                        title.push_str(&code);
                    }
                    page.codes.push((line, code.to_string()));
                }
                Event::SoftBreak
                | Event::HardBreak
                | Event::End(TagEnd::Paragraph | TagEnd::Item | TagEnd::TableCell) => {
                    page.prose.push((line, "\n".into(), link.clone()));
                }
                _ => {}
            }
        }
        page
    }
}

impl Fence {
    pub(crate) fn language(&self) -> &str {
        self.info.split(',').next().unwrap_or_default().trim()
    }

    /// Whether this word stands behind the language, as `server` does in `console,server`.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.info.split(',').skip(1).any(|w| w.trim() == word)
    }
}

/// The name of a plot, when this text is its include: only pictures are included outside a fenced
/// block.
fn svg(text: &str, directory: &str) -> Option<String> {
    let name = text
        .strip_prefix("{{#include ")?
        .strip_prefix(directory)?
        .strip_prefix('/')?
        .strip_suffix(".svg}}")?;
    (!name.contains(['{', '}', '/', '.'])).then(|| name.to_owned())
}

/// The fragment that mdBook gives a heading: small letters, digits, `-` and `_`; a number after
/// it when it is taken.
fn fragment(title: &str, taken: &[String]) -> String {
    let mut id = String::new();
    for c in title.trim().chars() {
        if c.is_alphanumeric() || c == '_' || c == '-' {
            id.extend(c.to_lowercase());
        } else if c.is_whitespace() {
            id.push('-');
        }
    }
    let free = |id: &String| !taken.contains(id);
    if free(&id) {
        return id;
    }
    (1..)
        .map(|n| format!("{id}-{n}"))
        .find(free)
        .expect("a number that is free")
}

pub(crate) fn text_of(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Every file below `directory` whose name ends so, sorted. Nothing when there is no such
/// directory.
pub(crate) fn files_below(directory: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                left.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
