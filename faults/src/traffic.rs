//! The events that are sent: each has a number, which is in its row, so that rows and events can be matched without any
//! key.
//!
//! Invariants: a batch follows from its number and from the seed of its trial alone, so that it can be sent again; its
//! events are of all four tables of one region; a number is a text of letters only, which no pattern of the scrubber
//! takes for something.

use serde_json::{Value, json};

/// Countries of the four regions.
const COUNTRIES: [(&str, &str); 4] = [("DE", "de"), ("US", "us"), ("SG", "sg"), ("MY", "my")];
/// Events of each batch.
const EVENTS: u64 = 20;
/// A policy version that both programmes accept.
const POLICY: &str = "2026-1";

/// A batch of native events by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Batch(pub u64);

impl Batch {
    /// The numbers of its events.
    #[must_use]
    pub fn events(self) -> std::ops::Range<u64> {
        self.0 * EVENTS..(self.0 + 1) * EVENTS
    }

    /// Whose events an event with this number is.
    #[must_use]
    pub fn user(number: u64) -> String {
        format!("user-{}", number / 7 % 5_000)
    }

    /// Its body for `POST /v1/events`. One batch in thirty is large, so that logs and files of tables are not small
    /// only.
    #[must_use]
    pub fn body(self) -> Value {
        let (country, _) = COUNTRIES[(self.0 % 4) as usize];
        let events: Vec<Value> = self.events().map(|number| event(number, self.0 % 30 == 7)).collect();
        json!({"consent": {"policy_version": POLICY}, "country": country, "events": events})
    }

    /// How many events it has.
    #[must_use]
    pub const fn count(self) -> u64 {
        EVENTS
    }

    /// The table in which an event with this number must be.
    #[must_use]
    pub fn table(number: u64) -> String {
        let (_, region) = COUNTRIES[(number / EVENTS % 4) as usize];
        let kind = ["usage", "crash", "performance", "device"][kind(number)];
        format!("{region}/{kind}")
    }

    /// The measure in its row, for the tables that have one.
    #[must_use]
    pub fn measure(number: u64) -> Option<u64> {
        matches!(kind(number), 2 | 3).then_some(number % 997)
    }
}

/// Most events are of usage, as they are in the field.
fn kind(number: u64) -> usize {
    match number % 10 {
        7 => 1,
        8 => 2,
        9 => 3,
        _ => 0,
    }
}

fn event(number: u64, is_large: bool) -> Value {
    let word = letters(number);
    let measure = Batch::measure(number);
    let (name, properties) = match kind(number) {
        0 => ("click", json!({"element": word, "screen": "home"})),
        1 => {
            let message = "went wrong ".repeat(if is_large { 600 } else { 1 });
            ("app_crash", json!({"exception_type": word, "message": message}))
        }
        2 => ("page_load", json!({"screen": word, "duration_ms": measure})),
        _ => (
            "device_fault",
            json!({"fault_code": word, "uptime_h": measure, "serial_number": Batch::user(number)}),
        ),
    };
    json!({"id": format!("event-{number}"), "event": name, "user_id": Batch::user(number), "properties": properties})
}

/// The text that stands for a number.
#[must_use]
pub fn letters(mut number: u64) -> String {
    let mut text = String::from("el");
    loop {
        text.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
        if number == 0 {
            return text;
        }
    }
}

/// The number for which a text stands; none when it is no such text.
pub(crate) fn number(text: &str) -> Option<u64> {
    let letters = text.strip_prefix("el").filter(|letters| !letters.is_empty())?;
    letters.bytes().rev().try_fold(0_u64, |number, byte| {
        let digit = u64::from(byte.checked_sub(b'a').filter(|digit| *digit < 26)?);
        number.checked_mul(26)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::{Batch, letters, number};

    #[test]
    fn a_number_is_found_again_in_its_text() {
        for of in [0, 1, 25, 26, 27, 675, 676, 123_456_789, 999_999_999] {
            assert_eq!(number(&letters(of)), Some(of));
        }
        assert_eq!((number("el"), number("home"), number("elA")), (None, None, None));
    }

    #[test]
    fn a_batch_is_the_same_each_time_and_has_events_of_all_tables() {
        assert_eq!(Batch(37).body(), Batch(37).body());
        let tables: std::collections::BTreeSet<String> = Batch(5).events().map(Batch::table).collect();
        assert_eq!(
            tables.into_iter().collect::<Vec<_>>(),
            ["us/crash", "us/device", "us/performance", "us/usage"]
        );
    }
}
