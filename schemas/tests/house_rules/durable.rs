//! Durable bytes are made in the crate `files` alone.

use std::fmt::Write as _;
use std::path::PathBuf;

use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::modules::{Tree, is_test};
use crate::{CRATES, root};

/// Looks for what makes, renames or syncs a file, outside test code.
#[derive(Default)]
struct HandMade {
    found: Vec<(usize, String)>,
}

impl HandMade {
    fn look(&mut self, names: &[String], line: usize) {
        let last_two = &names[names.len().saturating_sub(2)..];
        let is_hand_made = match last_two {
            [of, what] if of == "fs" => ["rename", "hard_link", "write", "copy"].contains(&what.as_str()),
            [of, what] if of == "File" => ["create", "create_new", "options"].contains(&what.as_str()),
            _ => false,
        };
        if is_hand_made || names.iter().any(|name| name == "OpenOptions") {
            self.found.push((line, names.join("::")));
        }
    }

    fn look_at_use(&mut self, tree: &syn::UseTree, before: &[String], line: usize) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.look_at_use(&path.tree, &with(&path.ident), line),
            syn::UseTree::Name(name) => self.look(&with(&name.ident), line),
            syn::UseTree::Rename(name) => self.look(&with(&name.ident), line),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.look_at_use(item, before, line));
            }
            syn::UseTree::Glob(_) => {}
        }
    }
}

impl<'a> Visit<'a> for HandMade {
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
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.look(&names, path.span().start().line);
        syn::visit::visit_path(self, path);
    }
    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        let name = call.method.to_string();
        if name == "sync_all" || name == "sync_data" {
            self.found.push((call.span().start().line, name));
        }
        syn::visit::visit_expr_method_call(self, call);
    }
}

fn hand_made(text: &str) -> Vec<(usize, String)> {
    let mut hand_made = HandMade::default();
    hand_made.visit_file(&syn::parse_file(text).unwrap());
    hand_made.found
}

/// The files of production code outside `files` and `benches`: a test's own files are no matter of durability.
fn production_files() -> Vec<PathBuf> {
    let names = CRATES.into_iter().filter(|name| !["files", "benches"].contains(name));
    names.flat_map(Tree::of_crate).flat_map(|tree| tree.lines.into_keys()).collect()
}

#[test]
fn durable_files_are_made_in_files_alone() {
    let mut broken = String::new();
    for path in production_files() {
        let shown = path.strip_prefix(root()).unwrap().display();
        for (line, what) in hand_made(&std::fs::read_to_string(&path).unwrap()) {
            writeln!(broken, "{shown}:{line}: `{what}`: durable bytes go through shoal-files").unwrap();
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}

#[test]
fn what_is_made_by_hand_is_seen() {
    for bad in [
        "use std::fs::OpenOptions;",
        "use std::{fs::{self, rename}, io};",
        "fn f() { std::fs::File::create(p); }",
        "fn f() { File::options().write(true); }",
        "fn f() { File::create_new(p).map(|file| file.sync_all()); }",
        "impl A { fn f(&self) { fs::hard_link(a, b).and_then(|()| fs::write(a, b)) } }",
        "mod inner { fn f() { self.file.sync_data()? } }",
    ] {
        assert!(!hand_made(bad).is_empty(), "{bad}");
    }
    for good in [
        "use std::fs::{self, File};\nfn f() { File::open(p); fs::remove_file(p); }",
        "#[cfg(test)]\nmod tests { fn f() { std::fs::write(a, b); } }",
        "impl Backend for A { fn sync_data(&self) -> io::Result<()> { Ok(()) } }",
        "fn f(disk: &Disk) { disk.put(name, bytes); disk.rename(a, b); }",
    ] {
        assert!(hand_made(good).is_empty(), "{good}");
    }
    let files = production_files();
    let is_looked_at = |name: &str| files.contains(&root().join(name));
    assert!(is_looked_at("audit/src/chain/writer.rs") && is_looked_at("server/src/main.rs"));
    // Their declarations are under `#[cfg(test)]`.
    assert!(!is_looked_at("audit/src/chain/tests.rs") && !is_looked_at("server/src/config/example.rs"));
}
