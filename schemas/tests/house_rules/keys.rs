//! The side of questions has no key with which pseudonyms are made, and could have none: it names none.
//!
//! Whoever asks needs data keys, with which the tables are read, and no more. Not here: what a pseudonym is made with
//! (`shoal-privacy`, `epoch_key.rs`).

use std::fmt::Write as _;

use syn::visit::Visit;

use crate::names::{Name, names, production_files};
use crate::root;

/// What reads, prices and answers questions, and the process of the postprocessing.
const ASKS: [&str; 5] =
    ["query/src/", "postprocess/src/", "language/src/", "anonymity/src/", "server/src/cli/worker.rs"];
/// All of `shoal-privacy` that they may name.
const OF_PRIVACY: [&str; 2] = ["scrub", "work"];
/// What has or leads to a key that pseudonyms are made with.
const KEYS: [&str; 9] = [
    "shoal_custody",
    "keyring",
    "Keyring",
    "EpochKey",
    "EpochKeys",
    "KeyPlace",
    "UnitKey",
    "Digester",
    "key_file",
];

fn has_keys(name: &Name) -> bool {
    let parts: Vec<&str> = name.parts.iter().map(String::as_str).collect();
    let is_of_privacy = parts.first() == Some(&"shoal_privacy");
    let is_listed = parts.get(1).is_some_and(|part| OF_PRIVACY.contains(part));
    (is_of_privacy && !is_listed) || parts.iter().any(|part| KEYS.contains(part))
}

#[test]
fn the_side_of_questions_names_no_key_of_pseudonyms() {
    let mut found = String::new();
    let is_asking = |shown: &str| ASKS.iter().any(|place| shown.starts_with(place));
    let mut looked_at = 0;
    for path in production_files(&[]) {
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        if is_asking(&shown) {
            looked_at += 1;
            for name in names(&std::fs::read_to_string(&path).unwrap()).iter().filter(|name| has_keys(name)) {
                let what = name.parts.join("::");
                writeln!(found, "{shown}:{}: `{what}`: whoever asks has no key of pseudonyms", name.line)
                    .unwrap();
            }
        }
    }
    assert!(found.is_empty() && looked_at > 100, "{looked_at} files\n{found}");
}

/// The idents in the body of a function.
#[derive(Default)]
struct Idents(Vec<String>);

impl Visit<'_> for Idents {
    fn visit_ident(&mut self, ident: &syn::Ident) {
        self.0.push(ident.to_string());
    }
}

/// What the start hands to the side of questions.
#[test]
fn the_start_hands_no_key_of_pseudonyms_to_the_side_of_questions() {
    let items = ["startup.rs", "startup/questions.rs"].map(|file| {
        let text = std::fs::read_to_string(root().join("server/src").join(file)).unwrap();
        syn::parse_file(&text).unwrap().items
    });
    let of = |name: &str| {
        let found = items.iter().flatten().find_map(|item| match item {
            syn::Item::Fn(function) if function.sig.ident == name => Some(function),
            _ => None,
        });
        let mut idents = Idents::default();
        idents.visit_item_fn(found.unwrap_or_else(|| panic!("{name} must be there")));
        idents.0
    };
    let has_keys = |name: &str| of(name).iter().any(|ident| ident == "keyring" || ident == "epoch_keys");
    assert!(!has_keys("build_engine") && !has_keys("query_config") && !has_keys("worker_program"));
    assert!(has_keys("build_ingest"), "the rule must see who has them");
}

#[test]
fn what_has_keys_is_seen() {
    let is_seen = |text: &str| names(text).iter().any(has_keys);
    for bad in [
        "use shoal_privacy::keyring::Keyring;",
        "use shoal_privacy::pseudonym;",
        "use shoal_storage::{EpochKeys, Store};",
        "fn f() { shoal_custody::Custodies::new(a) }",
        "fn f() { crate::key_file::open(config) }",
    ] {
        assert!(is_seen(bad), "{bad}");
    }
    for good in ["use shoal_privacy::{scrub::Scrubber, work::Work};", "use shoal_storage::{DataKeys, Store};"]
    {
        assert!(!is_seen(good), "{good}");
    }
}
