//! What the documents name is there, and words that the glossary avoids are not.

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
/// The one metric that is of the whole binary and of no crate; `server/src/metrics.rs` registers it.
const METRIC_OF_THE_BUILD: &str = "build_info";

/// The pages of the root and of `docs/`. Decisions (`docs/adr/`) and `CHANGELOG.md` may name what is not there any more.
fn pages() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    pages.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|page| root().join(page)));
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

/// A path from the root names a crate, `docs`, `scripts` or `deploy` first; a Rust file may be named by the end of its path. What
/// stands in angle brackets is for the reader to fill in.
#[test]
fn every_path_that_the_documents_name_exists() {
    let files = all_rust_files();
    let mut missing = Vec::new();
    for (page, path) in quoted().into_iter().filter(|(_, path)| !path.contains(char::is_whitespace)) {
        let known = path.split('/').take_while(|part| !part.contains('<')).collect::<Vec<_>>().join("/");
        let first = path.split('/').next().unwrap();
        let is_rooted =
            path.contains('/') && (CRATES.contains(&first) || ["docs", "scripts", "deploy"].contains(&first));
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
    for page in pages().into_iter().chain([root().join("CHANGELOG.md")]) {
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
    let own = std::fs::read_to_string(root().join("server/src/metrics.rs")).unwrap();
    assert!(own.contains("registry.register(\"build\", "), "the metric of the build");
    let is_metric = |name: &str| {
        name == METRIC_OF_THE_BUILD
            || METRIC_SUFFIXES
                .iter()
                .any(|s| name.strip_suffix(s).is_some_and(|name| registered.contains(name)))
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

/// The words of the glossary's first table of words that are not used: those that have no other meaning in these pages.
fn avoided() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("docs/glossary.md")).unwrap();
    let (_, section) =
        text.split_once("\n## Words that are not used\n").expect("the glossary has the section");
    let table =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let words = table.skip(2).filter_map(|row| row.split('|').nth(1)).flat_map(|cell| cell.split(','));
    words.map(|word| word.trim().to_lowercase()).collect()
}

/// The words of the prose of a page, in lower case: without code, links' targets and comments.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    let mut in_block = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            let outside = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
            let outside = outside.split("](").enumerate().map(|(part, text)| match part {
                0 => text,
                _ => text.split_once(')').map_or("", |(_, rest)| rest),
            });
            let outside = outside.collect::<Vec<_>>().join(" ").to_lowercase();
            let found = outside.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            words.extend(found.map(|word| (at + 1, word.to_owned())));
        }
    }
    words
}

/// One word for one thing, in decisions too. The glossary itself names what it avoids.
#[test]
fn words_that_the_glossary_avoids_are_in_no_page() {
    let avoided = avoided();
    assert!(avoided.len() >= 5 && avoided.contains("piece"), "the table must be readable: {avoided:?}");
    let mut found = Vec::new();
    let decisions = std::fs::read_dir(root().join("docs/adr")).unwrap().map(|entry| entry.unwrap().path());
    let all = pages().into_iter().chain(decisions);
    for page in all.filter(|page| !page.ends_with("glossary.md")) {
        let text = std::fs::read_to_string(&page).unwrap();
        let words = prose(&text).into_iter().filter(|(_, word)| avoided.contains(word));
        let shown = page.strip_prefix(root()).unwrap().display();
        found.extend(words.map(|(line, word)| format!("{shown}:{line}: {word}")));
    }
    assert!(found.is_empty(), "docs/glossary.md has other words for these: {found:#?}");
}

/// The rule must see a word, and only where it is prose.
#[test]
fn an_avoided_word_is_seen_in_prose_only() {
    let text = "A Piece, [a door](docs/piece.md) and `piece`.\n```sh\npiece\n```\n## Pieces of it";
    let found: Vec<_> = prose(text).into_iter().map(|(line, word)| format!("{line}{word}")).collect();
    assert_eq!(found, ["1a", "1piece", "1a", "1door", "1and", "5pieces", "5of", "5it"]);
}

/// A promise in the docs names the tests that prove it: they must be there.
#[test]
fn every_test_that_the_guarantees_and_the_map_of_the_policy_name_exists() {
    let sources: String = all_rust_files().iter().map(|p| std::fs::read_to_string(p).unwrap()).collect();
    for page in ["docs/guarantees.md", "docs/policy-map.md"] {
        names_what_is_there(page, &sources);
    }
}

fn names_what_is_there(page: &str, sources: &str) {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let named: Vec<&str> = text
        .lines()
        .filter(|l| l.starts_with('|'))
        .filter_map(|l| l.split('|').nth(3))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(named.len() > 30, "the table must be readable");
    let missing: Vec<_> = named.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{page} names tests that are not there: {missing:?}");
    let places = text.lines().filter(|l| l.starts_with('|')).filter_map(|l| l.split('|').nth(2));
    for place in places.flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
        assert!(root().join(place).exists(), "{page} names {place}, which is not there");
    }
}
