//! An answer as a table for people: each estimate with its 95 % interval in one cell.
//!
//! Not here: how an answer comes about (`shoal-query`).

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde_json::Value;

use super::output::framed;

/// The text of an answer's JSON: the table, then what it cost and what is to be noted.
pub(crate) fn answer_table(answer: &Value) -> String {
    let mut text = String::new();
    let columns: Vec<Shown> = shown_columns(answer);
    if !columns.is_empty() && answer["dry_run"] != true {
        let mut table = framed(columns.iter().map(|c| c.title.clone()));
        for row in rows(answer) {
            table.add_row(columns.iter().map(|c| c.cell(row)));
        }
        align_estimates(&mut table, &columns);
        text = match is_explained(answer) {
            true => format!("{table}\n"),
            false => format!("{table}\n{} rows; ± and (to) are the 95 % interval\n", rows(answer).len()),
        };
    }
    if is_unpaid(answer) {
        let what = if is_explained(answer) { "explained" } else { "dry run" };
        text.push_str(&format!("{what}: nothing was read, nothing is charged\n"));
        if let Some(query) = answer["query"].as_str().filter(|_| !is_explained(answer)) {
            text.push_str(&format!("{query}\n"));
        }
    }
    let cost = &answer["cost"];
    if let (Some(rho), Some(blocks)) = (cost["rho_per_block"].as_str(), cost["blocks"].as_u64()) {
        let most = cost["rho_block_max"].as_str().unwrap_or("?");
        let delta = delta(cost).map(|delta| format!(", and delta {delta}")).unwrap_or_default();
        text.push_str(&format!(
            "cost: rho {rho} on each of {blocks} (region, day) blocks, of {most}{delta}\n"
        ));
        text.push_str(&paid(cost, is_unpaid(answer)));
    }
    for note in answer["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}

/// These rows of an answer without lines and set in, each estimate with what belongs `beside` it: its row, and the name of its
/// column.
pub(crate) fn plain_table(
    answer: &Value,
    of: &[&Value],
    beside: &mut dyn FnMut(&Value, &str) -> Option<String>,
) -> String {
    let columns = shown_columns(answer);
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(columns.iter().map(|c| match c.is_estimate() {
        true => format!("{} (truth)", c.title),
        false => c.title.clone(),
    }));
    for row in of {
        let cells = columns.iter().map(|c| match beside(row, &c.name) {
            Some(beside) => format!("{} ({beside})", c.cell(row)),
            None => c.cell(row),
        });
        table.add_row(cells.collect::<Vec<_>>());
    }
    align_estimates(&mut table, &columns);
    table.lines().map(|line| format!("   {}\n", line.trim_end())).collect()
}

fn align_estimates(table: &mut Table, columns: &[Shown]) {
    for (at, column) in columns.iter().enumerate() {
        if let (true, Some(shown)) = (column.is_estimate(), table.column_mut(at)) {
            shown.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// What thresholds take of delta; none when there are none, as of a service of before there was this.
fn delta(cost: &Value) -> Option<&str> {
    cost["delta_per_block"].as_str().filter(|delta| !matches!(*delta, "" | "0"))
}

/// What was paid just now, and what had been asked before.
fn paid(cost: &Value, is_unpaid: bool) -> String {
    let number = |name: &str| cost[name].as_u64();
    let (Some(charged), Some(parts), Some(found)) =
        (number("blocks_charged"), number("pieces"), number("pieces_from_ledger"))
    else {
        return String::new();
    };
    let of_delta = cost["delta_left_min"].as_str().filter(|_| delta(cost).is_some());
    let of_delta = of_delta.map(|left| format!(" and delta {left}")).unwrap_or_default();
    let left = cost["rho_left_min"].as_str();
    let left = left.map(|rho| format!("; at least rho {rho}{of_delta} is left of each")).unwrap_or_default();
    match (charged, is_unpaid) {
        (0, _) => format!("free: all of it is in the ledger of what was answered before{left}\n"),
        (_, true) => {
            format!("{charged} blocks would pay; {found} of {parts} released parts are in the ledger{left}\n")
        }
        (_, false) => {
            format!("{charged} blocks paid; {found} of {parts} released parts were in the ledger{left}\n")
        }
    }
}

/// Whether it says what a question would cost, and nothing was asked of the events.
fn is_unpaid(answer: &Value) -> bool {
    answer["dry_run"] == true || is_explained(answer)
}

/// Whether it is the answer to EXPLAIN, whose rows are the plan.
fn is_explained(answer: &Value) -> bool {
    answer["explained"] == true
}

pub(crate) fn rows(answer: &Value) -> &[Value] {
    answer["rows"].as_array().map_or(&[], Vec::as_slice)
}

/// The value of a row, which is a list in the order of the columns, or an object.
pub(crate) fn value<'r>(row: &'r Value, at: usize, name: &str) -> &'r Value {
    match row {
        Value::Array(values) => values.get(at).unwrap_or(&Value::Null),
        row => &row[name],
    }
}

/// Names of an answer's columns, in their order.
pub(crate) fn column_names(answer: &Value) -> Vec<&str> {
    let columns = answer["columns"].as_array().map_or(&[][..], Vec::as_slice);
    columns.iter().filter_map(|c| c["name"].as_str().or_else(|| c.as_str())).collect()
}

/// A column of the table: one column of the answer, or an estimate with the three that follow it.
struct Shown {
    title: String,
    name: String,
    at: usize,
    interval: Option<(usize, usize)>,
    is_key: bool,
}

fn shown_columns(answer: &Value) -> Vec<Shown> {
    let names = column_names(answer);
    let find = |name: String| names.iter().position(|n| *n == name);
    let mut shown = Vec::new();
    let mut skipped = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let bounds = (find(format!("{name}_sd")), find(format!("{name}_low")), find(format!("{name}_high")));
        let interval = match bounds {
            (Some(sd), Some(low), Some(high)) => {
                skipped.extend([sd, low, high]);
                Some((low, high))
            }
            _ => None,
        };
        let unit = answer["columns"][at]["unit"].as_str().map(|u| format!(" [{u}]")).unwrap_or_default();
        let is_key = answer["columns"][at]["kind"] == "key";
        shown.push(Shown { title: format!("{name}{unit}"), name: (*name).to_owned(), at, interval, is_key });
    }
    shown.retain(|c| !skipped.contains(&c.at));
    shown
}

impl Shown {
    fn is_estimate(&self) -> bool {
        self.interval.is_some()
    }

    fn cell(&self, row: &Value) -> String {
        let own = value(row, self.at, &self.name);
        let Some((low, high)) = self.interval else {
            // The group of what has no value.
            return if self.is_key && own.is_null() { "NULL".to_owned() } else { plain(own) };
        };
        let low = value(row, low, &format!("{}_low", self.name)).as_f64();
        let high = value(row, high, &format!("{}_high", self.name)).as_f64();
        match (own.as_f64(), low, high) {
            (Some(n), Some(low), Some(high)) => {
                let (down, up) = (n - low, high - n);
                // Rounding makes sides differ by one.
                match (down - up).abs() <= (0.25 * down.max(up)).max(1.0) {
                    true => format!("{} ± {}", number(n), number(down.max(up))),
                    false => format!("{} ({} to {})", number(n), number(low), number(high)),
                }
            }
            // The number of a group that is not shown.
            (None, Some(low), Some(high)) => format!("unknown ({} to {})", number(low), number(high)),
            _ => plain(own),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(n) => n.as_f64().map_or_else(|| n.to_string(), number),
        other => other.to_string(),
    }
}

/// With as many decimals as say something.
pub(crate) fn number(n: f64) -> String {
    if n.fract() == 0.0 || n.abs() >= 100.0 {
        format!("{n:.0}")
    } else if n.abs() >= 1.0 {
        format!("{n:.2}")
    } else {
        format!("{n:.4}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_estimate_and_its_interval_are_one_cell() {
        let columns = json!([{"name": "event"}, {"name": "n", "unit": "events"}, {"name": "n_sd"}, {"name": "n_low"},
            {"name": "n_high"}]);
        let cost = json!({"rho_per_block": "0.002", "blocks": 4, "rho_block_max": "0.5"});
        let before = answer_table(
            &json!({"columns": [], "rows": [], "cost": {"rho_per_block": "0.002", "blocks": 4,
            "rho_block_max": "0.5", "blocks_charged": 0, "pieces": 4, "pieces_from_ledger": 4, "rho_left_min": "0.1"}}),
        );
        assert!(before.contains("free: ") && before.contains("rho 0.1 is left"), "{before}");
        let lists = json!({"columns": columns, "rows": [["click", 1200, 10.2, 1180, 1220]], "cost": cost,
            "notes": ["small groups are withheld"]});
        let text = answer_table(&lists);
        assert!(text.contains("n [events]") && text.contains("1200 ± 20"), "{text}");
        assert!(!text.contains("n_low") && !text.contains("n_sd"));
        assert!(text.contains("rho 0.002") && text.contains("note: small groups are withheld"));
        let objects = json!({"columns": columns, "rows": [{"event": "click", "n": 1200, "n_sd": 10.2, "n_low": 1180,
            "n_high": 1220}], "cost": cost, "notes": ["small groups are withheld"]});
        assert_eq!(answer_table(&objects), text);
    }

    #[test]
    fn what_is_only_explained_is_not_called_paid() {
        let cost = json!({"rho_per_block": "0.002", "blocks": 120, "rho_block_max": "0.5", "blocks_charged": 120, "pieces": 120,
            "pieces_from_ledger": 0, "rho_left_min": "0.1"});
        let answer = |dry_run: bool, explained: bool| {
            answer_table(
                &json!({"columns": [{"name": "plan"}], "rows": [["r0: released day by day"]], "cost": cost,
                "query": "FROM usage", "dry_run": dry_run, "explained": explained}),
            )
        };
        let (explained, dry_run, paid) = (answer(false, true), answer(true, false), answer(false, false));
        for unpaid in [&explained, &dry_run] {
            assert!(
                unpaid.contains("120 blocks would pay") && unpaid.contains("nothing is charged"),
                "{unpaid}"
            );
            assert!(!unpaid.contains("blocks paid"), "{unpaid}");
        }
        assert!(explained.contains("released day by day") && !explained.contains("interval"), "{explained}");
        assert!(!dry_run.contains("released day by day") && dry_run.contains("FROM usage"), "{dry_run}");
        assert!(paid.contains("120 blocks paid") && !paid.contains("nothing"), "{paid}");
    }

    #[test]
    fn what_thresholds_take_of_delta_is_shown_where_there_are_some() {
        let told = |delta: &str| {
            let cost = json!({"rho_per_block": "0.002", "blocks": 4, "rho_block_max": "0.5", "blocks_charged": 4, "pieces": 4,
                "pieces_from_ledger": 0, "rho_left_min": "0.1", "delta_per_block": delta, "delta_left_min": "9.96e-7"});
            answer_table(&json!({"columns": [], "rows": [], "cost": cost}))
        };
        let text = told("4e-9");
        assert!(
            text.contains("of 0.5, and delta 4e-9") && text.contains("rho 0.1 and delta 9.96e-7 is left"),
            "{text}"
        );
        assert!(!told("0").contains("delta"));
    }

    #[test]
    fn an_interval_with_unequal_sides_shows_both_ends() {
        let columns = json!([{"name": "p95", "unit": "ms"}, {"name": "p95_sd"}, {"name": "p95_low"}, {"name": "p95_high"}]);
        let cost = json!({"rho_per_block": "0.002", "blocks": 4, "rho_block_max": "0.5"});
        let cell = |low: i64, high: i64| {
            answer_table(
                &json!({"columns": columns, "rows": [[281, 10.2, low, high]], "cost": cost, "notes": []}),
            )
        };
        assert!(cell(250, 900).contains("281 (250 to 900)"), "{}", cell(250, 900));
        assert!(cell(280, 283).contains("281 ± 2") && cell(250, 310).contains("281 ± 31"));
    }

    #[test]
    fn numbers_have_as_many_decimals_as_say_something() {
        assert_eq!(
            (number(1234.56), number(12.345), number(0.12345), number(-3.0)),
            ("1235".into(), "12.35".into(), "0.1235".into(), "-3".into())
        );
    }

    #[test]
    fn an_answer_of_another_form_is_no_panic() {
        for odd in [
            json!(null),
            json!([]),
            json!({"columns": 7, "rows": {}}),
            json!({"columns": ["a"], "rows": [1]}),
        ] {
            answer_table(&odd);
        }
    }
}
