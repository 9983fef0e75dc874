//! No circle of modules: of two files of a crate, at most one leads to the other. No crate is over a quarter of the whole.
//!
//! A file leads to another when its production code names what the other one defines; a re-export is followed to the
//! definition. So a parent that uses its child, and a child that uses what the parent itself defines, are a circle:
//! what both need belongs into a file of its own. `pub use` alone is no use: a module may publish what is below it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::modules::{Tree, Use};
use crate::{CRATES, root};

/// The files that can be reached from each file, itself only when it is in a circle.
fn reachable(uses: &[Use]) -> BTreeMap<&Path, BTreeSet<&Path>> {
    let mut edges: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
    for found in uses {
        edges.entry(&found.from).or_default().insert(&found.to);
    }
    let from = |start: &Path| {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&Path> = edges[start].iter().copied().collect();
        while let Some(file) = next.pop() {
            if reached.insert(file) {
                next.extend(edges.get(file).into_iter().flatten());
            }
        }
        reached
    };
    edges.keys().map(|start| (*start, from(start))).collect()
}

/// A circle: its files, and each edge with the names that make it.
struct Circle {
    files: BTreeSet<PathBuf>,
    edges: String,
}

fn circles(uses: &[Use]) -> Vec<Circle> {
    let reachable = reachable(uses);
    let leads = |from: &Path, to: &Path| reachable.get(from).is_some_and(|reached| reached.contains(to));
    let mut edges: BTreeMap<(&Path, &Path), BTreeSet<&str>> = BTreeMap::new();
    for found in uses.iter().filter(|found| leads(&found.to, &found.from)) {
        edges.entry((&found.from, &found.to)).or_default().insert(&found.name);
    }
    let mut circles: Vec<Circle> = Vec::new();
    for ((from, to), names) in edges {
        let names = Vec::from_iter(names).join(", ");
        let edge = format!("  {} -> {}: {names}\n", shown(from), shown(to));
        match circles.iter_mut().find(|circle| circle.files.contains(from)) {
            Some(circle) => circle.edges.push_str(&edge),
            None => {
                let files = reachable[from].iter().filter(|file| leads(file, from));
                circles.push(Circle { files: files.map(|file| file.to_path_buf()).collect(), edges: edge });
            }
        }
    }
    circles
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn no_circle_of_modules() {
    let mut broken = String::new();
    for tree in CRATES.into_iter().flat_map(Tree::of_crate) {
        let (uses, lost) = tree.uses();
        assert!(lost.is_empty(), "the rule does not find what these paths name: {lost:#?}");
        for circle in circles(&uses) {
            writeln!(broken, "a circle of {} files:\n{}", circle.files.len(), circle.edges).unwrap();
        }
    }
    assert!(broken.is_empty(), "\n{broken}move what both sides need into a file that both can see");
}

/// The rule must see a circle to be worth anything.
#[test]
fn a_circle_of_modules_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let root = dir.path().join("lib.rs");
    let read = || {
        let mut found = circles(&Tree::read(&root).uses().0);
        found.pop().map_or((0, String::new()), |circle| (circle.files.len(), circle.edges))
    };
    std::fs::create_dir(dir.path().join("a")).unwrap();
    write("a/child.rs", "use super::Shared; pub struct Child(Shared);");
    write("b.rs", "use crate::a::Child; pub struct Shared; pub fn end(_: Child) {}");
    // Re-exports make no edge to the file that re-exports.
    write("lib.rs", "mod a; mod b; pub use a::Child; pub use b::{Shared, end};");
    write(
        "a.rs",
        "mod child; pub use child::Child; use crate::Shared; #[cfg(test)] mod tests { use crate::b; }",
    );
    let (files, found) = read();
    assert_eq!(files, 2, "{found}");
    assert!(found.contains("a/child.rs -> ") && found.contains("b.rs: Shared, super::Shared\n"), "{found}");
    assert!(found.contains("b.rs -> ") && found.contains("child.rs: Child, crate::a::Child\n"), "{found}");
    // What both need in a file of its own: no circle.
    write("b.rs", "use crate::a::Child; pub use crate::c::Shared; pub fn end(_: Child) {}");
    write("c.rs", "pub struct Shared;");
    write("lib.rs", "mod a; mod b; mod c; pub use a::Child; pub use b::{Shared, end};");
    assert_eq!(read(), (0, String::new()));
    // A parent that uses its child, and a child that uses what the parent defines, in the body of a macro.
    write("a.rs", "mod child; use child::Child; pub struct Shared; fn f(_: Child) {}");
    write("a/child.rs", "pub struct Child; fn f() { println!(\"{:?}\", super::Shared); }");
    write("b.rs", "pub fn end() {}");
    write("lib.rs", "mod a; mod b;");
    assert_eq!(read().0, 2);
    // A function that has the name of a module is not what a path leads through.
    write("a.rs", "mod child; use child::Child; pub fn child(_: Child) {}");
    write("a/child.rs", "pub struct Child; use crate::a::child::Child as Own;");
    assert_eq!(read().0, 0);
    // What a macro gives its name where it is declared.
    write("a.rs", "mod child; macro_rules! all { ($x:ident) => { pub enum Shared { $x } }; } all! { One }");
    write("a/child.rs", "use super::Shared; pub struct Child(Shared);");
    let (uses, lost) = Tree::read(&root).uses();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(uses.iter().any(|found| found.name == "super::Shared" && found.to.ends_with("a.rs")));
}

/// Counted are the lines of production code: what `#[cfg(test)]` leaves out, `tests/` and `benches/` are not part of a
/// crate that somebody reads to change it, and the tests of a whole service stand in one crate by their nature.
fn production_lines() -> Vec<(&'static str, usize)> {
    let lines = |name: &&str| -> usize {
        let files: BTreeMap<PathBuf, usize> =
            Tree::of_crate(name).into_iter().flat_map(|tree| tree.lines).collect();
        files.values().sum()
    };
    CRATES.iter().map(|name| (*name, lines(name))).collect()
}

/// Rounded, so that not every change is one of the page: the page may be a tenth off.
#[test]
fn the_page_on_architecture_says_how_large_each_crate_is() {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let rows: Vec<Vec<&str>> =
        text.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>()).collect();
    let mut wrong = String::new();
    for (name, lines) in production_lines() {
        let row = rows.iter().find(|row| row.len() == 6 && row[1] == format!("`{name}`")).unwrap();
        let told: usize = row[4].replace(',', "").parse().unwrap();
        if told.abs_diff(lines) * 10 > lines {
            writeln!(wrong, "{name} has {lines} lines, not {told}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "docs/architecture.md:\n{wrong}");
}

#[test]
fn no_crate_is_over_a_quarter_of_the_whole() {
    let all = production_lines();
    let whole: usize = all.iter().map(|(_, lines)| lines).sum();
    let shares = all.iter().map(|(name, lines)| format!("{name} {lines}")).collect::<Vec<_>>().join(", ");
    for (name, lines) in &all {
        assert!(lines * 4 <= whole, "{name} is over a quarter of {whole}: {shares}");
    }
}
