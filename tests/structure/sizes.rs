//! The lengths of files and functions.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{ImplItemFn, ItemFn};

use super::source::Source;

/// Lines of a file that is read in one sitting.
pub(crate) const FILE: usize = 400;

/// Lines of a function that is read at a glance.
pub(crate) const FUNCTION: usize = 60;

/// Longer ones, with the reason: a file, or a file and its function.
const EXCEPTIONS: [(&str, &str); 0] = [];

fn is_excepted(what: &str) -> bool {
    EXCEPTIONS.iter().any(|(name, _)| *name == what)
}

/// Every file and every function that is too long, and its lines.
fn files(sources: &[Source]) -> Vec<(String, usize)> {
    let files = sources.iter().filter(|source| source.lines() > FILE);
    files
        .map(|source| (source.path.clone(), source.lines()))
        .collect()
}

fn functions(sources: &[Source]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for source in sources {
        let mut functions = Functions::default();
        source
            .items
            .iter()
            .for_each(|item| functions.visit_item(item));
        let named = functions.0.into_iter();
        found.extend(named.map(|(name, lines)| (format!("{} {name}", source.path), lines)));
    }
    found
}

fn without_reason(mut long: Vec<(String, usize)>) -> Vec<String> {
    long.sort_by_key(|(_, lines)| std::cmp::Reverse(*lines));
    long.retain(|(name, _)| !is_excepted(name));
    long.iter()
        .map(|(name, lines)| format!("  {lines} {name}"))
        .collect()
}

pub(crate) fn long_files(sources: &[Source]) -> Vec<String> {
    without_reason(files(sources))
}

pub(crate) fn long_functions(sources: &[Source]) -> Vec<String> {
    without_reason(functions(sources))
}

/// Exceptions for files and functions that are no longer too long, or don't exist.
pub(crate) fn unneeded_exceptions(sources: &[Source]) -> Vec<&'static str> {
    let long = [files(sources), functions(sources)].concat();
    let names = EXCEPTIONS.iter().map(|(name, _)| *name);
    names
        .filter(|name| !long.iter().any(|(long, _)| long == name))
        .collect()
}

/// Functions of more than [`FUNCTION`] lines: name and lines.
#[derive(Default)]
struct Functions(Vec<(String, usize)>);

impl Functions {
    fn note(&mut self, name: &syn::Ident, from: proc_macro2::Span, to: proc_macro2::Span) {
        let lines = to.end().line - from.start().line + 1;
        if lines > FUNCTION {
            self.0.push((name.to_string(), lines));
        }
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.note(
            &function.sig.ident,
            function.sig.span(),
            function.block.span(),
        );
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.note(
            &function.sig.ident,
            function.sig.span(),
            function.block.span(),
        );
        visit::visit_impl_item_fn(self, function);
    }
}
