//! The rules that keep the structure as it is: sizes, headers, edges between crates, one home for each heavy dependency.
//!
//! A rule that fails names the file and says what to do. To change a rule, change `docs/architecture.md` too and say why in an ADR.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::Visit;

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const ARGUMENTS_MAX: usize = 5;

const CRATES: [&str; 10] = [
    "schemas",
    "privacy",
    "anonymity",
    "storage",
    "audit",
    "ingest",
    "query",
    "retention",
    "server",
    "benches",
];

/// Crate, and the crates of this workspace that it may use.
const EDGES: [(&str, &[&str]); 10] = [
    ("schemas", &[]),
    ("privacy", &["schemas"]),
    ("anonymity", &[]),
    ("storage", &["schemas"]),
    ("audit", &[]),
    ("ingest", &["schemas", "privacy", "storage"]),
    ("query", &["schemas", "privacy", "anonymity", "storage", "audit"]),
    ("retention", &["schemas", "privacy", "storage"]),
    ("server", &["schemas", "privacy", "anonymity", "storage", "audit", "ingest", "query", "retention"]),
    ("benches", &["schemas", "privacy", "anonymity", "storage", "ingest", "query", "server"]),
];

/// Heavy dependency, and the crates that may name it in `[dependencies]`.
const HOMES: [(&str, &[&str]); 9] = [
    ("actix-web", &["server"]),
    ("deltalake-core", &["storage"]),
    ("object_store", &["storage"]),
    ("parquet", &["storage"]),
    ("redb", &["storage"]),
    ("datafusion", &["storage", "query"]),
    ("blake3", &["privacy", "anonymity", "audit"]),
    ("rustls", &["server"]),
    ("xorf", &["ingest"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|n| n != "target") {
                rust_files(&path, out);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn all_rust_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for name in CRATES {
        rust_files(&root().join(name), &mut files);
    }
    assert!(files.len() > CRATES.len(), "the rules must see the sources");
    files
}

fn dependencies(name: &str, table: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    manifest.get(table).and_then(|d| d.as_table()).map(|d| d.keys().cloned().collect()).unwrap_or_default()
}

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
            signature.inputs.iter().filter(|i| matches!(i, syn::FnArg::Typed(_))).count(),
        ));
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
fn crates_depend_one_way() {
    for (name, allowed) in EDGES {
        for dependency in dependencies(name, "dependencies") {
            if let Some(other) = dependency.strip_prefix("shoal-") {
                assert!(
                    allowed.contains(&other),
                    "{name} must not depend on {other}: see docs/architecture.md"
                );
            }
        }
    }
}

#[test]
fn heavy_dependencies_have_one_home() {
    for name in CRATES {
        for dependency in dependencies(name, "dependencies") {
            if let Some((_, homes)) = HOMES.iter().find(|(heavy, _)| *heavy == dependency) {
                assert!(homes.contains(&name), "{dependency} lives in {homes:?}, not in {name}");
            }
        }
    }
    let outside: Vec<_> = all_rust_files()
        .into_iter()
        .filter(|p| p.starts_with(root().join("storage/src")) && !p.ends_with("provider.rs"))
        .filter(|p| !p.starts_with(root().join("storage/src/provider")))
        .filter(|p| std::fs::read_to_string(p).unwrap().contains("datafusion::"))
        .collect();
    assert!(outside.is_empty(), "in storage only provider.rs may use datafusion: {outside:?}");
}

#[test]
fn every_crate_is_under_the_rules() {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let mut members: Vec<&str> = members.iter().map(|m| m.as_str().unwrap()).collect();
    members.sort_unstable();
    let mut listed = CRATES;
    listed.sort_unstable();
    assert_eq!(members, listed);
    for name in CRATES {
        let text = std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{name} must take the workspace's lints");
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

/// A promise in the docs names the tests that prove it: they must be there.
#[test]
fn every_test_that_the_guarantees_name_exists() {
    let text = std::fs::read_to_string(root().join("docs/guarantees.md")).unwrap();
    let sources: String = all_rust_files().iter().map(|p| std::fs::read_to_string(p).unwrap()).collect();
    let named: Vec<&str> = text
        .lines()
        .filter(|l| l.starts_with('|'))
        .filter_map(|l| l.split('|').nth(3))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(named.len() > 30, "the table must be readable");
    let missing: Vec<_> = named.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "docs/guarantees.md names tests that are not there: {missing:?}");
    let places = text.lines().filter(|l| l.starts_with('|')).filter_map(|l| l.split('|').nth(2));
    for place in places.flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
        assert!(root().join(place).exists(), "docs/guarantees.md names {place}, which is not there");
    }
}
