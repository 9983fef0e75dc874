//! Edges between crates point one way, and each heavy dependency has one home.

use std::collections::{BTreeMap, BTreeSet};

use crate::{CRATES, root, rust_files};

/// Crate, and the crates of this workspace that it uses, its tests and benches too.
const EDGES: [(&str, &[&str]); 16] = [
    ("schemas", &[]),
    ("files", &[]),
    ("custody", &["files"]),
    ("privacy", &["schemas", "files"]),
    ("anonymity", &[]),
    ("language", &["schemas"]),
    ("storage", &["schemas", "files"]),
    ("audit", &["files"]),
    ("receipts", &["files"]),
    ("ingest", &["schemas", "files", "privacy", "storage"]),
    ("postprocess", &["anonymity", "language"]),
    ("query", &["schemas", "privacy", "anonymity", "language", "postprocess", "storage", "audit"]),
    ("retention", &["schemas", "storage"]),
    (
        "server",
        &[
            "schemas",
            "files",
            "custody",
            "privacy",
            "anonymity",
            "language",
            "postprocess",
            "storage",
            "audit",
            "receipts",
            "ingest",
            "query",
            "retention",
        ],
    ),
    ("benches", &["schemas", "privacy", "anonymity", "storage", "audit", "ingest", "query"]),
    ("faults", &[]),
];

/// Heavy dependency, and the crates that may name it in `[dependencies]`.
const HOMES: [(&str, &[&str]); 15] = [
    ("actix-web", &["server"]),
    ("actix-http", &["server"]),
    ("deltalake-core", &["storage"]),
    ("object_store", &["files", "storage"]),
    ("parquet", &["storage"]),
    ("redb", &["storage"]),
    ("datafusion", &["query", "postprocess"]),
    ("sqlparser", &["language"]),
    ("blake3", &["files", "privacy", "anonymity", "storage", "audit"]),
    ("chacha20poly1305", &["files"]),
    ("ed25519-dalek", &["receipts"]),
    ("rustls", &["server"]),
    ("xorf", &["ingest"]),
    ("cryptoki", &["custody"]),
    ("ureq", &["custody", "server"]),
];

fn dependencies(name: &str, table: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    manifest.get(table).and_then(|d| d.as_table()).map(|d| d.keys().cloned().collect()).unwrap_or_default()
}

/// An edge that nobody uses any more would let another one come back without a decision.
#[test]
fn crates_depend_one_way() {
    for (name, listed) in EDGES {
        let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
        let all = tables.iter().flat_map(|table| dependencies(name, table));
        let used: BTreeSet<String> =
            all.filter_map(|dependency| Some(dependency.strip_prefix("shoal-")?.to_owned())).collect();
        let listed: BTreeSet<String> = listed.iter().map(|other| (*other).to_owned()).collect();
        assert_eq!(used, listed, "{name} uses the first, and may use the second: see docs/architecture.md");
    }
}

/// The table of crates is what a newcomer reads, so it lists the same edges.
#[test]
fn the_page_on_architecture_lists_the_same_edges() {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let rows: Vec<Vec<&str>> =
        text.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>()).collect();
    for (name, allowed) in EDGES {
        let row = rows.iter().find(|row| row.len() == 6 && row[1] == format!("`{name}`")).unwrap();
        let listed: Vec<&str> = row[3].split(", ").filter(|other| !other.is_empty()).collect();
        let before = CRATES.iter().position(|of| *of == name);
        let is_all = listed == ["all of these"] && Some(allowed.len()) == before;
        assert!(is_all || listed == allowed, "docs/architecture.md: {name} uses {listed:?}, not {allowed:?}");
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
}

/// Every package that one of the workspace is built of, tests and features of the whole workspace included, by the lock.
fn locked_below(name: &str) -> BTreeSet<String> {
    let lock: toml::Table = std::fs::read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        let (name, version) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        let list = package.get("dependencies").and_then(|list| list.as_array());
        let list: Vec<String> =
            list.into_iter().flatten().map(|one| one.as_str().unwrap().to_owned()).collect();
        // A dependency has its version where there are several of the name.
        known.entry(name.to_owned()).or_default().extend(list.clone());
        known.insert(format!("{name} {version}"), list);
    }
    let (mut found, mut next) = (BTreeSet::new(), vec![name.to_owned()]);
    while let Some(package) = next.pop() {
        let found_first = found.insert(package.clone());
        if found_first {
            next.extend(
                known.get(&package).unwrap_or_else(|| panic!("{package} is not in the lock")).clone(),
            );
        }
    }
    found
}

#[test]
fn what_needs_no_datafusion_is_built_without_it() {
    let is_datafusion = |package: &String| package.starts_with("datafusion");
    assert!(locked_below("shoal-query").iter().any(is_datafusion), "the lock must be readable");
    for name in ["language", "storage", "ingest", "retention"] {
        let found: Vec<String> =
            locked_below(&format!("shoal-{name}")).into_iter().filter(is_datafusion).collect();
        assert!(found.is_empty(), "{name} must not need {found:?}");
    }
}

/// `cargo machete` looks at `[dependencies]` only.
#[test]
fn every_dependency_of_tests_is_named_in_them() {
    for name in CRATES {
        let mut files = Vec::new();
        rust_files(&root().join(name), &mut files);
        let text: String = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        for dependency in dependencies(name, "dev-dependencies") {
            // One has another name in the code.
            let word = if dependency == "md-5" { "md5".to_owned() } else { dependency.replace('-', "_") };
            assert!(text.contains(&word), "{name} does not use {dependency}");
        }
    }
}

/// A panic in a scan is one failed question: with `abort` it would end the service, and no test of another profile would see it.
#[test]
fn what_people_run_is_optimised_and_survives_a_panic_of_a_question() {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let release = manifest["profile"]["release"].as_table().unwrap();
    assert_eq!(release["panic"].as_str(), Some("unwind"));
    assert_eq!((release["opt-level"].as_integer(), release["lto"].as_str()), (Some(3), Some("thin")));
    assert_eq!(release["codegen-units"].as_integer(), Some(1));
    let quick = manifest["profile"]["quick"].as_table().unwrap();
    assert_eq!(quick["inherits"].as_str(), Some("dev"), "it would inherit the sizes of the others");
    let sees_events =
        ["anonymity", "files", "ingest", "privacy", "query", "retention", "schemas", "server", "storage"];
    for (name, of) in release["package"].as_table().unwrap() {
        assert_eq!(
            of["opt-level"].as_str(),
            Some("s"),
            "{name}: a new dependency is fast, and what is listed is small"
        );
        let own = name.strip_prefix("shoal-").is_some_and(|name| sees_events.contains(&name));
        let reads = ["arrow", "parquet", "datafusion-physical-expr", "tokio", "actix", "serde"];
        assert!(
            !own && !reads.iter().any(|of| name == of || name.starts_with(&format!("{of}-"))),
            "{name} sees events"
        );
    }
}

/// What a test may do to a private query, nothing that is built for use can do.
#[test]
fn only_tests_change_private_queries_by_hand() {
    for name in CRATES {
        let text = std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let mut manifest: toml::Table = text.parse().unwrap();
        manifest.remove("dev-dependencies");
        if name == "language" {
            assert!(manifest.remove("features").unwrap().to_string().contains("by-hand = []"));
        }
        assert!(!manifest.to_string().contains("by-hand"), "{name} may have it in [dev-dependencies] alone");
    }
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(!workspace.contains("by-hand"), "the feature is for the tests of one crate");
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
    // The image is built from the whole workspace.
    let read = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    let left_out: Vec<&&str> =
        members.iter().filter(|member| !read.lines().any(|line| line == format!("!{member}"))).collect();
    assert!(left_out.is_empty(), ".dockerignore leaves {left_out:?} out of the image's build");
    for name in CRATES {
        let text = std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{name} must take the workspace's lints");
    }
}

#[test]
fn every_dependency_of_the_workspace_is_somebodys() {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    for name in manifest["workspace"]["dependencies"].as_table().unwrap().keys() {
        let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
        let is_used = CRATES.iter().any(|c| tables.iter().any(|t| dependencies(c, t).contains(name)));
        assert!(is_used, "no crate uses {name}: take it out of the workspace's Cargo.toml");
    }
}

/// The language reads SQL with the parser that DataFusion reads it with: what one lets through is what the other plans.
#[test]
fn the_language_and_datafusion_have_one_parser() {
    let lock: toml::Table = std::fs::read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let parsers = packages.iter().filter(|package| package["name"].as_str() == Some("sqlparser"));
    let versions: Vec<&str> = parsers.map(|package| package["version"].as_str().unwrap()).collect();
    assert_eq!(versions.len(), 1, "language and datafusion use different parsers: {versions:?}");
}
