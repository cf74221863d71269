//! The files of `src`, parsed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item};

/// One file.
pub(crate) struct Source {
    /// Below `src`, as in `store/shard.rs`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Its items without those of tests.
    pub(crate) items: Vec<Item>,
}

impl Source {
    /// Every file of `src` that isn't a test's.
    pub(crate) fn all() -> Vec<Source> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut waiting = vec![root.clone()];
        let mut paths: Vec<PathBuf> = Vec::new();
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(&directory).expect("src can be read") {
                let path = entry.expect("src can be read").path();
                match path.extension() {
                    _ if path.is_dir() => waiting.push(path),
                    Some(extension) if extension == "rs" => paths.push(path),
                    _ => {}
                }
            }
        }
        paths.sort();
        let mut sources: Vec<_> = paths.iter().map(|path| Source::read(&root, path)).collect();
        // Files that no module leads to, because only tests declare it, are tests.
        let mut reached = BTreeSet::from(["lib.rs".to_owned(), "main.rs".to_owned()]);
        let mut before = 0;
        while before < reached.len() {
            before = reached.len();
            let known = sources
                .iter()
                .filter(|source| reached.contains(&source.path));
            let declared: Vec<String> = known.flat_map(Source::declared).collect();
            reached.extend(declared);
        }
        for source in &mut sources {
            if !reached.contains(&source.path) {
                source.items.clear();
            }
        }
        sources
    }

    /// The files that the modules declared here may have.
    fn declared(&self) -> Vec<String> {
        let directory = match self.path.rsplit_once('/') {
            Some((directory, "mod.rs")) => format!("{directory}/"),
            _ if ["lib.rs", "main.rs"].contains(&&*self.path) => String::new(),
            _ => format!("{}/", self.path.trim_end_matches(".rs")),
        };
        let modules = self.items.iter().filter_map(|item| match item {
            Item::Mod(module) if module.content.is_none() => Some(&module.ident),
            _ => None,
        });
        let files = modules.flat_map(|name| {
            [
                format!("{directory}{name}.rs"),
                format!("{directory}{name}/mod.rs"),
            ]
        });
        files.collect()
    }

    fn read(root: &Path, path: &Path) -> Source {
        let text = fs::read_to_string(path).expect("src can be read");
        let path = path.strip_prefix(root).expect("it lies below src");
        Source::parse(&path.display().to_string(), text)
    }

    pub(crate) fn parse(path: &str, text: String) -> Source {
        let path = path.to_owned();
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut items = file.items;
        without_tests(&mut items);
        Source { path, text, items }
    }

    pub(crate) fn lines(&self) -> usize {
        self.text.lines().count()
    }
}

fn without_tests(items: &mut Vec<Item>) {
    items.retain(|item| !attributes(item).iter().any(is_for_tests));
    for item in items {
        if let Item::Mod(module) = item
            && let Some((_, items)) = &mut module.content
        {
            without_tests(items);
        }
    }
}

/// `#[cfg(test)]`, alone or with other conditions.
fn is_for_tests(attribute: &Attribute) -> bool {
    let text = match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string(),
        _ => return attribute.path().is_ident("test"),
    };
    text == "test" || text.starts_with("all (test") || text == "doctest"
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The room of a file: its first directory, or its own name.
pub(crate) fn room(path: &str) -> &str {
    let first = path.split('/').next().unwrap_or(path);
    first.strip_suffix(".rs").unwrap_or(first)
}
