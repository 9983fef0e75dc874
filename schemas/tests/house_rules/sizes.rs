//! Files and functions keep their size, open with their purpose, and are named after what they do.

use std::fmt::Write as _;

use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::{all_rust_files, root};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const ARGUMENTS_MAX: usize = 5;

#[derive(Default)]
struct Functions {
    found: Vec<(String, usize, usize, usize)>,
}

impl Functions {
    fn note(&mut self, signature: &syn::Signature, block: proc_macro2::Span) {
        let lines = block.end().line - signature.span().start().line + 1;
        self.found.push((
            signature.ident.to_string(),
            signature.span().start().line,
            lines,
            signature.inputs.iter().map(arguments).sum(),
        ));
    }
}

/// How many arguments it is: a tuple is as many as it has parts, whether it is taken apart in the signature or has a name.
fn arguments(input: &syn::FnArg) -> usize {
    match input {
        syn::FnArg::Receiver(_) => 0,
        syn::FnArg::Typed(typed) => parts(&typed.ty),
    }
}

fn parts(of: &syn::Type) -> usize {
    match of {
        syn::Type::Tuple(tuple) => tuple.elems.iter().map(parts).sum::<usize>().max(1),
        syn::Type::Reference(reference) => parts(&reference.elem),
        syn::Type::Paren(inner) => parts(&inner.elem),
        _ => 1,
    }
}

impl<'a> Visit<'a> for Functions {
    fn visit_item_fn(&mut self, f: &'a syn::ItemFn) {
        self.note(&f.sig, f.block.span());
        syn::visit::visit_item_fn(self, f);
    }
    fn visit_impl_item_fn(&mut self, f: &'a syn::ImplItemFn) {
        self.note(&f.sig, f.block.span());
        syn::visit::visit_impl_item_fn(self, f);
    }
}

#[test]
fn files_and_functions_keep_their_size_and_open_with_their_purpose() {
    let mut broken = String::new();
    for path in all_rust_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            writeln!(broken, "{shown}: {lines} lines, at most {FILE_LINES_MAX}: split it by purpose")
                .unwrap();
        }
        if !text.starts_with("//!") {
            writeln!(broken, "{shown}: must open with `//!`: its purpose and what is not here").unwrap();
        }
        let mut functions = Functions::default();
        functions.visit_file(&syn::parse_file(&text).unwrap());
        for (name, line, lines, arguments) in functions.found {
            if lines > FUNCTION_LINES_MAX {
                writeln!(broken, "{shown}:{line}: fn {name} has {lines} lines, at most {FUNCTION_LINES_MAX}")
                    .unwrap();
            }
            if arguments > ARGUMENTS_MAX {
                writeln!(broken, "{shown}:{line}: fn {name} takes {arguments}, at most {ARGUMENTS_MAX}")
                    .unwrap();
            }
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}

#[test]
fn a_tuple_is_as_many_arguments_as_it_has_parts() {
    for (signature, expected) in [
        ("fn f(&self, a: u8)", 1),
        ("fn f((a, b): (u8, u8), c: u8)", 3),
        ("fn f(key: &(u8, (u8, u8)), c: &[(u8, u8)])", 4),
        ("fn f(nothing: ())", 1),
    ] {
        let signature: syn::Signature = syn::parse_str(signature).unwrap();
        assert_eq!(signature.inputs.iter().map(arguments).sum::<usize>(), expected);
    }
}

#[test]
fn there_is_no_room_for_leftovers() {
    for name in ["common", "utils", "util", "helpers", "misc"] {
        assert!(!root().join(name).exists(), "no crate `{name}`: put each thing where it belongs");
        for path in all_rust_files() {
            assert!(
                path.file_stem().is_none_or(|s| s != name),
                "{}: name it after what it does",
                path.display()
            );
        }
    }
}
