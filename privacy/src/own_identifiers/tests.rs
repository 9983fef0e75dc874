//! Tests of how identifiers are found: every form of one, and texts that only look like one.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;
use crate::route;

/// Identifiers that are looked for with as much work as any text needs.
#[derive(Default)]
struct Sought(OwnIdentifiers);

impl Sought {
    fn prepare<'i>(&mut self, identifiers: impl Iterator<Item = &'i str> + Clone) {
        self.0.prepare(identifiers, &mut Work::unlimited());
    }

    fn are_in(&mut self, text: &str) -> bool {
        self.0.are_in(text, &mut Work::unlimited())
    }

    fn redact(&mut self, text: &str) -> Option<String> {
        self.0.redact(text, &mut Work::unlimited())
    }
}

fn redacted(identifiers: &[&str], text: &str) -> String {
    let mut own = Sought::default();
    own.prepare(identifiers.iter().copied());
    let out = own.redact(text);
    assert_eq!(out.is_some(), own.are_in(text), "{text}");
    out.unwrap_or_else(|| text.to_owned())
}

/// Ways to write an identifier, the same in all of them.
fn forms(identifier: &str) -> Vec<String> {
    let spaced = |separator: &str| {
        let parts: Vec<String> =
            identifier.as_bytes().chunks(4).map(|c| String::from_utf8_lossy(c).into_owned()).collect();
        parts.join(separator)
    };
    let wide = |c: char| char::from_u32(u32::from(c) + 0xfee0).filter(|_| c.is_ascii_graphic()).unwrap_or(c);
    vec![
        identifier.to_owned(),
        identifier.to_lowercase(),
        identifier.to_uppercase(),
        spaced("-"),
        spaced(" "),
        spaced(":"),
        spaced("\u{200b}"),
        identifier.chars().map(wide).collect(),
        identifier.bytes().map(|b| format!("%{b:02x}")).collect(),
        identifier.bytes().map(|b| format!("%25{b:02X}")).collect(),
        identifier.bytes().map(|b| format!("\\u{b:04x}")).collect(),
        hex::encode(identifier),
        hex::encode_upper(identifier),
        hex::encode(identifier.to_lowercase()),
        BASE64_STANDARD.encode(identifier),
        BASE64_URL_SAFE_NO_PAD.encode(identifier.to_lowercase()),
        BASE64_STANDARD.encode(format!("d:{identifier}!")),
        BASE64_STANDARD.encode(format!("id={identifier}")),
    ]
    .into_iter()
    .chain(odd_forms(identifier))
    .collect()
}

/// How many forms there are.
const FORMS: usize = 43;

/// Ways that no program has, and people do.
fn odd_forms(identifier: &str) -> Vec<String> {
    let between = |separator: &str| -> String {
        let parts: Vec<String> = identifier.chars().map(String::from).collect();
        parts.join(separator)
    };
    let numbers = |separator: &str, number: fn(u8) -> String| -> String {
        let parts: Vec<String> = identifier.bytes().map(number).collect();
        parts.join(separator)
    };
    let alike = |c: char| match c {
        'a' => 'а',
        'A' => 'Α',
        'c' => 'с',
        'e' => 'е',
        'i' => 'і',
        'n' => 'η',
        'o' => 'ο',
        'p' => 'р',
        'P' => 'Р',
        'Z' => 'Ζ',
        's' => 'ѕ',
        _ => c,
    };
    let tag = |c: char| char::from_u32(u32::from(c) + 0xe0000).unwrap_or(c);
    vec![
        numbers(" ", |b| format!("{b:02x}")),
        numbers(":", |b| format!("{b:02X}")),
        numbers("-", |b| format!("{b:02x}")),
        numbers(", ", |b| format!("0x{b:02x}")),
        numbers(" ", |b| format!("U+{b:04X}")),
        numbers("", |b| format!("={b:02X}")),
        numbers("", |b| if b % 2 == 0 { format!("={b:02x}") } else { char::from(b).to_string() }),
        numbers(",", |b| b.to_string()),
        numbers(" ", |b| b.to_string()),
        numbers("-", |b| format!("{b:03}")),
        numbers("", |b| format!("\\{b:03o}")),
        numbers(" ", |b| format!("{b:08b}")),
        numbers("%2C", |b| b.to_string()),
        numbers("", |b| format!("\\u{{{b:x}}}")),
        numbers("", |b| format!("&#{b}")),
        between("\u{e0041}"),
        between("\u{34f}\u{2064}"),
        between("\u{1b}[31m"),
        between("\\u001b[0;1m"),
        between("[0m"),
        between("-"),
        between("=\r\n"),
        identifier.chars().map(alike).collect(),
        identifier.chars().map(tag).collect(),
        identifier.split_inclusive(|c: char| !c.is_alphanumeric()).rev().collect(),
    ]
}

#[test]
fn an_identifier_is_found_in_every_form() {
    for identifier in [
        "7J0A123PAZ00001",
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        "anna.schmidt@example.com",
        "E48291034",
        "8172345678",
    ] {
        assert_eq!(forms(identifier).len(), FORMS);
        for form in forms(identifier) {
            let out = redacted(&[identifier], &format!("lost {form}, asked"));
            assert!(
                out.starts_with("lost ") && out.contains(REPLACEMENT) && out.ends_with(", asked"),
                "{form}: {out}"
            );
        }
    }
    let uuid = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
    let bytes = hex::decode(uuid.replace('-', "")).unwrap();
    let encoded = BASE64_STANDARD.encode(bytes);
    // The last character has bits of the padding, too: it stays.
    assert_eq!(redacted(&[uuid], &format!("id {encoded}")), format!("id <identifier>{}", &encoded[21..]));
}

#[test]
fn short_ones_are_found_as_whole_words() {
    for (identifier, text, wanted) in [
        ("4711", "user 4711 lost", "user <identifier> lost"),
        ("4711", "user4711 lost", "user<identifier> lost"),
        ("4711", "took 14711 ms, 47.11 s", "took 14711 ms, 47.11 s"),
        ("anna", "Hello Anna, annaLogin", "Hello <identifier>, <identifier>Login"),
        ("anna", "Susanna, Hannah, an name", "Susanna, Hannah, an name"),
        ("u-1001", "u-1001 U_1001 u1001 u10.01", "<identifier> <identifier> <identifier> u10.01"),
        ("annaschmidt", "Anna Schmidt, anna.schmidt", "<identifier>, <identifier>"),
        ("anna@example.com", "by anna", "by <identifier>"),
        ("Jörg", "jo\u{308}rg, JÖRG", "<identifier>, <identifier>"),
        ("81723456", "at 1817234567890 and 81723456", "at 1817234567890 and <identifier>"),
        ("4711", "by 1174, 7411 and 4-7-1-1, 4 7-1 1", "by 1174, 7411 and <identifier>, 4 7-1 1"),
        ("u-1001", "1001-u, 1001 u, 1001u", "<identifier>, <identifier>, <identifier>"),
        ("anna.schmidt", "Schmidt, Anna; schmidtanna", "<identifier>; <identifier>"),
        ("вова", "ВОВА, вовa, Вoва", "<identifier>, <identifier>, <identifier>"),
    ] {
        assert_eq!(redacted(&[identifier], text), wanted, "{identifier}");
    }
}

#[test]
fn short_ones_are_found_in_odd_forms() {
    for form in odd_forms("anna").into_iter().chain([hex::encode("anna"), "616e:6e61".to_owned()]) {
        let out = redacted(&["anna"], &format!("lost {form}, asked"));
        assert!(out.contains(REPLACEMENT), "{form}: {out}");
    }
    // What stands around it stays as it was written.
    assert_eq!(redacted(&["anna"], "Привет, аnna!"), "Привет, <identifier>!");
    assert_eq!(redacted(&["anna"], "was [97,110,110,97] in 12 ms"), "was [<identifier>] in 12 ms");
}

#[test]
fn numbers_and_signs_that_are_no_identifier_stay() {
    for text in [
        "00 01 02 61 6e 6e 62 ff",
        "sizes 97, 110, 110, 98 and 12, 34, 56, 78",
        "a=61&b=6E&c=6E",
        "list[0] of mode[31m",
        "took 97 ms, 110 ms, 110 ms, 97 ms",
        "Сообщение не доставлено: анна",
        "\u{1b}[31mred\u{1b}[0m",
        "at 2026-11-22T10:30:59.123Z",
    ] {
        assert_eq!(redacted(&["anna", "7J0A123PAZ00001", "8172345678"], text), text);
    }
}

#[test]
fn one_character_may_be_of_two_words() {
    let mut own = Sought::default();
    own.prepare(["ab12cf", "i34xyz"].into_iter());
    assert_eq!(own.redact("ab12cﬁ34xyz").unwrap(), "<identifier>34xyz");
}

#[test]
fn what_everybody_has_is_not_looked_for() {
    let text = "guest opened camera live view on android 1111 1111 abc 12";
    assert_eq!(
        redacted(&["guest", "camera", "live-view", "android", "11111111", "abc", "12", ""], text),
        text
    );
}

#[test]
fn several_are_found_and_new_ones_take_their_place() {
    let mut own = Sought::default();
    own.prepare(["kermit-1", "E48291034"].into_iter());
    assert_eq!(own.redact("kermit-1 e48291034").unwrap(), "<identifier> <identifier>");
    own.prepare(["piggy-22"].into_iter());
    assert!(own.redact("kermit-1 e48291034").is_none() && own.are_in("Piggy 22"));
    own.prepare(std::iter::empty());
    assert!(!own.are_in("Piggy 22"));
}

proptest! {
    #[test]
    fn nothing_is_left_of_an_identifier(
        identifier in "[A-Za-z0-9]{7,20}[0-9]|[a-z]{3}-[0-9]{6}|[0-9A-F]{12}",
        which in 0usize..FORMS,
        before in "[a-z ,.]{0,9}",
        after in "[a-z ,.]{0,9}",
    ) {
        let mut own = Sought::default();
        own.prepare([identifier.as_str()].into_iter());
        let text = format!("{before} {} {after}", forms(&identifier)[which]);
        let all_equal = identifier.bytes().all(|b| b == identifier.as_bytes()[0]);
        prop_assume!(!all_equal && !route::is_named(&identifier));
        let out = own.redact(&text);
        prop_assert!(out.is_some(), "{} in {}", identifier, text);
        prop_assert!(!own.are_in(&out.unwrap()));
    }

    #[test]
    fn what_is_redacted_has_none_and_is_bounded(
        identifiers in prop::collection::vec("[a-cα0-9ﬁ.-]{3,9}|[0-9]{4,9}|identifier|(anna|аnna)", 1..4),
        parts in prop::collection::vec("[a-c0-9ﬁα%=\\[ .-]{0,9}|6[123]|%6[123]|=6[123]|9[789],|identifier|anna|<", 0..20),
    ) {
        let mut own = Sought::default();
        own.prepare(identifiers.iter().map(String::as_str));
        let text = format!("{}{}", parts.concat(), identifiers.concat());
        let out = own.redact(&text);
        prop_assert_eq!(out.is_some(), own.are_in(&text));
        if let Some(out) = out {
            prop_assert!(!own.are_in(&out), "{:?} in {} became {}", identifiers, text, out);
            prop_assert!(out.len() <= REPLACEMENT.len() * (1 + text.len()));
        }
    }

    #[test]
    fn any_text_is_taken(identifier in "\\PC{0,20}", text in "\\PC{0,60}") {
        let mut own = Sought::default();
        own.prepare([identifier.as_str()].into_iter());
        if let Some(out) = own.redact(&text) {
            prop_assert!(out.contains(REPLACEMENT));
        }
    }
}

/// Identifiers that begin alike, and a text in which each of its bytes may begin one of them or their encodings, in many readings.
fn dearest(bytes: usize) -> (Vec<String>, String) {
    let identifiers = (0..5).map(|at| format!("{}{at}1234567", "ab".repeat(60 + at))).collect();
    let text = format!("{}%61=61 [1m 97 98 97 98 97 98", "abab%61b=6".repeat(bytes / 10));
    (identifiers, text)
}

#[test]
fn the_work_of_a_text_grows_with_it_and_no_faster() {
    let steps = |bytes: usize| {
        let (identifiers, text) = dearest(bytes);
        let (mut own, mut work) = (OwnIdentifiers::default(), Work::unlimited());
        own.prepare(identifiers.iter().map(String::as_str), &mut work);
        own.redact(&text, &mut work);
        u64::MAX - work.left()
    };
    let (small, large) = (steps(4_000), steps(64_000));
    assert!(large > 64_000 && large <= 17 * small, "{small} steps for 4 kB and {large} for 64 kB");
}

#[test]
fn a_text_for_which_no_work_is_left_is_withheld() {
    let (identifiers, text) = dearest(8_000);
    for (steps, is_enough) in [(0, false), (200_000, false), (u64::MAX, true)] {
        let (mut own, mut work) = (OwnIdentifiers::default(), Work::of(steps));
        own.prepare(identifiers.iter().map(String::as_str), &mut work);
        let redacted = own.redact(&text, &mut work);
        assert_eq!(redacted.as_deref() == Some(WITHHELD), !is_enough, "{steps}");
        assert_eq!(own.are_in("a text without any", &mut work), !is_enough, "{steps}");
    }
}
