//! What the documents name is there.

use crate::{all_rust_files, root};

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
