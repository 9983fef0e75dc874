//! What texts that are made to cost much may cost: steps that grow with the text and no faster, and an end to them.

use super::*;

fn steps(text: &str) -> u64 {
    let mut work = Work::unlimited();
    let before = work.left();
    scrubber().scrub(text, &mut work);
    before - work.left()
}

/// Parts which, repeated, were made to be refused again and again, or to look like the beginning of something.
const PARTS: &[&str] = &[
    "0030 11 ",
    "acookie:",
    "cookie:",
    "0 ",
    "1-",
    "0",
    "a",
    "A1",
    "1.",
    "00:",
    "::",
    "@",
    "a@",
    "a.",
    "//",
    "/u/",
    "C:\\users\\",
    "%30",
    "\\u0030",
    "&#48;",
    "'",
    "Anna's ",
    "Annas ",
    "eyJ",
    "Bearer ",
    "?a=",
    "= ",
    "52.520008 ",
    "4111 ",
    "S1",
    "A-",
    "7J0A-",
    "token ",
    "user ",
    "lat 1.1",
    "host ",
    "+1 ",
    "(0",
    "\u{ff10}",
    "\u{200b}0",
    "\"",
    "x ",
    "0x",
    "1,1,",
    "ssn ",
    "Street ",
    "Jalan A ",
    "-----BEGIN A KEY-----",
    "-----BEGIN A KEY-----a\n",
    "eyJaaaaaa\n",
    "eyJaaaaaa.\n",
    "00 1a ",
    "00.1a.",
    "001a-2b3c-",
    "ssh-rsa AAAAaaaa ",
    "sn: 0151 12 ",
    "pin 123 4 ",
    "\u{1b}[31m",
    "\\u001b[",
    "=61",
    "аa",
    "users: [a, ",
    "users: [a\n",
    "names: [\"A",
    "{\"userNames\":[\"<user>\",",
    "members: a, ",
    "a, ",
    "full name: a ",
    "Name: Anna Bb ",
    "+65 1234 5678 ",
    "plate A1 ",
    "Mr. Dr. ",
    "A-pc ",
    "AB\\anna ",
    "Anna Bb <",
    "\u{e0041}",
];

#[test]
fn effort_grows_with_the_text_and_no_faster() {
    for part in PARTS {
        let of = |bytes: usize| steps(&part.repeat(bytes / part.len()));
        let (short, long) = (of(4 << 10), of(32 << 10));
        assert!(long <= 10 * short, "{part:?}: {short} steps for 4 KiB, {long} for 32 KiB");
        assert!(long <= 400 * (32 << 10), "{part:?}: {long} steps for 32 KiB");
    }
}

#[test]
fn a_text_without_an_end_of_matches_is_no_secret_door() {
    // The last of them was a telephone number, and when it was gone the one before it, up to the last round.
    let out = scrub(&"0030 11 ".repeat(1023)).into_owned();
    assert!(!out.contains("0030 11 0030 11"), "{}", &out[..out.len().min(80)]);
    for ordinary in ["-".repeat(2_000), "=".repeat(2_000), "LiveView".repeat(250), "0 ".repeat(1_000)] {
        assert_eq!(scrub(&ordinary), ordinary);
    }
}

#[test]
fn what_no_steps_are_left_for_is_withheld_as_a_whole() {
    let (text, needed) = ("mail anna@example.com today", steps("mail anna@example.com today"));
    let mut work = Work::of(needed + 1);
    assert_eq!(scrubber().scrub(text, &mut work), "mail <email> today");
    assert_eq!((work.unscanned(), work.is_spent()), (0, false));
    for steps_max in [0, 1, needed / 2, needed] {
        let mut work = Work::of(steps_max);
        assert_eq!(scrubber().scrub(text, &mut work), WITHHELD, "{steps_max} of {needed}");
        assert_eq!((work.unscanned(), work.is_spent()), (1, true));
        assert!(!scrubber().is_clean("home", &mut work), "what was not looked at is not clean");
        assert_eq!(work.unscanned(), 2);
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn no_text_takes_more_than_its_length_allows(
        parts in prop::collection::vec(prop::sample::select(PARTS), 1..6),
        bytes in 256usize..4096,
    ) {
        let unit = parts.concat();
        let text = unit.repeat(bytes / unit.len() + 1);
        let (taken, allowed) = (steps(&text), 20_000 + 700 * text.len() as u64);
        prop_assert!(taken <= allowed, "{} steps for {} bytes of {:?}", taken, text.len(), unit);
    }
}
