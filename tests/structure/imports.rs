//! The imports between files, and their cycles.
//!
//! A use counts where a name is mentioned in code, not where `use` brings it into a file; so a `mod.rs` that only declares
//! modules and passes their names on uses nothing. Names in a trait's own definition don't count either: a trait and the
//! types in its methods belong together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Item, ItemTrait, Macro};

use super::modules::{Modules, Path, path};
use super::source::Source;

/// One file uses a name that another one defines.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) name: String,
}

/// Every import between two files, one for each name.
pub(crate) fn between_files(sources: &[Source]) -> BTreeSet<Import> {
    let modules = Modules::of(sources);
    let mut imports = BTreeSet::new();
    for source in sources {
        collect(&modules, &path(&source.path), &source.items, &mut imports);
    }
    imports
}

fn collect(modules: &Modules, at: &Path, items: &[Item], imports: &mut BTreeSet<Import>) {
    let mut mentioned = Mentioned::default();
    for item in items {
        match item {
            Item::Use(_) | Item::Mod(_) => {}
            item => mentioned.visit_item(item),
        }
        if let Item::Mod(module) = item
            && let Some((_, items)) = &module.content
        {
            let inner = [at.as_slice(), &[module.ident.to_string()]].concat();
            collect(modules, &inner, items, imports);
        }
    }
    let from = &modules.module(at).expect("every file is a module").file;
    for names in mentioned.paths {
        if let Some(found) = modules.resolve(at, &names)
            && found.file != *from
        {
            imports.insert(Import {
                from: from.clone(),
                to: found.file,
                name: found.name,
            });
        }
    }
}

/// The paths that code mentions.
#[derive(Default)]
struct Mentioned {
    paths: BTreeSet<Path>,
}

impl<'ast> Visit<'ast> for Mentioned {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|part| part.ident.to_string());
        self.paths.insert(names.collect());
        visit::visit_path(self, path);
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        // Bodies of methods count; signatures don't.
        for item in &item.items {
            if let syn::TraitItem::Fn(method) = item
                && let Some(body) = &method.default
            {
                self.visit_block(body);
            }
        }
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_macro(&mut self, item: &'ast Macro) {
        self.visit_path(&item.path);
        self.tokens(item.tokens.clone());
    }
}

impl Mentioned {
    /// The paths in a macro's input: names with `::` between them.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Path = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.paths.insert(std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.paths.insert(std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.paths.insert(path);
    }
}

type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

fn graph(imports: &BTreeSet<Import>) -> Graph<'_> {
    let mut graph = Graph::new();
    for import in imports {
        graph.entry(&import.from).or_default().insert(&import.to);
        graph.entry(&import.to).or_default();
    }
    graph
}

/// The files that `from` leads to, in one import or several.
fn reached<'a>(graph: &Graph<'a>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<&str> = graph[from].iter().copied().collect();
    while let Some(file) = waiting.pop() {
        let (&file, next) = graph.get_key_value(file).expect("every file is in it");
        if reached.insert(file) {
            waiting.extend(next);
        }
    }
    reached
}

/// The groups of files of which each leads to each other, the largest first.
pub(crate) fn cycles(imports: &BTreeSet<Import>) -> Vec<Vec<String>> {
    let graph = graph(imports);
    let reached: BTreeMap<&str, BTreeSet<&str>> = graph
        .keys()
        .map(|&file| (file, reached(&graph, file)))
        .collect();
    let mut groups = BTreeSet::new();
    for (&file, others) in &reached {
        if others.contains(file) {
            let group = others.iter().filter(|other| reached[*other].contains(file));
            groups.insert(group.map(|&file| file.to_owned()).collect::<Vec<_>>());
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}

/// The shortest way around in a group, with a name for each step, and how many files the group has.
pub(crate) fn shortest(group: &[String], imports: &BTreeSet<Import>) -> String {
    let graph = graph(imports);
    let around = group.iter().filter_map(|file| way_back(&graph, file));
    let way = around.min_by_key(Vec::len).expect("a group is a cycle");
    let steps = way.windows(2).map(|step| {
        let names: Vec<&str> = imports
            .iter()
            .filter(|import| import.from == step[0] && import.to == step[1])
            .map(|import| import.name.as_str())
            .collect();
        format!("  {} uses {} of {}", step[0], names.join(", "), step[1])
    });
    let steps: Vec<String> = steps.collect();
    format!(
        "{} files: {}\n{}",
        group.len(),
        group.join(" "),
        steps.join("\n")
    )
}

/// The shortest way from a file back to it.
fn way_back<'a>(graph: &Graph<'a>, start: &str) -> Option<Vec<&'a str>> {
    let (&start, _) = graph.get_key_value(start)?;
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for &next in &graph[way.last().expect("a way has a start")] {
            if next == start || seen.insert(next) {
                let longer = [way.as_slice(), &[next]].concat();
                if next == start {
                    return Some(longer);
                }
                ways.push_back(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(files: &[(&str, &str)]) -> Vec<String> {
        let sources = files
            .iter()
            .map(|(path, text)| Source::parse(path, (*text).into()));
        let imports = between_files(&sources.collect::<Vec<_>>());
        let shown = imports
            .iter()
            .map(|i| format!("{} {} {}", i.from, i.name, i.to));
        shown.collect()
    }

    #[test]
    fn a_name_leads_to_the_file_that_defines_it() {
        let files = [
            ("lib.rs", "pub mod a; pub mod b;"),
            (
                "a/mod.rs",
                "mod inner; pub use inner::*; pub(crate) use inner::Two as Second;",
            ),
            (
                "a/inner.rs",
                "pub struct One; pub struct Two; #[cfg(test)] use crate::b::Other;",
            ),
            (
                "b.rs",
                "use crate::a::{self, One}; pub struct Other(One, a::Second); fn f() { assert!(crate::a::Two == 1) }",
            ),
        ];
        assert_eq!(
            imports(&files),
            ["b.rs One a/inner.rs", "b.rs Two a/inner.rs"]
        );
    }

    #[test]
    fn a_cycle_is_found_and_the_shortest_way_around_shown() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            (
                "a.rs",
                "use super::b::B; struct A(B); trait T { fn d(_: super::d::D); }",
            ),
            ("b.rs", "struct B(crate::c::C, crate::a::A);"),
            (
                "c.rs",
                "use crate::a; struct C; impl Drop for C { fn drop(&mut self) { let _: a::A; } }",
            ),
            ("d.rs", "struct D(crate::a::A);"),
        ];
        let sources = files.map(|(path, text)| Source::parse(path, text.into()));
        let imports = between_files(&sources);
        let cycles = cycles(&imports);
        assert_eq!(cycles, [["a.rs", "b.rs", "c.rs"]]);
        assert_eq!(
            shortest(&cycles[0], &imports),
            "3 files: a.rs b.rs c.rs\n  a.rs uses B of b.rs\n  b.rs uses A of a.rs"
        );
    }
}
