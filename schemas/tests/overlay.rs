//! What an operator's directory adds, and what it may not take away.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use shoal_schemas::{
    Class, ColumnRole, Country, Domain, Kind, Programme, Protocol, Region, Registry, SchemaError,
};
use tempfile::TempDir;

const DEFS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/defs");

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
values = ["ok", "unanswered"]
keys_max = 2

[[pass]]
json = '{"event": "doorbell", "properties": {"chime": "bell"}}'

[[fail]]
code = "wrong_type"
json = '{"event": "doorbell", "properties": {"chime": 1}}'
"#;

fn overlay(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn load(files: &[(&str, &str)]) -> Result<Registry, Vec<SchemaError>> {
    Registry::load(Some(overlay(files).path()))
}

/// The embedded file with the first occurrence of each text replaced.
fn edited(file: &str, edits: &[(&str, &str)]) -> String {
    let text = fs::read_to_string(Path::new(DEFS).join(file)).unwrap();
    edits.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{file} has no `{from}`");
        text.replacen(from, to, 1)
    })
}

fn refused(file: &str, edits: &[(&str, &str)], reason: &str) {
    let errors = load(&[(file, &edited(file, edits))]).unwrap_err();
    let named = errors.iter().any(|e| e.file == file && e.line >= 1 && e.reason.contains(reason));
    assert!(named, "{file}: no `{reason}` in {errors:#?}");
}

#[test]
fn a_new_event_gets_its_columns() {
    let registry = load(&[("events/doorbell.toml", DOORBELL)]).unwrap();
    let plain = Registry::load(None).unwrap();
    assert_eq!(registry.events().len(), plain.events().len() + 1);
    let event = registry.event("doorbell").unwrap();
    let table = registry.table(Kind::Usage);
    let (at, chime) = table.column("chime").unwrap();
    assert_eq!(event.property("chime").unwrap().column, Some(at));
    assert!(matches!(chime.role, ColumnRole::Dimension { domain: Domain::Private, keys_max: 1 }));
    let (_, result) = table.column("result").unwrap();
    let ColumnRole::Dimension { domain: Domain::Listed(values), .. } = &result.role else { panic!("listed") };
    assert!(values.contains(&"unanswered".to_owned()) && values.contains(&"crashed".to_owned()));
    let (_, name) = table.column("event").unwrap();
    let ColumnRole::Dimension { domain: Domain::Listed(names), .. } = &name.role else { panic!("listed") };
    assert!(names.contains(&"doorbell".to_owned()));
}

#[test]
fn a_known_event_grows() {
    let grown = edited(
        "events/click.toml",
        &[
            ("day_max = 50", "day_max = 80"),
            (
                "[[pass]]",
                "[properties.hand]\ndoc = \"Which hand.\"\ntype = \"boolean\"\nclass = \"dimension\"\nkeys_max = 2\n\n[[pass]]",
            ),
        ],
    );
    let registry = load(&[("events/click.toml", &grown)]).unwrap();
    assert_eq!(registry.event("click").unwrap().day_max, 80);
    assert_eq!(registry.table(Kind::Usage).day_max, 80);
    let (_, hand) = registry.table(Kind::Usage).column("hand").unwrap();
    let listed = Domain::Listed(vec!["false".to_owned(), "true".to_owned()]);
    assert_eq!(hand.role, ColumnRole::Dimension { domain: listed, keys_max: 2 });
}

#[test]
fn a_class_may_get_stronger() {
    let hidden = edited(
        "events/app_start.toml",
        &[
            ("class = \"dimension\"", "class = \"drop\""),
            ("domain = \"private\"\n", ""),
            ("keys_max = 2\n", ""),
        ],
    );
    let registry = load(&[("events/app_start.toml", &hidden)]).unwrap();
    let property = registry.event("app_start").unwrap().property("screen").unwrap();
    assert_eq!((&property.class, property.column), (&Class::Drop, None));
}

#[test]
fn what_is_declared_cannot_be_weakened_or_taken_away() {
    let profile = "events/device_profile.toml";
    let text = "class = \"text\"\nbytes_max = 128";
    let open = "class = \"dimension\"\ndomain = \"private\"\nkeys_max = 1\nbytes_max = 128";
    refused(profile, &[(text, open)], "class `dimension` is weaker than the declared `text`");
    let mac = "type = \"text\"\nclass = \"drop\"";
    refused(
        profile,
        &[(mac, "type = \"text\"\nclass = \"text\"\nbytes_max = 9")],
        "weaker than the declared `drop`",
    );
    refused(profile, &[("identifier = \"serial\"", "identifier = \"user\"")], "cannot change to `user`");
    refused(profile, &[("unit = \"h\"", "unit = \"s\"")], "`unit` is `h`");
    let click = "events/click.toml";
    refused(click, &[("[properties.screen]", "[properties.panel]")], "property `screen` is missing");
    refused(click, &[("kind = \"usage\"", "kind = \"performance\"")], "`kind` is `usage`");
    refused(click, &[("\"user-experience\"", "\"device-experience\"")], "`programme` is `user-experience`");
    refused(click, &[("keys_max = 8", "keys_max = 8\nrequired = true")], "cannot become required");
    let new = "[properties.x]\ndoc = \"X.\"\ntype = \"boolean\"\nclass = \"dimension\"\nkeys_max = 1\nrequired = true\n\n[[pass]]";
    refused(click, &[("[[pass]]", new)], "cannot be required");
    refused("events/login.toml", &[("\"ok\", ", "")], "value `ok` of `result` is missing");
    refused("events/login.toml", &[("max = 120000", "max = 120000\nscale = 3")], "`scale` is 0");
    refused("common.toml", &[("\"ios\", ", "")], "value `ios` of `os` is missing");
    refused(
        "countries.toml",
        &[("name = \"France\", region = \"DE\"", "name = \"France\", region = \"US\"")],
        "lives in DE",
    );
}

#[test]
fn a_conflict_is_the_fault_of_the_overlay() {
    let clash = DOORBELL
        .replace("[properties.chime]", "[properties.duration_ms]")
        .replace("\"chime\"", "\"duration_ms\"");
    let clash = clash.replace("doorbell", "a_doorbell");
    let errors = load(&[("events/a_doorbell.toml", &clash)]).unwrap_err();
    assert!(errors.iter().all(|e| e.file == "events/a_doorbell.toml" && e.line == 8), "{errors:#?}");
    assert!(errors.iter().any(|e| e.reason.contains("has another type in")), "{errors:#?}");
    let twice = DOORBELL.replace("doorbell", "click");
    let errors = load(&[("events/extra.toml", &twice)]).unwrap_err();
    assert!(
        errors
            .iter()
            .any(|e| e.file == "events/extra.toml" && e.line == 2 && e.reason.contains("already declared"))
    );
}

#[test]
fn lists_are_merged_entry_by_entry() {
    let registry = load(&[
        ("countries.toml", "[countries]\nXI = { name = \"Northern Ireland\", region = \"DE\", controller = \"international\" }\n"),
        ("retention.toml", "[[retention]]\nprogramme = \"user-experience\"\nkind = \"usage\"\ndays = 30\n"),
        (
            "vendors/segment.toml",
            "protocol = \"segment\"\n[[rules]]\nfrom = \"Doorbell*\"\nto = \"alarm_view\"\n[[rules]]\nfrom = \"screen\"\nto = \"app_open\"\n",
        ),
        ("regions/us.toml", "region = \"US\"\nname = \"Virginia\"\ncontroller = \"Example Inc.\"\n"),
    ])
    .unwrap();
    let northern_ireland = Country::parse("XI").unwrap();
    assert_eq!((registry.region_of(northern_ireland), registry.countries().len()), (Some(Region::De), 251));
    assert_eq!(registry.retention_days(Programme::UserExperience, Kind::Usage), 30);
    assert_eq!(registry.retention_days(Programme::UserExperience, Kind::Crash), 180);
    let segment = registry.vendor(Protocol::Segment);
    assert_eq!(segment.rule("Doorbell Rang").unwrap().to, "alarm_view");
    assert_eq!(segment.rule("screen").unwrap().to, "app_open");
    assert_eq!(segment.rule("page").unwrap().to, "screen_view");
    let peru = Country::parse("PE").unwrap();
    assert_eq!(registry.controller_of(peru), Some("Example Inc."));
}

#[test]
fn a_directory_that_is_not_one_of_definitions_is_refused() {
    let missing = TempDir::new().unwrap().path().join("nowhere");
    assert!(Registry::load(Some(&missing)).is_err());
    for (file, text) in [
        ("click.toml", ""),
        ("events/click.json", "{}"),
        ("event/click.toml", ""),
        ("vendors/mixpanel.toml", ""),
        ("regions/fr.toml", "region = \"FR\"\nname = \"France\"\ncontroller = \"x\"\n"),
    ] {
        let errors = load(&[(file, text)]).unwrap_err();
        assert!(errors.iter().any(|e| file.starts_with(&e.file)), "{file}: {errors:#?}");
    }
    let dir = overlay(&[("README.md", "notes"), (".hidden", "x"), ("events/.swp", "x")]);
    assert!(Registry::load(Some(dir.path())).is_ok());
    let big = format!("# {}\n", "x".repeat(2 << 20));
    assert!(load(&[("events/click.toml", &big)]).unwrap_err()[0].reason.contains("larger than"));
    fs::write(dir.path().join("common.toml"), b"# a\n\xff\n").unwrap();
    assert!(Registry::load(Some(dir.path())).unwrap_err()[0].reason.contains("line 2 is not UTF-8"));
}

const HAND: &str = r#"extends = "click"

[properties.hand]
doc = "Which hand."
type = "boolean"
class = "dimension"
keys_max = 2

[[pass]]
json = '{"event": "click", "properties": {"element": "tile", "hand": true}}'
"#;

#[test]
fn a_small_file_adds_a_property_to_a_known_event_and_changes_nothing_else() {
    let registry = load(&[("events/click.toml", HAND)]).unwrap();
    let plain = Registry::load(None).unwrap();
    let (grown, known) = (registry.event("click").unwrap(), plain.event("click").unwrap());
    let names = |event: &shoal_schemas::EventDef| {
        event.properties.iter().map(|property| property.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(known), ["element", "screen"]);
    assert_eq!(names(grown), ["element", "hand", "screen"]);
    assert_eq!(
        (grown.day_max, &grown.doc, grown.pass.len()),
        (known.day_max, &known.doc, known.pass.len() + 1)
    );
    let (_, hand) = registry.table(Kind::Usage).column("hand").unwrap();
    assert!(matches!(&hand.role, ColumnRole::Dimension { domain: Domain::Listed(_), keys_max: 2 }));
    let known = plain.table(Kind::Usage).columns.len();
    assert_eq!(registry.table(Kind::Usage).columns.len(), known + 1);
}

#[test]
fn what_is_wrong_with_an_addition_is_told_with_its_line() {
    for (file, from, to, line, reason) in [
        ("click", "\"click\"", "\"clik\"", 1, "no embedded event; did you mean `click`?"),
        ("tap", "", "", 1, "belongs in events/click.toml"),
        ("click", "keys_max = 2", "keys_max = 2\nrequired = true", 3, "cannot be required"),
        ("click", "[properties.hand]", "[properties.screen]", 3, "is declared already"),
        ("click", "\"boolean\"", "\"bolean\"", 5, "did you mean `boolean`?"),
        ("click", "\"boolean\"", "\"bool\"", 5, "expected one of text, number, boolean, frames"),
        ("click", "[properties.hand]", "day_max = 5\n[properties.hand]", 3, "unknown field"),
        ("click", "\"hand\": true", "\"foot\": true", 10, "`foot` is not declared"),
    ] {
        let text = HAND.replacen(from, to, 1);
        let name = format!("events/{file}.toml");
        let errors = load(&[(&name, &text)]).unwrap_err();
        let named = errors.iter().any(|e| (&e.file, e.line) == (&name, line) && e.reason.contains(reason));
        assert!(named, "no `{reason}` in line {line}: {errors:#?}");
    }
}

/// A file that does not parse hides no fault of another one, and makes none.
#[test]
fn one_run_tells_the_faults_of_all_files_of_an_overlay() {
    let errors = load(&[
        ("events/doorbell.toml", "name = = 1\n"),
        ("events/click.toml", &HAND.replace("boolean", "bool")),
        ("retention.toml", "[[retention]]\nprogramme = \"user-experience\"\nkind = \"usage\"\ndays = 0\n"),
        ("common.toml", "columns = 1\n"),
        ("vendors/segment.toml", "protocol = \"segment\"\n[[rules]]\nfrom = \"Rang\"\nto = \"doorbell\"\n"),
        ("notes.txt", ""),
    ])
    .unwrap_err();
    let mut files: Vec<&str> = errors.iter().map(|error| error.file.as_str()).collect();
    files.sort_unstable();
    files.dedup();
    assert_eq!(
        files,
        ["common.toml", "events/click.toml", "events/doorbell.toml", "notes.txt", "retention.toml"],
        "{errors:#?}"
    );
}
