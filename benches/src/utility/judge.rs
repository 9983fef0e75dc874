//! How far an answer is from the truth, and how often the truth is in the interval that the answer states.
//!
//! A group that is in the answer but not among the true ones is true with zero. A group that is withheld is neither right
//! nor wrong; it is counted. Not here: what should have been answered (`questions.rs`).

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::questions::Question;

/// What came of one question.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The question.
    pub name: String,
    /// Whether its relative error has a goal.
    pub has_goal: bool,
    /// Why there is no answer; empty when there is one.
    pub refusal: String,
    /// How long it took.
    pub time: Duration,
    /// Numbers that were answered.
    pub cells: usize,
    /// Those whose interval holds the truth.
    pub covered: usize,
    /// Groups that the answer does not show.
    pub withheld: usize,
    /// Most subjects of a group that is not shown.
    pub withheld_subjects_max: u64,
    /// Relative errors of the numbers of large groups, ascending.
    pub errors: Vec<f64>,
    /// The large group that is farthest off.
    pub worst_group: String,
    /// Largest distance from the truth in stated standard deviations.
    pub deviations_max: f64,
}

/// Judges an answer in JSON. Groups of at least `large` subjects count for the relative error.
pub(super) fn judge(question: &Question, answer: &Value, large: u64, time: Duration) -> Verdict {
    let mut verdict = Verdict::of(question, time);
    let mut shown = Vec::new();
    for row in answer["rows"].as_array().into_iter().flatten() {
        let key: Vec<String> = question.keys.iter().map(|name| text(&row[*name])).collect();
        let known = question.truth.get(&key);
        for (at, column) in question.columns.iter().enumerate() {
            let truth = known.map_or(0.0, |cell| cell.values[at]);
            let number = |suffix: &str| row[format!("{column}{suffix}")].as_f64();
            let (Some(estimate), Some(low), Some(high)) = (number(""), number("_low"), number("_high"))
            else {
                continue;
            };
            verdict.cells += 1;
            verdict.covered += usize::from(low <= truth && truth <= high);
            if let Some(sd) = number("_sd").filter(|sd| *sd > 0.0) {
                verdict.deviations_max = verdict.deviations_max.max((estimate - truth).abs() / sd);
            }
            if known.is_some_and(|cell| cell.subjects >= large) {
                let error = (estimate - truth).abs() / truth;
                if verdict.errors.iter().all(|other| *other < error) {
                    verdict.worst_group = format!("{} {column} {truth}", key.join(" "));
                }
                verdict.errors.push(error);
            }
        }
        shown.push(key);
    }
    let hidden = question.truth.iter().filter(|(key, cell)| cell.subjects > 0 && !shown.contains(key));
    for (_, cell) in hidden {
        verdict.withheld += 1;
        verdict.withheld_subjects_max = verdict.withheld_subjects_max.max(cell.subjects);
    }
    verdict.errors.sort_by(f64::total_cmp);
    verdict
}

/// The text of a key: of a date or a midnight the day alone, of a number no decimal places.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => match text.strip_suffix("T00:00:00Z") {
            Some(day) => day.to_owned(),
            None => text.strip_suffix("T00:00:00.000Z").unwrap_or(text).to_owned(),
        },
        Value::Number(number) => number.as_f64().map_or_else(String::new, |n| n.to_string()),
        other => other.to_string(),
    }
}

impl Verdict {
    /// Nothing is known but the question and the time.
    pub(super) fn of(question: &Question, time: Duration) -> Verdict {
        Verdict { name: question.name.to_owned(), has_goal: question.has_goal, time, ..Verdict::default() }
    }

    /// The relative error that a share of the large groups' numbers keeps; none when there are no large groups.
    pub fn error(&self, share: f64) -> Option<f64> {
        let last = self.errors.len().checked_sub(1)?;
        self.errors.get((share * last as f64).round() as usize).copied()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let goal = if self.has_goal { "" } else { " (no goal)" };
        writeln!(f, "{}{goal}: {} ms", self.name, self.time.as_millis())?;
        if !self.refusal.is_empty() {
            return writeln!(f, "  no answer: {}", self.refusal);
        }
        let percent = 100.0 * self.covered as f64 / self.cells.max(1) as f64;
        writeln!(f, "  {} numbers, the truth is in {} intervals ({percent:.1} %)", self.cells, self.covered)?;
        writeln!(f, "  farthest from the truth: {:.2} standard deviations", self.deviations_max)?;
        if let (Some(median), Some(worst)) = (self.error(0.5), self.error(1.0)) {
            let (median, worst, count) = (100.0 * median, 100.0 * worst, self.errors.len());
            writeln!(
                f,
                "  relative error of {count} large groups: median {median:.4} %, worst {worst:.4} %"
            )?;
        }
        if self.withheld > 0 {
            let most = self.withheld_subjects_max;
            writeln!(f, "  {} groups not shown, of {most} subjects at the most", self.withheld)?;
        }
        Ok(())
    }
}
