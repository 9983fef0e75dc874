//! Tests of the scrubber as a whole: the examples of every pattern, what must stay, and properties.
#![allow(clippy::unwrap_used)]

use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;

mod drawn;
mod effort;
mod harmless;
mod kinds;

fn scrubber() -> &'static Scrubber {
    static SCRUBBER: OnceLock<Scrubber> = OnceLock::new();
    SCRUBBER.get_or_init(|| Scrubber::embedded().unwrap())
}

fn scrub(text: &str) -> Cow<'_, str> {
    scrubber().scrub(text, &mut Work::unlimited())
}

fn is_clean(text: &str) -> bool {
    scrubber().is_clean(text, &mut Work::unlimited())
}

/// So many cases of a property, or as many as `PROPTEST_CASES` says.
fn cases(count: u32) -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let config = ProptestConfig::default();
    ProptestConfig { cases: if asked { config.cases } else { count }, ..config }
}

/// As [`scrub`], with every pattern run on every text.
fn scrub_without_scan(text: &str) -> String {
    let settle = |text: &str| {
        let mut current = text.to_owned();
        for _ in 0..=ROUNDS_MAX {
            let before = current.clone();
            for pattern in &scrubber().patterns {
                if let Some(next) = replace(pattern, &current, &mut Work::unlimited()) {
                    current = next;
                }
            }
            if current == before {
                return current;
            }
        }
        WITHHELD.to_owned()
    };
    let folded = fold::fold(text);
    let first = settle(&folded);
    let decoded = fold::decode(&first).filter(|decoded| settle(decoded) != *decoded);
    match decoded {
        Some(decoded) => settle(&decoded),
        None if first == folded => text.to_owned(),
        None => first,
    }
}

#[test]
fn embedded_patterns_hold_their_examples() {
    if let Err(why) = Scrubber::embedded() {
        panic!("{why}");
    }
}

#[test]
fn a_broken_pattern_file_is_refused_by_name() {
    let good =
        "name='x'\ndoc='d'\npriority=1\nregex='zzz'\nneeds={}\npass=[['a zzz','a <x>']]\nfail=['zz']\n";
    let load = |text: &str| Scrubber::from_files([("some.toml", text)].into_iter()).err();
    assert_eq!(load(good), None);
    for (from, to) in [
        ("'zzz'", "'zz('"),
        ("'zzz'", "'z*'"),
        ("<x>", "<y>"),
        ("['zz']", "['zzz']"),
        ("['zz']", "[]"),
        ("'x'", "'X'"),
        ("priority=1", "priority=100"),
        ("needs={}", "needs={}\nvalidator='none'"),
        ("needs={}", "needs={ digits=1 }"),
        ("needs={}", "needs={}\nnews=1"),
    ] {
        let broken = good.replacen(from, to, 1);
        assert_ne!(broken, good);
        let why = load(&broken).unwrap_or_else(|| panic!("accepted: {broken}"));
        assert!(why.starts_with("some.toml: "), "{why}");
    }
}

#[test]
fn usual_dimension_values_are_clean() {
    for value in [
        "device/list",
        "2.14.1 (3301)",
        "2.14.1",
        "iPhone16,2",
        "SM-G991B",
        "Pixel 8 Pro",
        "",
        "de",
        "17.5.1",
        "Android 14",
        "live_view",
        "/device/list",
        "GET /v1/devices/{id}/events",
        "java.lang.IllegalStateException",
        "NSInvalidArgumentException",
        "V5.7.12 build 230628",
        "DS-2CD2043G2-I",
        "E_TIMEOUT_1004",
        "wifi",
        "add_device:scan_qr",
        "2024-11-22",
        "2201117TG",
        "M2101K6G",
        "21081111RG",
        "home",
        "settings/notifications",
        "10.0.19045.3803",
        "com.example.cam.LiveView",
        "CPH2451",
    ] {
        assert!(is_clean(value), "{value:?} became {:?}", scrub(value));
    }
}

#[test]
fn ordinary_texts_stay() {
    for text in [
        "java.lang.IllegalStateException: View not attached to window manager at com.example.cam.LiveView.onCreate(LiveView.kt:123)",
        "TypeError: Cannot read properties of undefined (reading 'map') at render (app.js:1204:33)",
        "took 12345 ms, 3.14159 s, 98.5 %, 1024x768, 0x7ffe3c2a1b00, 1732240000123",
        "HTTP 504 after 30000 ms; retry 3 of 5; error_code=-1004; 12,345,678 bytes",
        "std::panicking::begin_panic::h1a2b3c4d5e6f at /rustc/library/std/src/panicking.rs:689:5",
        "Thread 12: EXC_BAD_ACCESS code=1 address=0x18 at -[LiveViewController viewDidLoad] + 412",
        "升级失败，错误码 1004，请稍后再试",
        "on 2026-11-22T10:30:59.123Z and 22.11.2026 10:30:59, week 47/2026",
    ] {
        assert_eq!(scrub(text), text);
    }
}

#[test]
fn a_clean_text_is_borrowed() {
    assert!(matches!(scrub("nothing in here"), Cow::Borrowed(_)));
}

#[test]
fn placeholders_are_clean() {
    for pattern in &scrubber().patterns {
        assert!(is_clean(&pattern.placeholder), "{}", pattern.placeholder);
    }
    assert!(is_clean(WITHHELD));
}

/// Identifiers, and after a bar the part of each that nobody may find again when it is not the whole.
const IDENTIFIERS: &[&str] = &[
    "anna.schmidt+x@example.com|schmidt",
    "anna%40example.com|anna",
    "+4915112345678|12345",
    "+1 415-555-2671|2671",
    "+65 9123 4567|4567",
    "+60123456789|3456",
    "(415) 555-2671|2671",
    "0151 12345678|12345",
    "012-345 6789|6789",
    "192.168.17.23|168",
    "2001:db8:85a3::8a2e:370:7334|85a3",
    "fe80::1ff:fe23:4567:890a|4567",
    "00:1A:2B:3C:4D:5E|3C:4D",
    "00-1a-2b-3c-4d-5e|3c-4d",
    "001a.2b3c.4d5e|2b3c",
    "490154203237518|20323",
    "35-693803-564380-9|693803",
    "4111 1111 1111 1111|1111",
    "378282246310005|24631",
    "52.520008,13.404954|520008",
    "1.352083, 103.819836|819836",
    "219-09-9999|9999",
    "86095742719|95742",
    "86 095 742 719|742",
    "GB82 WEST 1234 5698 7654 32|5698",
    "L01X00T471|X00T",
    "S1234567D|23456",
    "G1234567X|23456",
    "900101-14-5678|5678",
    "900101145678|14567",
    "DE89370400440532013000|04400",
    "AKIAIOSFODNN7EXAMPLE|SFODN",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP|zdWIi",
    "9e107d9d372bb6826bd81d3542a419d6|372bb",
    "3f2504e0-4f89-41d3-9a0c-0305e82c3301|41d3",
    "/home/annaschmidt/src|schmidt",
    "C:\\Users\\annaschmidt\\x|schmidt",
    "/Users/annaschmidt|schmidt",
    "rtsp://admin:hunter22@cam.local|hunter",
    "password=hunter22|hunter",
    "token=hunter22|hunter",
    "?q=annaschmidt|schmidt",
    "sn=E48291034|48291",
    "imei: 12ab34567|12ab",
    "Annabella's iPhone|Annabella",
    "latitude=52.5200|52",
    "user_id=annaschmidt|schmidt",
    "262011234567890|12345",
];

/// An identifier and its core.
fn parts_of(identifier: &str) -> (&str, &str) {
    identifier.split_once('|').unwrap_or((identifier, identifier))
}

/// What may stand around one: (before, after).
const SURROUNDINGS: &[(&str, &str)] = &[
    ("", ""),
    (" ", " "),
    ("\"", "\""),
    ("'", "'"),
    ("(", ")"),
    ("[", "]"),
    ("{\"k\":\"", "\",\"n\":1}"),
    ("<", ">"),
    ("`", "`"),
    ("%22", "%22"),
    ("\\n", "\\n"),
    ("\\u0022", "\\u0022"),
    ("\\\"", "\\\""),
    (":", ","),
    ("=", ";"),
    ("|", "|"),
    ("“", "”"),
    ("为", "为"),
    ("\t", "\n"),
    (" (", ")."),
    ("_", "_"),
    ("%20", "%20"),
    ("\u{200b}", "\u{200b}"),
    ("🐟", "🐟"),
    ("x=", "&y=2"),
];

/// (text, what became of it) where an identifier can still be found.
fn leak(before: &str, identifier: &str, after: &str) -> Option<(String, String)> {
    let (whole, core) = parts_of(identifier);
    let text = format!("{before}{whole}{after}");
    let out = scrub(&text).into_owned();
    (out.contains(core) || is_clean(&text)).then_some((text, out))
}

#[test]
fn every_identifier_goes_from_all_surroundings() {
    let pairs = || IDENTIFIERS.iter().flat_map(|i| SURROUNDINGS.iter().map(move |(b, a)| (b, i, a)));
    let leaks: Vec<_> = pairs().filter_map(|(b, i, a)| leak(b, i, a)).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}

/// Short words that are labels of something else, and that random words are now and then.
const LABELS: &[&str] = &[
    "hw",
    "bt",
    "mac",
    "pin",
    "otp",
    "tan",
    "cvv",
    "ic",
    "fin",
    "ein",
    "sin",
    "tel",
    "hp",
    "fax",
    "sn",
    "vin",
    "key",
    "id",
    "lat",
    "gps",
    "host",
    "sid",
    "sig",
    "auth",
    "pass",
    "ssn",
    "uid",
    "user",
    "login",
    "account",
    "customer",
    "owner",
    "member",
    "email",
    "dob",
    "born",
    "password",
    "token",
    "secret",
    "authorization",
    "serial",
    "imei",
    "user_id",
];

#[test]
fn no_label_takes_a_part_of_a_number_and_leaves_the_rest() {
    let signs = [(" ", " now"), (": ", " now"), ("=", " now"), (": \"", "\" now"), ("\":\"", "\",\"n\":1")];
    let around = || LABELS.iter().flat_map(move |l| signs.map(|(sign, after)| (format!("{l}{sign}"), after)));
    let others = |i: &&&str| !i.contains(',') && !i.contains('=') && !i.contains(": ");
    let leaks: Vec<_> = around()
        .flat_map(|(head, after)| {
            IDENTIFIERS.iter().filter(others).filter_map(move |i| leak(&head, i, after))
        })
        .collect();
    assert!(leaks.is_empty(), "{} of them: {leaks:#?}", leaks.len());
}

#[test]
fn a_word_behind_an_escape_stands_alone() {
    for escape in ["%22", "\\n", "\\x22", "\\u0022", " "] {
        let text = format!("{escape}{escape}token \"=AaA00");
        let out = scrub(&text).into_owned();
        assert!(out.contains("<secret>") && out == scrub_without_scan(&text), "{text}: {out}");
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn an_identifier_never_stays(
        identifier in prop::sample::select(IDENTIFIERS),
        (before, after) in prop::sample::select(SURROUNDINGS),
        words in prop::collection::vec("[a-z]{1,9}", 0..6),
        at in 0usize..6,
    ) {
        let at = at.min(words.len());
        let (head, tail) = (words[..at].join(" "), words[at..].join(" "));
        let found = leak(&format!("{head} {before}"), identifier, &format!("{after} {tail}"));
        prop_assert!(found.is_none(), "{found:?}");
    }

    #[test]
    fn scrubbing_again_changes_nothing(
        parts in prop::collection::vec(prop_oneof![
            prop::sample::select(IDENTIFIERS).prop_map(|i| parts_of(i).0.to_owned()),
            prop::sample::select(SURROUNDINGS).prop_map(|(b, a)| format!("{b}{a}")),
            "[a-zA-Z0-9 .:@%=&+/\\\\\"<>-]{0,12}",
        ], 0..6),
    ) {
        let text = parts.concat();
        let once = scrub(&text).into_owned();
        let twice = scrub(&once).into_owned();
        prop_assert_eq!(&once, &twice);
        prop_assert!(is_clean(&once), "{:?}", once);
        prop_assert_eq!(is_clean(&text), once == text);
    }

    #[test]
    fn any_text_is_taken(text in "\\PC{0,200}|[\\s\\S]{0,100}") {
        let once = scrub(&text).into_owned();
        prop_assert_eq!(&scrub(&once), &once);
        prop_assert!(once.len() <= 16 * (1 + text.len()), "{} of {} bytes", once.len(), text.len());
    }

    #[test]
    fn the_scan_hides_nothing(
        parts in prop::collection::vec(prop_oneof![
            prop::sample::select(IDENTIFIERS).prop_map(|i| parts_of(i).0.to_owned()),
            prop::sample::select(SURROUNDINGS).prop_map(|(b, a)| format!("{b}{a}")),
            "[a-f0-9:.%-]{0,20}",
            "(sn|imei|user|token|lat|phone|key|id)[\"' ]{0,2}[:=#][\"' ]{0,2}[a-zA-Z0-9.]{0,9}",
        ], 0..5),
    ) {
        let text = parts.concat();
        prop_assert_eq!(scrub(&text).into_owned(), scrub_without_scan(&text));
    }
}
