//! What may take the place of definitions that are in force, and what may not.
#![allow(clippy::unwrap_used)]

use std::fs;

use shoal_schemas::{Changes, Registry};
use tempfile::TempDir;

const DOORBELL: &str = r#"
name = "doorbell"
kind = "usage"
programme = "user-experience"
doc = "Somebody rang."
day_max = 10

[properties.chime]
doc = "Which sound was played."
type = "text"
class = "dimension"
domain = "private"
bytes_max = 16
keys_max = 1

[properties.result]
doc = "How it ended."
type = "text"
class = "dimension"
domain = "listed"
values = ["ok", "late", "unanswered"]
keys_max = 2

[properties.wait_ms]
doc = "How long it rang."
type = "number"
class = "measure"
unit = "ms"
min = 0
max = 1000
day_sum_max = 10000

[properties.note]
doc = "What was said."
type = "text"
class = "text"
bytes_max = 64

[[pass]]
json = '{"event": "doorbell", "properties": {"chime": "bell"}}'

[[fail]]
code = "wrong_type"
json = '{"event": "doorbell", "properties": {"chime": 1}}'
"#;

const HAND: &str = "extends = \"click\"\n[properties.hand]\ndoc = \"Which hand.\"\ntype = \"boolean\"\nclass = \"dimension\"\nkeys_max = 2\n";

const XI: &str =
    "[countries]\nXI = { name = \"Northern Ireland\", region = \"DE\", controller = \"international\" }\n";

fn load(files: &[(&str, &str)]) -> Registry {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Registry::load(Some(dir.path())).unwrap()
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

/// An event with these parts of its text replaced.
fn edited(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(DOORBELL.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "no `{from}`");
        text.replacen(from, to, 1)
    })
}

#[test]
fn nothing_is_different_about_the_same_definitions() {
    let with =
        || load(&[("events/doorbell.toml", DOORBELL), ("events/click.toml", HAND), ("countries.toml", XI)]);
    assert!(with().changes_to(&with()).unwrap().is_none());
}

#[test]
fn what_is_new_and_what_may_change_is_named() {
    let old = load(&[("events/doorbell.toml", DOORBELL)]);
    let other = edited(&[
        ("day_max = 10", "day_max = 20"),
        ("bytes_max = 16", "bytes_max = 32"),
        ("\"unanswered\"]", "\"unanswered\", \"refused\"]"),
        ("max = 1000", "max = 2000"),
        (
            "[[pass]]",
            "[properties.floor]\ndoc = \"Which floor.\"\ntype = \"text\"\nclass = \"text\"\nbytes_max = 9\n\n[[pass]]",
        ),
    ]);
    let gate = DOORBELL.replace("doorbell", "gate");
    let new = load(&[
        ("events/doorbell.toml", &other),
        ("events/gate.toml", &gate),
        ("events/click.toml", HAND),
        ("countries.toml", XI),
        ("retention.toml", "[[retention]]\nprogramme = \"user-experience\"\nkind = \"usage\"\ndays = 30\n"),
        ("regions/us.toml", "region = \"US\"\nname = \"Virginia\"\ncontroller = \"Example Inc.\"\n"),
        ("vendors/segment.toml", "protocol = \"segment\"\n[[rules]]\nfrom = \"Rang\"\nto = \"doorbell\"\n"),
    ]);
    let expected = Changes {
        events_added: names(&["gate"]),
        properties_added: names(&["click.hand", "doorbell.floor"]),
        files_changed: names(&[
            "countries.toml",
            "events/doorbell.toml",
            "regions/us.toml",
            "retention.toml",
            "vendors/segment.toml",
        ]),
    };
    assert_eq!(old.changes_to(&new).unwrap(), expected);
    // A class may become one that shows less of what is kept.
    let hidden = edited(&[(
        "class = \"dimension\"\ndomain = \"private\"\nbytes_max = 16\nkeys_max = 1",
        "class = \"text\"\nbytes_max = 16",
    )]);
    let hidden = old.changes_to(&load(&[("events/doorbell.toml", &hidden)])).unwrap();
    assert_eq!(hidden.files_changed, ["events/doorbell.toml"]);
}

#[test]
fn what_rows_and_apps_rely_on_may_not_change() {
    let old = load(&[("events/doorbell.toml", DOORBELL)]);
    let measure =
        "type = \"number\"\nclass = \"measure\"\nunit = \"ms\"\nmin = 0\nmax = 1000\nday_sum_max = 10000";
    let note = "class = \"text\"\nbytes_max = 64";
    let cases: [(&[(&str, &str)], &str); 11] = [
        (&[("kind = \"usage\"", "kind = \"performance\"")], "`kind` is `usage`"),
        (&[("user-experience", "device-experience")], "`programme` is `user-experience`"),
        (&[("[properties.note]", "[properties.notes]")], "property `note` is declared no longer"),
        (
            &[(measure, "type = \"boolean\"\nclass = \"dimension\"\nkeys_max = 2")],
            "`wait_ms` cannot change its type",
        ),
        (&[("max = 1000", "max = 1000\nscale = 2")], "`wait_ms` cannot change its type or its scale"),
        (&[("unit = \"ms\"", "unit = \"s\"")], "`wait_ms` cannot change its unit"),
        (&[("values = [\"ok\", ", "values = [")], "value `ok` of `result` is listed no longer"),
        (
            &[("domain = \"private\"\nbytes_max = 16", "domain = \"listed\"\nvalues = [\"bell\"]")],
            "`chime` cannot change its domain",
        ),
        (&[(note, "class = \"drop\"")], "`note` cannot become `drop`"),
        (
            &[(note, "class = \"dimension\"\ndomain = \"private\"\nkeys_max = 1\nbytes_max = 64")],
            "`note` cannot change its class",
        ),
        (
            &[(
                "domain = \"private\"\nbytes_max = 16",
                "domain = \"private\"\nrequired = true\nbytes_max = 16",
            )],
            "`chime` cannot become required",
        ),
    ];
    for (edits, reason) in cases {
        let refused = old.changes_to(&load(&[("events/doorbell.toml", &edited(edits))])).unwrap_err();
        let named =
            refused.iter().any(|told| told.starts_with("events/doorbell.toml: ") && told.contains(reason));
        assert!(named, "no `{reason}` in {refused:#?}");
    }
}

#[test]
fn everything_that_may_not_be_is_told_at_once() {
    let old = load(&[
        ("events/doorbell.toml", DOORBELL),
        ("events/gate.toml", &DOORBELL.replace("doorbell", "gate")),
        ("events/click.toml", HAND),
        ("countries.toml", XI),
    ]);
    let other = edited(&[("unit = \"ms\"", "unit = \"s\""), ("values = [\"ok\", ", "values = [")]);
    let moved = XI.replace("\"DE\"", "\"US\"");
    let refused = old.changes_to(&load(&[("events/doorbell.toml", &other), ("countries.toml", &moved)]));
    let expected = [
        "events/click.toml: property `hand` is declared no longer",
        "events/doorbell.toml: value `ok` of `result` is listed no longer",
        "events/doorbell.toml: property `wait_ms` cannot change its unit or its scale",
        "events/gate.toml: event `gate` is declared no longer",
        "countries.toml: Northern Ireland lives in DE; it cannot move to US",
    ];
    assert_eq!(refused.unwrap_err(), expected);
    let refused = old.changes_to(&Registry::load(None).unwrap()).unwrap_err();
    assert!(
        refused.contains(&"countries.toml: Northern Ireland is listed no longer".to_owned()),
        "{refused:#?}"
    );
    assert_eq!(refused.len(), 4, "{refused:#?}");
}
