//! Durable bytes are made in the crate `files` alone.

use std::fmt::Write as _;

use crate::names::{Name, names, production_files};
use crate::root;

/// Crates that may make files by hand: the one that does it for all, and the programs that measure.
const MAY: [&str; 2] = ["files", "benches"];

/// Whether this makes, renames or syncs a file.
fn is_hand_made(name: &Name) -> bool {
    let parts = &name.parts;
    let is_hand_made = match &parts[parts.len().saturating_sub(2)..] {
        [what] if name.is_call => what == "sync_all" || what == "sync_data",
        [of, what] if of == "fs" => ["rename", "hard_link", "write", "copy"].contains(&what.as_str()),
        [of, what] if of == "File" => ["create", "create_new", "options"].contains(&what.as_str()),
        _ => false,
    };
    is_hand_made || parts.iter().any(|part| part == "OpenOptions")
}

fn hand_made(text: &str) -> Vec<(usize, String)> {
    let found = names(text).into_iter().filter(is_hand_made);
    found.map(|name| (name.line, name.parts.join("::"))).collect()
}

#[test]
fn durable_files_are_made_in_files_alone() {
    let mut broken = String::new();
    for path in production_files(&MAY) {
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
    let files = production_files(&MAY);
    let is_looked_at = |name: &str| files.contains(&root().join(name));
    assert!(is_looked_at("audit/src/chain/writer.rs") && is_looked_at("server/src/main.rs"));
    // Their declarations are under `#[cfg(test)]`.
    assert!(!is_looked_at("audit/src/chain/tests.rs") && !is_looked_at("server/src/config/example.rs"));
}
