//! `shoal budget`: asks a running service what is left of each day's privacy budget, and what spent it.
//!
//! Not here: `shoal budget accept-restore` (`accept_restore.rs`).

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::accept_restore::{self, AcceptRestoreArgs};
use super::output::{framed, print_either};
use crate::client::{Client, local_url};
use crate::config::Config;
use crate::error::Error;

#[derive(Subcommand)]
enum BudgetCommand {
    /// Accepts that files of the ledger are missing or older than they were: the most that the files left say counts as
    /// spent. The service must be stopped. The audit has a line of it.
    AcceptRestore(AcceptRestoreArgs),
}

#[derive(Args)]
#[command(subcommand_negates_reqs = true)]
pub(super) struct BudgetArgs {
    #[command(subcommand)]
    command: Option<BudgetCommand>,
    /// Shows this table only.
    #[arg(long)]
    table: Option<String>,
    /// Shows this region only.
    #[arg(long)]
    region: Option<String>,
    /// First day, as 2026-11-22. The default is six days before the last day.
    #[arg(long)]
    first: Option<String>,
    /// Last day, as 2026-11-28. The default is today.
    #[arg(long)]
    last: Option<String>,
    /// Shows the questions that spent the budget, too.
    #[arg(long)]
    questions: bool,
    /// Prints the answer as JSON.
    #[arg(long)]
    json: bool,
    /// Access key of an analyst.
    #[arg(long, env = "SHOAL_KEY", hide_env_values = true, required = true)]
    key: Option<String>,
    /// URL of the service. The default is the address at which this configuration starts it.
    #[arg(long, env = "SHOAL_URL")]
    url: Option<String>,
}

pub(super) fn run(config: &Config, args: &BudgetArgs) -> Result<ExitCode, Error> {
    if let Some(BudgetCommand::AcceptRestore(args)) = &args.command {
        return accept_restore::run(config, args);
    }
    let key = args.key.as_deref().unwrap_or_default();
    let url = args.url.clone().unwrap_or_else(|| local_url(config));
    let named =
        [("table", &args.table), ("region", &args.region), ("first", &args.first), ("last", &args.last)];
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in named {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let answer = Client::new(&url, key).get(&format!("/v1/budget?{}", query.finish()))?;
    print_either(args.json, || answer.clone(), || budget_table(&answer, args.questions))
}

/// Blocks of which something was spent, and what the others have left.
pub(crate) fn budget_table(answer: &Value, questions: bool) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut table =
        framed(["table", "region", "day", "epoch", "spent", "left", "delta left", "questions", "more on"]);
    let queries = list(&answer["queries"]);
    let mut asked = String::new();
    let mut untouched = 0;
    for block in list(&answer["blocks"]) {
        let spent_by = list(&block["spent_by"]);
        if text(&block["rho_spent"]) == "0" {
            untouched += 1;
            continue;
        }
        let names = ["table", "region", "day", "epoch", "rho_spent", "rho_left", "delta_left"];
        let mut row: Vec<String> = names.map(|name| text(&block[name])).to_vec();
        let and_more = if block["more"] == true { " or more" } else { "" };
        row.push(format!("{}{and_more}", spent_by.len()));
        row.push(text(&block["next_epoch"]));
        table.add_row(row);
        for one in spent_by {
            let [at, rho, delta, state, part] =
                ["at", "rho", "delta", "state", "part"].map(|name| text(&one[name]));
            let query = one["query"].as_u64().and_then(|at| queries.get(usize::try_from(at).ok()?));
            let query = query.map(text).unwrap_or_default();
            asked.push_str(&format!("\n{at}  rho {rho}  delta {delta}  {state}  {part}\n{query}\n"));
        }
    }
    let (rho, delta) = (text(&answer["rho_block_max"]), text(&answer["delta_block_max"]));
    let mut shown =
        format!("{table}\nof rho {rho} and delta {delta} for each day; {untouched} blocks are untouched\n");
    if answer["more"] == true {
        shown.push_str("older charges are not listed; ask for fewer days to see them\n");
    }
    if questions {
        shown.push_str(&asked);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn blocks_and_questions_are_shown() {
        let spent = json!([{"at": "2026-11-22T10:00:00Z", "rho": "0.002", "delta": "4e-9", "state": "sealed",
            "part": "FROM usage IN DE", "query": 0}]);
        let block = json!({"table": "usage", "region": "DE", "day": "2026-11-22", "epoch": "open",
            "rho_spent": "0.002", "rho_left": "0.098", "delta_left": "9.96e-7", "next_epoch": "2026-11-23", "spent_by": spent, "more": true});
        let free =
            json!({"table": "usage", "region": "DE", "day": "2026-11-21", "rho_spent": "0", "spent_by": []});
        let answer = json!({"rho_block_max": "0.5", "delta_block_max": "1e-6", "blocks": [block, free],
            "queries": ["AGGREGATE count(*)"], "more": true});
        let text = budget_table(&answer, true);
        assert!(
            text.contains("0.098")
                && text.contains("FROM usage IN DE\nAGGREGATE count(*)")
                && text.contains("1 blocks are untouched")
        );
        assert!(
            text.contains("9.96e-7")
                && text.contains("delta 4e-9  sealed")
                && text.contains("and delta 1e-6")
        );
        assert!(text.contains("1 or more") && text.contains("older charges are not listed"));
        assert!(!budget_table(&answer, false).contains("FROM usage") && !text.contains("2026-11-21"));
        budget_table(&json!(null), true);
    }
}
