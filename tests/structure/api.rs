//! The library's public items: the names that other crates can use.
//!
//! An item is public if it is `pub` and a path leads to it from `lib.rs` over `pub mod` and `pub use`. Methods and
//! constants of public types count as items; fields and variants don't.

use std::collections::{BTreeMap, BTreeSet};

use syn::{ImplItem, Item, UseTree, Visibility};

use super::modules::{Modules, Path, path};
use super::source::Source;

/// Every public path, `larder::Server::start`, and behind it the Cargo features that it needs: `larder::Ring (proxy)`,
/// `larder::pool::Ring (internals, proxy)`.
pub(crate) fn public(sources: &[Source]) -> BTreeSet<String> {
    let mut api = Api {
        modules: Modules::of(sources),
        items: BTreeMap::new(),
        methods: BTreeMap::new(),
    };
    for source in sources {
        let at = path(&source.path);
        if at[0] == "larder" {
            api.add(&at, &source.items);
        }
    }
    let mut found = BTreeSet::new();
    let root = ["larder".to_owned()];
    api.walk(&root, "larder", &mut found);
    let features = features(api.items[&root[..]]);
    let with_feature = |item: String| {
        let module = item.split("::").nth(1).unwrap_or_default();
        match features.get(module) {
            Some(feature) => format!("{item} ({feature})"),
            None => item,
        }
    };
    found.into_iter().map(with_feature).collect()
}

/// The features that the crate's public modules and its own names need: `internals, proxy`.
fn features(items: &[Item]) -> BTreeMap<String, String> {
    let mut features = BTreeMap::new();
    for item in items {
        let (attributes, names) = match item {
            Item::Mod(module) if is_public(&module.vis) => {
                (&module.attrs, vec![module.ident.to_string()])
            }
            Item::Use(item) if is_public(&item.vis) => {
                let names = targets(&item.tree).into_iter().map(|(name, _)| name);
                (&item.attrs, names.collect())
            }
            _ => continue,
        };
        let needed: Vec<String> = attributes.iter().flat_map(required).collect();
        if !needed.is_empty() {
            features.extend(names.into_iter().map(|name| (name, needed.join(", "))));
        }
    }
    features
}

/// The features in `cfg(feature = "…")` or `cfg(all(feature = "…", …))`.
fn required(attribute: &syn::Attribute) -> Vec<String> {
    let mut found = Vec::new();
    if attribute.path().is_ident("cfg") {
        attribute
            .parse_nested_meta(|meta| read_condition(meta, &mut found))
            .expect("a condition of features");
    }
    found
}

fn read_condition(
    meta: syn::meta::ParseNestedMeta<'_>,
    found: &mut Vec<String>,
) -> syn::Result<()> {
    if meta.path.is_ident("all") {
        return meta.parse_nested_meta(|inner| read_condition(inner, found));
    }
    if meta.path.is_ident("not") || meta.path.is_ident("any") {
        return meta.parse_nested_meta(|inner| read_condition(inner, &mut Vec::new()));
    }
    if meta.input.peek(syn::Token![=]) {
        let value: syn::LitStr = meta.value()?.parse()?;
        if meta.path.is_ident("feature") {
            found.push(value.value());
        }
    }
    Ok(())
}

struct Api<'a> {
    modules: Modules,
    /// The items of each module.
    items: BTreeMap<Path, &'a [Item]>,
    /// The public methods of each type, by the file that defines the type and its name.
    methods: BTreeMap<(String, String), BTreeSet<String>>,
}

impl<'a> Api<'a> {
    fn add(&mut self, at: &Path, items: &'a [Item]) {
        self.items.insert(at.clone(), items);
        for item in items {
            match item {
                Item::Mod(module) => {
                    if let Some((_, items)) = &module.content {
                        let inner = [at.as_slice(), &[module.ident.to_string()]].concat();
                        self.add(&inner, items);
                    }
                }
                Item::Impl(block) if block.trait_.is_none() => {
                    let syn::Type::Path(of) = &*block.self_ty else {
                        continue;
                    };
                    let names = of.path.segments.iter().map(|part| part.ident.to_string());
                    let names: Path = names.collect();
                    let Some(found) = self.modules.resolve(at, &names) else {
                        continue;
                    };
                    let methods = block.items.iter().filter_map(|item| match item {
                        ImplItem::Fn(method) if is_public(&method.vis) => Some(&method.sig.ident),
                        ImplItem::Const(item) if is_public(&item.vis) => Some(&item.ident),
                        _ => None,
                    });
                    let needed: Vec<String> = block.attrs.iter().flat_map(required).collect();
                    let of = self.methods.entry((found.file, found.name)).or_default();
                    of.extend(methods.map(|method| match needed.as_slice() {
                        [] => method.to_string(),
                        needed => format!("{method} ({})", needed.join(", ")),
                    }));
                }
                _ => {}
            }
        }
    }

    /// Adds the public items of a module, which is known outside as `name`.
    fn walk(&self, at: &[String], name: &str, found: &mut BTreeSet<String>) {
        for item in self.items.get(at).copied().unwrap_or_default() {
            match item {
                Item::Mod(module) if is_public(&module.vis) => {
                    let module = module.ident.to_string();
                    let inner = [at, std::slice::from_ref(&module)].concat();
                    found.insert(format!("{name}::{module}"));
                    self.walk(&inner, &format!("{name}::{module}"), found);
                }
                Item::Use(item) if is_public(&item.vis) => {
                    for (ident, target) in targets(&item.tree) {
                        self.name(at, &target, &format!("{name}::{ident}"), found);
                    }
                }
                item => {
                    if let Some(ident) = public_item(item) {
                        let path = [ident.clone()];
                        self.name(at, &path, &format!("{name}::{ident}"), found);
                    }
                }
            }
        }
    }

    /// Adds an item and its methods.
    fn name(&self, at: &[String], target: &[String], name: &str, found: &mut BTreeSet<String>) {
        found.insert(name.to_owned());
        if let Some(item) = self.modules.resolve(at, target) {
            let methods = self.methods.get(&(item.file, item.name));
            let methods = methods.into_iter().flatten();
            found.extend(methods.map(|method| format!("{name}::{method}")));
        }
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn public_item(item: &Item) -> Option<String> {
    let (visibility, name) = match item {
        Item::Const(item) => (&item.vis, &item.ident),
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Fn(item) => (&item.vis, &item.sig.ident),
        Item::Static(item) => (&item.vis, &item.ident),
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Trait(item) => (&item.vis, &item.ident),
        Item::Type(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    is_public(visibility).then(|| name.to_string())
}

/// The names that a `pub use` passes on, and their paths.
fn targets(tree: &UseTree) -> Vec<(String, Path)> {
    match tree {
        UseTree::Name(name) => vec![(name.ident.to_string(), vec![name.ident.to_string()])],
        UseTree::Rename(rename) => {
            vec![(rename.rename.to_string(), vec![rename.ident.to_string()])]
        }
        UseTree::Path(path) => targets(&path.tree)
            .into_iter()
            .map(|(name, rest)| (name, [vec![path.ident.to_string()], rest].concat()))
            .collect(),
        UseTree::Group(group) => group.items.iter().flat_map(targets).collect(),
        // A glob would make all later items public: the test reports it.
        UseTree::Glob(_) => vec![("*".to_owned(), vec!["*".to_owned()])],
    }
}
