//! The answers of the demo, with the truth beside each estimate, and how often the intervals hold it.

use std::fmt;

use serde_json::Value;

use super::questions::Question;
use super::traffic::Event;
use crate::cli::table::{column_names, number, plain_table, rows, value};

/// Columns that a line of the demo may have.
const WIDTH: usize = 98;

/// Intervals that hold the truth, and those that do not.
#[derive(Default)]
pub(super) struct Score {
    held: usize,
    intervals: usize,
}

impl Score {
    /// The text of a question and its answer; each estimate has the truth beside it.
    pub(super) fn shown(
        &mut self,
        question: &Question,
        sql: &str,
        answer: &Value,
        events: &[Event],
    ) -> String {
        let names = column_names(answer);
        let find = |row: &Value, name: &str| -> Option<Value> {
            let at = names.iter().position(|n| *n == name)?;
            Some(value(row, at, name).clone())
        };
        let truths: Vec<_> =
            question.columns.iter().map(|(column, truth)| (*column, truth(events))).collect();
        let mut beside = |row: &Value, column: &str| -> Option<String> {
            let (_, groups) = truths.iter().find(|(name, _)| *name == column)?;
            let group =
                question.key.and_then(|key| find(row, key)).map_or(String::new(), |group| text(&group));
            let truth = *groups.get(&group)?;
            let bound = |suffix: &str| find(row, &format!("{column}{suffix}")).and_then(|v| v.as_f64());
            let holds = bound("_low")? <= truth && truth <= bound("_high")?;
            self.intervals += 1;
            self.held += usize::from(holds);
            Some(if holds { number(truth) } else { format!("{}, outside", number(truth)) })
        };
        let is_known = |row: &&Value| {
            let group = question.key.and_then(|key| find(row, key)).map(|group| text(&group));
            group.is_none_or(|group| truths.iter().any(|(_, groups)| groups.contains_key(&group)))
        };
        let known: Vec<&Value> = rows(answer).iter().filter(is_known).collect();
        let table = plain_table(answer, &known, &mut beside);
        let mut shown = format!("\n{}\n{}\n{table}", question.title, wrapped(sql));
        let unknown = rows(answer).len() - known.len();
        if unknown > 0 {
            let rows = if unknown == 1 { "row" } else { "rows" };
            shown.push_str(&format!("  and {unknown} more {rows} of nobody, with noise around 0\n"));
        }
        shown
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(value) => value.clone(),
        value => value.to_string(),
    }
}

/// A statement on lines that fit, broken at blanks and set in.
fn wrapped(sql: &str) -> String {
    let mut lines = vec![String::from(" ")];
    for word in sql.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("    {word}")),
        }
    }
    lines.join("\n")
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (held, all) = (self.held, self.intervals);
        write!(f, "{held} of {all} intervals hold the truth; each is made to do so 95 times in 100.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_statement_is_broken_between_words_and_none_is_lost() {
        let sql = format!("SELECT {}", "column_name, ".repeat(30).trim_end());
        let text = wrapped(&sql);
        assert!(text.lines().count() > 3 && text.lines().all(|line| line.len() <= WIDTH), "{text}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&text), words(&sql));
    }
}
