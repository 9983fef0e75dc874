//! Who is in the worlds: some people over a week, and the day of one more.

use shoal_schemas::Kind;

use super::cases::MARK;
use crate::tests::stored::Flush;
use crate::tests::{Row, today};

/// What the person's day is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Day {
    /// What conditions ask for, patterns match late, and groups are made of.
    Loud,
    /// As many rows with as many different texts, of which nobody asks.
    Quiet,
}

impl Day {
    fn events(self) -> [&'static str; 3] {
        match self {
            Day::Loud => ["click", "purchase", "screen_view"],
            Day::Quiet => ["login", "app_open", "session_start"],
        }
    }

    /// As long as a property may be, where a pattern has to look at all of it.
    fn screens(self) -> [String; 4] {
        match self {
            Day::Loud => {
                [MARK.to_owned(), "a".repeat(200), format!("{}z", "a".repeat(198)), "zebra_a".to_owned()]
            }
            Day::Quiet => ["q", "rr", "sss", "tttt"].map(str::to_owned),
        }
    }
}

/// The person's day: 16 events in use, three measured ones and a crash.
pub(super) fn of_person(day: Day) -> Flush {
    let (events, screens) = (day.events(), day.screens());
    let number = |loud: i64, quiet: i64| if day == Day::Loud { loud } else { quiet };
    let row = |at: usize| {
        Row::new(0, today(), events[at % 3])
            .text("screen", screens[at % 4].clone())
            .text("app_version", if day == Day::Loud { "v7" } else { "4.0" })
            .text("os", "ios")
            .text("result", if day == Day::Loud { "ok" } else { "failed" })
            .number("amount", number(1_000_000, 1))
            .number("items", number(10, 1))
    };
    let lag = |at: i64| {
        let event = if day == Day::Loud { "page_load" } else { "app_start" };
        let row = Row::new(0, today(), event).text("screen", screens[0].clone()).text("os", "ios");
        row.number("duration_ms", number(119_000 + at, at))
    };
    let crash = Row::new(0, today(), "app_crash").text("os", "ios").number("foreground", number(1, 0));
    [
        (Kind::Usage, (0..16).map(row).collect()),
        (Kind::Performance, (0..3).map(lag).collect()),
        (Kind::Crash, vec![crash]),
    ]
    .into()
}

/// Whose day it is, as a number.
pub(super) fn subject_of_person() -> u128 {
    u128::from_be_bytes(Row::new(0, today(), "click").digest_of("subject"))
}

/// 60 people, a third of whom are there on each of seven days.
pub(super) fn everybody() -> Flush {
    let mut all = Flush::new();
    for subject in 1..=60_u32 {
        let days = if subject % 3 == 0 { 7 } else { 1 };
        for ago in 0..days {
            let day = today() - ago;
            let os = ["ios", "android", "linux"][subject as usize % 3];
            let row = |event| {
                let screen = if subject % 2 == 0 { "home" } else { "live" };
                Row::new(subject, day, event).text("os", os).text("screen", screen)
            };
            let version = format!("4.{}", subject % 4);
            let usage = all.entry(Kind::Usage).or_default();
            usage.push(row("app_open").text("app_version", version.clone()));
            usage.push(row("click").text("app_version", version));
            let bought = row("purchase").text("result", "ok");
            usage.push(bought.number("amount", i64::from(subject) * 10).number("items", 2));
            let loaded = row("page_load").number("duration_ms", i64::from(subject) * 30);
            all.entry(Kind::Performance).or_default().push(loaded);
            if subject % 10 == 0 {
                all.entry(Kind::Crash).or_default().push(row("app_crash").number("foreground", 1));
            }
        }
    }
    all
}
