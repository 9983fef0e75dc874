//! Whether the intervals of an answer hold the truth.

use std::fmt;

use serde_json::Value;

use super::questions::Question;
use super::traffic::Event;
use crate::cli::table::{column_names, number, rows, value};

/// Intervals that hold the truth, and those that do not.
#[derive(Default)]
pub(super) struct Score {
    held: usize,
    intervals: usize,
}

impl Score {
    /// Compares an answer and prints a line for each number.
    pub(super) fn add(&mut self, question: &Question, answer: &Value, events: &[Event]) {
        let names = column_names(answer);
        let find = |row: &Value, name: &str| -> Option<Value> {
            let at = names.iter().position(|n| *n == name)?;
            Some(value(row, at, name).clone())
        };
        let mut withheld = Vec::new();
        for (column, truth) in question.columns {
            for (group, truth) in truth(events) {
                let is_group = |row: &&Value| match question.key {
                    Some(key) => find(row, key).is_some_and(|value| is_text_of(&value, &group)),
                    None => true,
                };
                let Some(row) = rows(answer).iter().find(is_group) else {
                    withheld.push(group);
                    continue;
                };
                let bound = |suffix: &str| find(row, &format!("{column}{suffix}")).and_then(|v| v.as_f64());
                let (Some(low), Some(high)) = (bound("_low"), bound("_high")) else { continue };
                let holds = low <= truth && truth <= high;
                self.intervals += 1;
                self.held += usize::from(holds);
                let mark = if holds { "in" } else { "NOT in" };
                let group = if group.is_empty() { (*column).to_owned() } else { group };
                println!("  truth {group}: {} is {mark} {} to {}", number(truth), number(low), number(high));
            }
        }
        if !withheld.is_empty() {
            println!("  withheld, too few people: {}", withheld.join(", "));
        }
    }
}

fn is_text_of(value: &Value, text: &str) -> bool {
    match value {
        Value::String(value) => value == text,
        value => format!("{value}") == text,
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (held, all) = (self.held, self.intervals);
        write!(f, "{held} of {all} intervals hold the truth; each is made to do so 95 times in 100.")
    }
}
