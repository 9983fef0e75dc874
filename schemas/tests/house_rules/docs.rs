//! What the documents name is there.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::{CRATES, all_rust_files, root};

/// What every metric's name begins with on `GET /metrics`.
const METRICS_PREFIX: &str = "shoal";
/// What the exposition format adds to a name for its unit and its kind.
const METRIC_SUFFIXES: [&str; 9] = [
    "",
    "_total",
    "_seconds",
    "_bytes",
    "_bytes_total",
    "_seconds_bucket",
    "_seconds_count",
    "_seconds_sum",
    "_bucket",
];

/// `README.md` and the pages of `docs/`. Decisions (`docs/adr/`) tell of their own time.
fn pages() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    pages.push(root().join("README.md"));
    pages
}

/// What stands between backticks in a line of each page, outside of blocks of code.
fn quoted() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for page in pages() {
        let shown = page.strip_prefix(root()).unwrap().display().to_string();
        let text = std::fs::read_to_string(&page).unwrap();
        for prose in text.split("```").step_by(2) {
            for line in prose.lines() {
                found.extend(line.split('`').skip(1).step_by(2).map(|q| (shown.clone(), q.to_owned())));
            }
        }
    }
    assert!(found.len() > 300, "the pages must be readable");
    found
}

/// A path from the root names a crate, `docs` or `scripts` first; a Rust file may be named by the end of its path. What
/// stands in angle brackets is for the reader to fill in.
#[test]
fn every_path_that_the_documents_name_exists() {
    let files = all_rust_files();
    let mut missing = Vec::new();
    for (page, path) in quoted().into_iter().filter(|(_, path)| !path.contains(char::is_whitespace)) {
        let known = path.split('/').take_while(|part| !part.contains('<')).collect::<Vec<_>>().join("/");
        let first = path.split('/').next().unwrap();
        let is_rooted =
            path.contains('/') && (CRATES.contains(&first) || ["docs", "scripts"].contains(&first));
        let is_there = match is_rooted {
            true => root().join(&known).exists(),
            false => !path.ends_with(".rs") || files.iter().any(|file| file.ends_with(&path)),
        };
        if !is_there {
            missing.push(format!("{page}: {path}"));
        }
    }
    assert!(missing.is_empty(), "these paths are not there: {missing:#?}");
}

#[test]
fn every_page_that_the_documents_link_to_exists() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let path = link.split('#').next().unwrap();
            assert!(page.parent().unwrap().join(path).exists(), "{}: no page {link}", page.display());
        }
    }
}

/// The names that the crates register, without the prefix and what the exposition adds.
fn registered() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for name in CRATES {
        let Ok(text) = std::fs::read_to_string(root().join(name).join("src/metrics.rs")) else { continue };
        let is_name = |text: &str| {
            text.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'))
                && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        names.extend(text.split('"').skip(1).step_by(2).filter(|text| is_name(text)).map(str::to_owned));
    }
    names
}

#[test]
fn every_metric_that_the_documents_name_is_registered() {
    let startup = std::fs::read_to_string(root().join("server/src/startup.rs")).unwrap();
    assert!(startup.contains(&format!("with_prefix(\"{METRICS_PREFIX}\")")), "the prefix of all metrics");
    let registered = registered();
    assert!(registered.len() > 20, "the names must be readable: {registered:?}");
    let is_metric = |name: &str| {
        METRIC_SUFFIXES.iter().any(|s| name.strip_suffix(s).is_some_and(|name| registered.contains(name)))
    };
    let mut named = 0;
    for (page, name) in quoted() {
        assert!(!is_metric(&name), "{page}: `{name}` is a metric without its prefix {METRICS_PREFIX}_");
        if let Some(name) = name.strip_prefix("shoal_") {
            assert!(is_metric(name), "{page}: no crate registers the metric shoal_{name}");
            named += 1;
        }
    }
    assert!(named > 4, "the pages name metrics");
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
