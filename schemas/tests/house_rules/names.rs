//! The names that production code says: paths, imports, and methods that it calls, outside of test code.
//!
//! Not here: what a name may be (`durable`, `network`).

use std::path::PathBuf;

use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::CRATES;
use crate::modules::{Tree, is_test};

/// A name as it is written.
pub(crate) struct Name {
    pub(crate) line: usize,
    /// The parts of a path, or the one name of a method that is called.
    pub(crate) parts: Vec<String>,
    pub(crate) is_call: bool,
}

/// All names of a file of Rust.
pub(crate) fn names(text: &str) -> Vec<Name> {
    let mut said = Said::default();
    said.visit_file(&syn::parse_file(text).unwrap());
    said.0
}

/// The files of production code of all crates but these: a test's own files are no matter of these rules.
pub(crate) fn production_files(without: &[&str]) -> Vec<PathBuf> {
    let names = CRATES.into_iter().filter(|name| !without.contains(name));
    names.flat_map(Tree::of_crate).flat_map(|tree| tree.lines.into_keys()).collect()
}

#[derive(Default)]
struct Said(Vec<Name>);

impl Said {
    fn add(&mut self, parts: Vec<String>, line: usize) {
        self.0.push(Name { line, parts, is_call: false });
    }

    fn look_at_use(&mut self, tree: &syn::UseTree, before: &[String], line: usize) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.look_at_use(&path.tree, &with(&path.ident), line),
            syn::UseTree::Name(name) => self.add(with(&name.ident), line),
            syn::UseTree::Rename(name) => self.add(with(&name.ident), line),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.look_at_use(item, before, line));
            }
            syn::UseTree::Glob(_) => self.add(before.to_vec(), line),
        }
    }
}

impl<'a> Visit<'a> for Said {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }
    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }
    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            syn::visit::visit_impl_item_fn(self, item);
        }
    }
    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.look_at_use(&item.tree, &[], item.span().start().line);
        }
    }
    fn visit_path(&mut self, path: &'a syn::Path) {
        let parts = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(parts, path.span().start().line);
        syn::visit::visit_path(self, path);
    }
    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        self.0.push(Name {
            line: call.span().start().line,
            parts: vec![call.method.to_string()],
            is_call: true,
        });
        syn::visit::visit_expr_method_call(self, call);
    }
}
