//! The file that defines a name: modules, their items, and the names that `use` brings into them.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Item, UseTree};

use super::source::Source;

/// A module's path: the crate, then the modules, as in `["larder", "store", "shard"]`.
pub(crate) type Path = Vec<String>;

/// One module.
#[derive(Default)]
pub(crate) struct Module {
    pub(crate) file: String,
    /// The items that are defined here, without modules.
    items: BTreeSet<String>,
    modules: BTreeSet<String>,
    /// Names that `use` brings: the name here, and the path that it stands for.
    pub(crate) uses: BTreeMap<String, Path>,
    globs: Vec<Path>,
}

/// All modules of the library and the binary.
pub(crate) struct Modules(BTreeMap<Path, Module>);

/// The target of a path.
pub(crate) struct Found {
    pub(crate) file: String,
    pub(crate) name: String,
}

impl Modules {
    pub(crate) fn of(sources: &[Source]) -> Modules {
        let mut modules = Modules(BTreeMap::new());
        for source in sources {
            modules.add(path(&source.path), &source.path, &source.items);
        }
        modules
    }

    fn add(&mut self, path: Path, file: &str, items: &[Item]) {
        let mut module = Module {
            file: file.to_owned(),
            ..Module::default()
        };
        for item in items {
            let name = match item {
                Item::Const(item) => &item.ident,
                Item::Enum(item) => &item.ident,
                Item::Fn(item) => &item.sig.ident,
                Item::Static(item) => &item.ident,
                Item::Struct(item) => &item.ident,
                Item::Trait(item) => &item.ident,
                Item::Type(item) => &item.ident,
                Item::Macro(item) => match &item.ident {
                    Some(name) => name,
                    None => continue,
                },
                Item::Use(item) => {
                    module.bring(&mut Vec::new(), &item.tree);
                    continue;
                }
                Item::Mod(item) => {
                    module.modules.insert(item.ident.to_string());
                    if let Some((_, items)) = &item.content {
                        let mut inner = path.clone();
                        inner.push(item.ident.to_string());
                        self.add(inner, file, items);
                    }
                    continue;
                }
                _ => continue,
            };
            module.items.insert(name.to_string());
        }
        self.0.insert(path, module);
    }

    pub(crate) fn module(&self, path: &[String]) -> Option<&Module> {
        self.0.get(path)
    }

    /// The file that defines the item of `names` in the module `from`. `None` for another crate's, for a module, and
    /// for names that are no path.
    pub(crate) fn resolve(&self, from: &[String], names: &[String]) -> Option<Found> {
        self.resolve_within(from, names, 16)
    }

    fn resolve_within(&self, from: &[String], names: &[String], steps: usize) -> Option<Found> {
        let steps = steps.checked_sub(1)?;
        let mut at: Path = from.to_vec();
        let mut names = names;
        match names.first()?.as_str() {
            "crate" => at.truncate(1),
            "self" => {}
            "super" => {
                at.pop();
            }
            "larder" => at = vec!["larder".into()],
            _ => return self.named(&at, names, steps),
        }
        names = &names[1..];
        while names.first().is_some_and(|name| name == "super") {
            at.pop();
            names = &names[1..];
        }
        self.named(&at, names, steps)
    }

    /// The same for a path that begins with a name of the module `at`.
    fn named(&self, at: &[String], names: &[String], steps: usize) -> Option<Found> {
        let (first, rest) = names.split_first()?;
        let module = self.0.get(at)?;
        if module.items.contains(first) {
            return Some(Found {
                file: module.file.clone(),
                name: first.clone(),
            });
        }
        if module.modules.contains(first) {
            let mut inner = at.to_vec();
            inner.push(first.clone());
            return self.named(&inner, rest, steps);
        }
        if let Some(target) = module.uses.get(first) {
            let target = [target.as_slice(), rest].concat();
            return self.resolve_within(at, &target, steps.checked_sub(1)?);
        }
        module.globs.iter().find_map(|glob| {
            let target = [glob.as_slice(), names].concat();
            self.resolve_within(at, &target, steps.checked_sub(1)?)
        })
    }
}

impl Module {
    fn bring(&mut self, before: &mut Path, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.bring(before, &path.tree);
                before.pop();
            }
            UseTree::Name(name) if name.ident == "self" => {
                let name = before.last().cloned().unwrap_or_default();
                self.uses.insert(name, before.clone());
            }
            UseTree::Name(name) => {
                let target = [before.as_slice(), &[name.ident.to_string()]].concat();
                self.uses.insert(name.ident.to_string(), target);
            }
            UseTree::Rename(rename) => {
                let target = match rename.ident == "self" {
                    true => before.clone(),
                    false => [before.as_slice(), &[rename.ident.to_string()]].concat(),
                };
                self.uses.insert(rename.rename.to_string(), target);
            }
            UseTree::Glob(_) => self.globs.push(before.clone()),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.bring(before, tree);
                }
            }
        }
    }
}

/// The module of a file. `main.rs` and `program` are the binary's.
pub(crate) fn path(file: &str) -> Path {
    let names: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    let names = names.strip_suffix(&["mod"]).unwrap_or(&names);
    let krate = match names {
        ["main"] => return vec!["bin".into()],
        ["lib"] => return vec!["larder".into()],
        ["program", ..] => "bin",
        _ => "larder",
    };
    let names = names.iter().map(|&name| name.to_owned());
    std::iter::once(krate.to_owned()).chain(names).collect()
}
