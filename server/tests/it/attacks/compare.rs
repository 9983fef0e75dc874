//! What two answers to one question may differ in.
//!
//! Invariants: a refusal and a failure in nothing but the date, the same for a dry run; an answer in its rows too, whose
//! numbers are noisy and whose private keys are there by chance, and in the notes that follow from the rows.

use serde_json::Value;

use crate::http::Answer;

/// How a question ended, in both worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ended {
    Answered,
    Refused,
    Failed,
}

impl Ended {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Ended::Answered => "answered",
            Ended::Refused => "refused",
            Ended::Failed => "failed",
        }
    }
}

/// The head without what tells the time, or how long the rows of an answer are.
fn head(answer: &Answer, has_rows: bool) -> Vec<String> {
    let lines = answer.head.lines().map(str::to_ascii_lowercase);
    let keep = |line: &String| {
        let name = line.split(':').next().unwrap_or("");
        // The id of a query is random, and headers have no order.
        !(matches!(name, "date" | "x-query-id") || has_rows && name == "content-length")
    };
    let mut kept: Vec<String> = lines.filter(keep).collect();
    kept.sort();
    kept
}

/// What is in notes that follow from the rows of an answer alone.
const OF_ROWS: [&str; 6] = [
    "The error of `",
    "What helps: ",
    "No group is shown: ",
    "` is NULL in ",
    "` is unknown in ",
    "` is empty in ",
];

/// The answer without its rows, and without the notes that follow from them.
fn without_rows(answer: &Answer) -> Option<Value> {
    let mut json: Value = serde_json::from_slice(&answer.body).ok()?;
    json.as_object_mut()?.remove("rows")?;
    if let Some(notes) = json.get_mut("notes").and_then(Value::as_array_mut) {
        notes.retain(|note| {
            !OF_ROWS.iter().any(|words| note.as_str().is_some_and(|note| note.contains(words)))
        });
    }
    Some(json)
}

/// Whether two answers tell the worlds apart by more than noise; if so, by what.
pub(super) fn compare(with: &Answer, without: &Answer, dry_run: bool) -> Result<Ended, String> {
    if with.status != without.status {
        return Err(format!("{} and {}", with.status, without.status));
    }
    let rows = (without_rows(with), without_rows(without));
    let has_rows = with.status == 200 && !dry_run && rows.0.is_some();
    let heads = (head(with, has_rows), head(without, has_rows));
    if heads.0 != heads.1 {
        return Err(format!("{:?} and {:?}", heads.0, heads.1));
    }
    let is_alike = if has_rows { rows.0 == rows.1 } else { with.body == without.body };
    if !is_alike {
        return Err(format!("{:.600} and {:.600}", with.text(), without.text()));
    }
    Ok(match with.status {
        200 => Ended::Answered,
        500.. => Ended::Failed,
        _ => Ended::Refused,
    })
}

fn answer(status: u16, headers: &str, body: &str) -> Answer {
    Answer { status, head: format!("HTTP/1.1 {status} X\r\n{headers}"), body: body.as_bytes().to_vec() }
}

#[test]
fn what_tells_two_worlds_apart_is_seen() {
    let same = |a: &Answer, b: &Answer, dry_run| compare(a, b, dry_run).is_ok();
    let refusal = |reason: &str| answer(400, "date: now", &format!("{{\"reason\":\"{reason}\"}}"));
    assert_eq!(compare(&refusal("a"), &refusal("a"), false), Ok(Ended::Refused));
    assert!(!same(&refusal("a"), &refusal("b"), false), "a reason that depends on the data");
    assert!(!same(&refusal("a"), &answer(500, "", "{}"), false), "an error of one world");
    assert!(same(&answer(400, "date: 1", ""), &answer(400, "date: 2", ""), false));
    assert!(!same(&answer(400, "retry-after: 1", ""), &answer(400, "retry-after: 2", ""), false));
    let released =
        |n: u32, cost: u32| answer(200, "", &format!("{{\"rows\":[{{\"n\":{n}}}],\"cost\":{cost}}}"));
    assert_eq!(compare(&released(1, 5), &released(20, 5), false), Ok(Ended::Answered));
    assert!(!same(&released(1, 5), &released(1, 6), false), "a price that depends on the data");
    assert!(!same(&released(1, 5), &released(2, 5), true), "a dry run with a number");
    assert!(
        !same(&answer(200, "", "rows 1"), &answer(200, "", "rows 2"), false),
        "an answer in another form"
    );
}
