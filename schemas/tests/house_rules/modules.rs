//! The production modules of a crate and what their paths refer to, read from the sources.
//!
//! A [`Tree`] starts at a crate's root file and follows `mod` declarations; what is under `#[cfg(test)]` is left out. It
//! resolves a path to the file that defines the name, through `use` declarations and re-exports. What the call of a macro at
//! the level of items defines is taken to be every name that stands directly in its body; an item that a macro always gives
//! the same name is defined where the macro is declared.
//!
//! Not here: which references are allowed (`circles`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::Visit;

/// A module: its position in [`Tree::modules`].
type Module = usize;

/// Where a path leads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Module(Module),
    /// An item that this module defines.
    Item(Module),
}

#[derive(Default)]
struct Contents {
    parent: Option<Module>,
    file: PathBuf,
    children: BTreeMap<String, Module>,
    items: BTreeSet<String>,
    imports: BTreeMap<String, Vec<Vec<String>>>,
    globs: Vec<Vec<String>>,
    references: Vec<Reference>,
}

/// A path as it is written in a module.
struct Reference {
    path: Vec<String>,
    line: usize,
    /// Whether it stands in the body of a macro, so that it may be no path at all.
    is_guess: bool,
}

/// A name that one file uses and another one defines.
pub(crate) struct Use {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
    pub(crate) name: String,
}

/// The production modules of one crate.
pub(crate) struct Tree {
    modules: Vec<Contents>,
    /// Production lines of each file: without modules under `#[cfg(test)]`.
    pub(crate) lines: BTreeMap<PathBuf, usize>,
}

impl Tree {
    /// Each root file of a crate of the workspace with its production modules.
    pub(crate) fn of_crate(name: &str) -> Vec<Tree> {
        let src = crate::root().join(name).join("src");
        let mut roots = vec![src.join("lib.rs"), src.join("main.rs")];
        if let Ok(binaries) = std::fs::read_dir(src.join("bin")) {
            roots.extend(binaries.map(|entry| entry.unwrap().path()));
        }
        roots.iter().filter(|path| path.is_file()).map(|path| Tree::read(path)).collect()
    }

    /// Reads the crate whose root file this is.
    pub(crate) fn read(root: &Path) -> Tree {
        let mut tree = Tree { modules: Vec::new(), lines: BTreeMap::new() };
        let dir = root.parent().unwrap();
        tree.add_file(None, root, dir);
        tree
    }

    /// Every reference from one file to another, and the paths whose definition was not found.
    pub(crate) fn uses(&self) -> (Vec<Use>, Vec<String>) {
        let (mut uses, mut lost) = (Vec::new(), Vec::new());
        for (at, module) in self.modules.iter().enumerate() {
            for reference in &module.references {
                let found = self.resolve(at, &reference.path, 0);
                let is_local = matches!(reference.path[0].as_str(), "crate" | "self" | "super");
                let name = reference.path.join("::");
                if found.is_empty() && is_local && !reference.is_guess {
                    lost.push(format!("{}:{}: {name}", module.file.display(), reference.line));
                }
                for target in found {
                    if let Target::Item(owner) = target
                        && self.modules[owner].file != module.file
                    {
                        let (from, to) = (module.file.clone(), self.modules[owner].file.clone());
                        uses.push(Use { from, to, name: name.clone() });
                    }
                }
            }
        }
        (uses, lost)
    }

    fn add_file(&mut self, parent: Option<Module>, file: &Path, dir: &Path) -> Module {
        let text = std::fs::read_to_string(file).unwrap();
        let parsed = syn::parse_file(&text).unwrap();
        self.lines.insert(file.to_path_buf(), text.lines().count());
        self.add_module(parent, file, dir, &parsed.items)
    }

    fn add_module(&mut self, parent: Option<Module>, file: &Path, dir: &Path, items: &[syn::Item]) -> Module {
        let at = self.modules.len();
        self.modules.push(Contents { parent, file: file.to_path_buf(), ..Contents::default() });
        for item in items {
            let syn::Item::Mod(child) = item else { continue };
            if is_test(&child.attrs) {
                let lines = child.span().end().line - child.span().start().line + 1;
                *self.lines.get_mut(file).unwrap() -= lines;
                continue;
            }
            let name = child.ident.to_string();
            let below = dir.join(&name);
            let added = match &child.content {
                Some((_, items)) => self.add_module(Some(at), file, &below, items),
                None => {
                    let flat = dir.join(format!("{name}.rs"));
                    let path = if flat.exists() { flat } else { below.join("mod.rs") };
                    self.add_file(Some(at), &path, &below)
                }
            };
            self.modules[at].children.insert(name, added);
        }
        let mut reader = Reader { contents: &mut self.modules[at] };
        items.iter().for_each(|item| reader.define(item));
        items.iter().for_each(|item| reader.visit_item(item));
        at
    }

    /// What a path means in a module: an item, a module, several things of one name, or nothing of this crate.
    fn resolve(&self, from: Module, path: &[String], depth: usize) -> BTreeSet<Target> {
        let mut reached = BTreeSet::new();
        // Two modules that import from each other by `*` would be followed for ever.
        if depth > 16 {
            return reached;
        }
        let Some((first, rest)) = path.split_first() else { return BTreeSet::from([Target::Module(from)]) };
        match first.as_str() {
            "crate" => reached = self.resolve(0, rest, depth),
            "self" => reached = self.resolve(from, rest, depth),
            "super" => {
                if let Some(parent) = self.modules[from].parent {
                    reached = self.resolve(parent, rest, depth);
                }
            }
            name => {
                let found = self.look_up(from, name, depth);
                // A function may have the name of a module, but no path leads through it.
                let has_module = found.iter().any(|target| matches!(target, Target::Module(_)));
                for target in found {
                    match target {
                        Target::Module(module) if !rest.is_empty() => {
                            reached.extend(self.resolve(module, rest, depth));
                        }
                        Target::Item(_) if !rest.is_empty() && has_module => {}
                        other => drop(reached.insert(other)),
                    }
                }
            }
        }
        reached
    }

    fn look_up(&self, module: Module, name: &str, depth: usize) -> BTreeSet<Target> {
        let contents = &self.modules[module];
        let mut found = BTreeSet::new();
        found.extend(contents.children.get(name).map(|child| Target::Module(*child)));
        found.extend(contents.items.contains(name).then_some(Target::Item(module)));
        for path in contents.imports.get(name).into_iter().flatten() {
            // `use name::..` of another crate, and `use x::x`, would lead back here.
            if path[0] != name {
                found.extend(self.resolve(module, path, depth + 1));
            } else if let Some(child) = contents.children.get(name) {
                found.extend(self.resolve(*child, &path[1..], depth + 1));
            }
        }
        if found.is_empty() {
            for path in &contents.globs {
                let mut path = path.clone();
                if path[0] != name {
                    path.push(name.to_owned());
                    found.extend(self.resolve(module, &path, depth + 1));
                }
            }
        }
        found
    }
}

/// Whether something is compiled for tests only.
pub(crate) fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

/// Collects what a module defines, imports and refers to.
struct Reader<'a> {
    contents: &'a mut Contents,
}

impl Reader<'_> {
    fn define(&mut self, item: &syn::Item) {
        if is_test(attributes(item)) {
            return;
        }
        let name = match item {
            syn::Item::Const(item) => &item.ident,
            syn::Item::Enum(item) => &item.ident,
            syn::Item::Fn(item) => &item.sig.ident,
            syn::Item::Static(item) => &item.ident,
            syn::Item::Struct(item) => &item.ident,
            syn::Item::Trait(item) => &item.ident,
            syn::Item::TraitAlias(item) => &item.ident,
            syn::Item::Type(item) => &item.ident,
            syn::Item::Union(item) => &item.ident,
            syn::Item::Macro(item) => match &item.ident {
                Some(ident) => {
                    self.contents.items.extend(written_out(&item.mac.tokens));
                    ident
                }
                None => {
                    let names = item.mac.tokens.clone().into_iter().filter_map(|token| match token {
                        TokenTree::Ident(ident) => Some(ident.to_string()),
                        _ => None,
                    });
                    return self.contents.items.extend(names);
                }
            },
            _ => return,
        };
        self.contents.items.insert(name.to_string());
    }

    fn refer(&mut self, path: Vec<String>, line: usize, is_guess: bool) {
        self.contents.references.push(Reference { path, line, is_guess });
    }

    fn import(&mut self, before: &[String], tree: &syn::UseTree, is_private: bool) {
        let joined = |ident: &syn::Ident| {
            let mut path = before.to_vec();
            if ident != "self" || before.is_empty() {
                path.push(ident.to_string());
            }
            path
        };
        let (path, name) = match tree {
            syn::UseTree::Path(tree) => return self.import(&joined(&tree.ident), &tree.tree, is_private),
            syn::UseTree::Group(tree) => {
                return tree.items.iter().for_each(|tree| self.import(before, tree, is_private));
            }
            syn::UseTree::Glob(_) => return self.contents.globs.push(before.to_vec()),
            syn::UseTree::Name(tree) => (joined(&tree.ident), None),
            syn::UseTree::Rename(tree) => (joined(&tree.ident), Some(tree.rename.to_string())),
        };
        let name = name.unwrap_or_else(|| path[path.len() - 1].clone());
        if is_private {
            self.refer(path.clone(), tree.span().start().line, false);
        }
        self.contents.imports.entry(name).or_default().push(path);
    }

    /// The paths of two names and more in the body of a macro.
    fn guess(&mut self, tokens: TokenStream) {
        let (mut path, mut colons) = (Vec::<String>::new(), 0);
        let mut line = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 || path.is_empty() => {
                    path.push(ident.to_string());
                    (colons, line) = (0, ident.span().start().line);
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(ident) => {
                    self.guessed(std::mem::take(&mut path), line);
                    path.push(ident.to_string());
                    (colons, line) = (0, ident.span().start().line);
                    continue;
                }
                TokenTree::Group(group) => self.guess(group.stream()),
                _ => {}
            }
            self.guessed(std::mem::take(&mut path), line);
            colons = 0;
        }
        self.guessed(path, line);
    }

    fn guessed(&mut self, path: Vec<String>, line: usize) {
        if path.len() > 1 {
            self.refer(path, line, true);
        }
    }
}

impl<'a> Visit<'a> for Reader<'_> {
    fn visit_item(&mut self, item: &'a syn::Item) {
        // A module is read by itself, and what is for tests is not read.
        if !is_test(attributes(item)) && !matches!(item, syn::Item::Mod(_)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            syn::visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        // To publish what another module defines is not to use it.
        let is_private = matches!(item.vis, syn::Visibility::Inherited);
        if item.leading_colon.is_none() {
            self.import(&[], &item.tree, is_private);
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        if path.leading_colon.is_none() {
            let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.refer(names, path.span().start().line, false);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, _: &'a syn::Attribute) {}

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        self.guess(call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }
}

/// The items that a declared macro expands to under a name that it does not take from its call.
fn written_out(declaration: &TokenStream) -> Vec<String> {
    let mut tokens = declaration.clone().into_iter().peekable();
    let mut names = Vec::new();
    while let Some(token) = tokens.next() {
        // Each rule is `(pattern) => { items }`.
        let is_arrow = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '>');
        if is_arrow && let Some(TokenTree::Group(items)) = tokens.peek() {
            let items: Vec<TokenTree> = items.stream().into_iter().collect();
            names.extend(items.windows(2).filter_map(|pair| match pair {
                [TokenTree::Ident(kind), TokenTree::Ident(name)] if is_kind_of_item(kind) => {
                    Some(name.to_string())
                }
                _ => None,
            }));
        }
    }
    names
}

fn is_kind_of_item(keyword: &proc_macro2::Ident) -> bool {
    ["const", "enum", "fn", "static", "struct", "trait", "type"].iter().any(|kind| keyword == kind)
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
