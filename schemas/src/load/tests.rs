//! What is refused, with file, line and reason; and that nothing a file may hold makes loading panic.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::{Faults, Source, check, read};
use crate::SchemaError;

/// A file, what to replace in it by what, and then: a part of the line that is named, and of the reason.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str);

const CLICK: &str = "events/click.toml";
const API: &str = "events/api_request.toml";
const LOAD: &str = "events/page_load.toml";
const BUY: &str = "events/purchase.toml";
const CRASH: &str = "events/app_crash.toml";

const CASES: &[Case] = &[
    (CLICK, "day_max =", "day_maximum = 1\nday_max =", "day_maximum", "unknown field"),
    (CLICK, "day_max = 50", "day_max = \"50\"", "day_max = \"50\"", "invalid type"),
    (CLICK, "day_max = 50", "day_max = 0", "day_max = 0", "it must be from 1 to"),
    (CLICK, "day_max = 50", "day_max = = 5", "day_max = = 5", ""),
    (CLICK, "name = \"click\"", "name = \"Click\"", "name = ", "must match"),
    (CLICK, "name = \"click\"", "name = \"login\"", "name = ", "belongs in events/login.toml"),
    (
        CLICK,
        "kind = \"usage\"",
        "kind = \"use\"",
        "kind = ",
        "unknown name `use`: expected one of usage, crash",
    ),
    (CLICK, "\"user-experience\"", "\"ux\"", "programme = ", "expected one of user-experience"),
    (CLICK, "[properties.screen]", "[properties.Screen]", "[properties.Screen]", "must match"),
    (CLICK, "[properties.screen]", "[properties.subject]", "[properties.subject]", "that Shoal makes itself"),
    (CLICK, "[properties.screen]", "[properties.region]", "[properties.region]", "that Shoal makes itself"),
    (CLICK, "class = \"dimension\"", "class = \"secret\"", "class = ", "unknown class `secret`"),
    (CLICK, "class = \"dimension\"", "class = \"measure\"", "class = ", "does not go with type `text`"),
    (CLICK, "type = \"text\"", "type = \"txet\"", "type = ", "did you mean `text`?"),
    (CLICK, "class = \"dimension\"", "class = \"dimenson\"", "class = ", "did you mean `dimension`?"),
    (CLICK, "domain = \"private\"", "domain = \"open\"", "domain = ", "expected one of listed, private"),
    (CLICK, "domain = \"private\"", "domain = \"listed\"", "domain = ", "needs `values`"),
    (CLICK, "domain = \"private\"", "domain = \"listed\"\nvalues = []", "values = ", "from 1 to"),
    (
        CLICK,
        "domain = \"private\"",
        "domain = \"listed\"\nvalues = [\"a\", \"a\"]",
        "values = ",
        "listed twice",
    ),
    (CLICK, "domain = \"private\"", "domain = \"private\"\nunit = \"ms\"", "unit = ", "has no meaning"),
    (CLICK, "bytes_max = 64", "bytes_max = 5000", "bytes_max = ", "from 1 to 256"),
    (CLICK, "bytes_max = 64", "", "[properties.screen]", "`bytes_max` is missing"),
    (CLICK, "[[pass]]", "[[example]]", "[[example]]", "unknown field"),
    (CLICK, "json = '{", "json = '{{", "json = '{{", "not JSON"),
    (CLICK, "\"event\": \"click\"", "\"event\": \"tap\"", "json = ", "`event` is not `click`"),
    (CLICK, "\"element\": \"camera_tile\"", "\"place\": 1", "json = ", "lacks the required `element`"),
    (CLICK, "code = \"too_long\"", "code = \"Too long\"", "code = ", "a code is"),
    (API, "min = 0", "min = 999999", "min = 999999", "bounds are reversed"),
    (API, "max = 599", "max = 9000000000000000000", "max = 9", "it must be from"),
    (LOAD, "unit = \"ms\"", "unit = \"s\"", "[properties.duration_ms]", "has another unit in `"),
    (LOAD, "unit = \"ms\"", "unit = \"ms\"\nscale = 1", "[properties.duration_ms]", "has another scale in `"),
    (BUY, "scale = 2", "scale = 20", "scale = 20", "from 0 to 6"),
    (BUY, "keys_max = 2", "keys_max = 9", "keys_max = 9", "only 3 values are listed"),
    (CRASH, "[properties.frames]", "[properties.trace]", "[properties.trace]", "of a crash event"),
    (CRASH, "kind = \"crash\"", "kind = \"usage\"", "[properties.frames]", "of a crash event"),
    ("common.toml", "[columns.os]", "[columns.cpu]", "[columns.cpu]", "unknown column"),
    ("common.toml", "\"ios\", \"android\"", "\"ios\", \"ios\"", "values = ", "listed twice"),
    ("countries.toml", "AD = ", "Ad = ", "Ad = ", "two capital letters"),
    ("countries.toml", "AD = ", "ZZ = ", "ZZ = ", "not `ZZ`"),
    ("countries.toml", "AD = ", "AE = ", "AE = ", "duplicate key"),
    (
        "countries.toml",
        "region = \"DE\"",
        "region = \"EU\"",
        "region = \"EU\"",
        "expected one of US, DE, SG, MY",
    ),
    ("countries.toml", "region = \"MY\"", "region = \"SG\"", "", "region MY has no country"),
    ("retention.toml", "days = 180", "days = 0", "days = 0", "from 1 to"),
    ("retention.toml", "kind = \"performance\"", "kind = \"usage\"", "[[retention]]", "given twice"),
    (
        "programmes/user-experience.toml",
        "[\"2025-1\", \"2026-1\"]",
        "[]",
        "policy_versions = ",
        "no policy version",
    ),
    ("programmes/user-experience.toml", "age_min = 16", "age_min = 13", "age_min = ", "from 16"),
    ("regions/us.toml", "region = \"US\"", "region = \"DE\"", "region = ", "belongs in regions/de.toml"),
    (
        "vendors/segment.toml",
        "to = \"purchase\"",
        "to = \"buy\"",
        "to = \"buy\"",
        "event `buy` is not declared",
    ),
    (
        "vendors/segment.toml",
        "total = \"amount\"",
        "total = \"sum\"",
        "total = \"sum\"",
        "`sum` is not declared by",
    ),
    (
        "vendors/segment.toml",
        "result = \"ok\"",
        "result = \"fine\"",
        "result = \"fine\"",
        "not a value of `result`",
    ),
    ("vendors/segment.toml", "from = \"screen\"", "from = \"PAGE\"", "from = \"PAGE\"", "never reached"),
    (
        "vendors/segment.toml",
        "from = \"page\"",
        "from = \"p*ge\"",
        "from = \"p*ge\"",
        "stands at the end only",
    ),
    ("vendors/sentry.toml", "from = \"event\"", "from = \"*\"", "from = ", "never reached: the rule for `*`"),
    (
        "vendors/sentry.toml",
        "protocol = \"sentry\"",
        "protocol = \"native\"",
        "protocol = ",
        "has no mapping",
    ),
];

/// The embedded files, with the first occurrence of a text replaced in one of them.
fn replaced(file: &str, from: &str, to: &str) -> Vec<Source> {
    let mut sources = read::embedded();
    let source = sources.iter_mut().find(|s| s.name == file).unwrap();
    assert!(source.text.contains(from), "{file} has no `{from}`");
    source.text = source.text.replacen(from, to, 1);
    sources
}

fn faults(sources: &[Source]) -> Vec<SchemaError> {
    check(sources.to_vec(), Faults::default()).err().unwrap_or_default()
}

#[test]
fn each_inconsistency_is_refused_with_file_line_and_reason() {
    for (file, from, to, line, reason) in CASES {
        let sources = replaced(file, from, to);
        let text = &sources.iter().find(|s| s.name == *file).unwrap().text;
        let found = faults(&sources);
        let fits = |e: &SchemaError| {
            let at = text.lines().nth(e.line - 1).unwrap_or_default();
            e.file == *file && at.contains(line) && e.reason.contains(reason)
        };
        assert!(found.iter().any(fits), "{file}: `{from}` -> `{to}` gave {found:#?}");
    }
}

#[test]
fn one_run_reports_every_fault() {
    let mut sources = replaced(CLICK, "day_max = 50", "day_max = 0");
    let other = sources.iter_mut().find(|s| s.name == API).unwrap();
    other.text = other.text.replace("day_max = 60", "day_max = 0").replace("unit = \"ms\"", "unit = \"\"");
    let found = faults(&sources);
    assert!(found.iter().filter(|e| e.reason.contains("day_max is 0")).count() == 2, "{found:#?}");
    assert!(found.iter().any(|e| e.reason.contains("a unit is")), "{found:#?}");
}

#[test]
fn a_missing_file_is_named() {
    for name in [
        "common.toml",
        "retention.toml",
        "programmes/device-experience.toml",
        "regions/my.toml",
        "countries.toml",
    ] {
        let sources: Vec<Source> = read::embedded().into_iter().filter(|s| s.name != name).collect();
        let found = faults(&sources);
        assert!(found.iter().any(|e| e.file == name), "{name}: {found:#?}");
    }
    assert!(!faults(&[]).is_empty());
}

#[test]
fn the_list_of_embedded_files_is_the_directory() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("defs");
    let mut faults = Faults::default();
    let on_disk = read::directory(&root, &mut faults);
    assert_eq!(faults.into_errors(), []);
    let names = |list: &[Source]| list.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&read::embedded()), names(&on_disk));
}

/// Texts that mean something in these files, so that mutations get past the parser.
fn snippet() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[ -~]{0,6}",
        "\\PC{0,3}",
        any::<i64>().prop_map(|n| n.to_string()),
        prop::sample::select(vec![
            "\n",
            "\"",
            "[[",
            "]]",
            "'",
            "''' ",
            " = ",
            "scale = 7\n",
            "min = 5\n",
            "max = -5\n",
            "required = true\n",
            "\"listed\"",
            "\"private\"",
            "\"drop\"",
            "\"frames\"",
            "\"identifier\"",
            "\"location\"",
            "\"number\"",
            "[properties.x]\n",
            "values = []\n",
            "\u{0}",
            "*",
            ".",
            "nan",
            "1979-05-27",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// A file with a part overwritten is accepted or refused with a line that exists; never a panic.
    #[test]
    fn mutated_files_never_panic(file in 0_usize..1_000, start in 0_usize..20_000, length in 0_usize..24, snippet in snippet()) {
        let mut sources = read::embedded();
        let at = file % sources.len();
        let text: Vec<char> = sources[at].text.chars().collect();
        let start = start % (text.len() + 1);
        let end = (start + length).min(text.len());
        let mutated: String =
            text[..start].iter().copied().chain(snippet.chars()).chain(text[end..].iter().copied()).collect();
        sources[at].text = mutated;
        for error in faults(&sources) {
            prop_assert!(error.line >= 1 && !error.reason.contains('\n'), "{error}");
            if let Some(source) = sources.iter().find(|s| s.name == error.file) {
                prop_assert!(error.line <= source.text.lines().count() + 1, "{error}");
            }
        }
    }

    /// Values from one place of a file put into another: the shape stays, the meaning breaks.
    #[test]
    fn swapped_lines_never_panic(file in 0_usize..1_000, one in 0_usize..400, two in 0_usize..400) {
        let mut sources = read::embedded();
        let at = file % sources.len();
        let mut lines: Vec<&str> = sources[at].text.lines().collect();
        let (one, two) = (one % lines.len(), two % lines.len());
        lines[one] = lines[two];
        let text = lines.join("\n");
        sources[at].text = text;
        for error in faults(&sources) {
            prop_assert!(error.line >= 1, "{error}");
        }
    }

    /// Loading is deterministic: the same files in any order give the same tables.
    #[test]
    fn the_order_of_files_does_not_matter(seed in any::<u64>()) {
        let mut sources = read::embedded();
        sources.sort_by_key(|s| s.name.bytes().fold(seed, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)).rotate_left(7)));
        let shuffled = check(sources, Faults::default()).unwrap();
        let plain = check(read::embedded(), Faults::default()).unwrap();
        for (a, b) in shuffled.tables.iter().zip(&plain.tables) {
            prop_assert_eq!(a.arrow_schema(), b.arrow_schema());
            prop_assert_eq!(format!("{:?}", a.columns), format!("{:?}", b.columns));
        }
    }
}
