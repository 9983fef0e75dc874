//! `shoal query`: asks a running service, and shows the answer with its error bars.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::client::{Client, local_url};
use crate::config::Config;
use crate::error::Error;

#[derive(Args)]
pub(super) struct QueryArgs {
    /// The question: one SELECT statement.
    sql: String,
    /// Access key of an analyst.
    #[arg(long, env = "SHOAL_KEY", hide_env_values = true)]
    key: String,
    /// URL of the service. The default is the address at which this configuration starts it.
    #[arg(long, env = "SHOAL_URL")]
    url: Option<String>,
    /// Precision of the answer: low, normal or high. Exactness costs privacy budget.
    #[arg(long)]
    precision: Option<String>,
    /// Largest standard deviation that is wanted, instead of a precision.
    #[arg(long, conflicts_with = "precision", value_name = "NUMBER")]
    sd_max: Option<f64>,
    /// UUID under which the query can be cancelled (`DELETE /v1/sql/ID`).
    #[arg(long, value_name = "UUID")]
    id: Option<String>,
    /// Shows what the question would cost, without asking it.
    #[arg(long)]
    dry_run: bool,
    /// Form of the answer.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
    Arrow,
}

pub(super) fn run(config: &Config, args: &QueryArgs) -> Result<ExitCode, Error> {
    let url = args.url.clone().unwrap_or_else(|| local_url(config));
    let format = match args.format {
        Format::Table | Format::Json => "json",
        Format::Csv => "csv",
        Format::Arrow => "arrow",
    };
    let mut question = json!({"sql": args.sql, "dry_run": args.dry_run, "format": format});
    if let Some(precision) = &args.precision {
        question["precision"] = json!(precision);
    }
    if let Some(sd_max) = args.sd_max {
        question["sd_max"] = json!(sd_max);
    }
    if let Some(id) = &args.id {
        question["id"] = json!(id);
    }
    let answer = Client::new(&url, &args.key).post("/v1/sql", &question.to_string(), "*/*")?;
    let shown = match args.format {
        Format::Table => {
            let answer = serde_json::from_slice(&answer)
                .map_err(|e| Error::Remote(format!("{url}: this is not an answer: {e}")))?;
            super::table::answer_table(&answer).into_bytes()
        }
        _ => answer,
    };
    let mut out = std::io::stdout().lock();
    let written = out.write_all(&shown).and_then(|()| match args.format {
        Format::Json => out.write_all(b"\n"),
        _ => out.flush(),
    });
    // A reader that has seen enough (`| head`) is no failure.
    match written {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("standard output", e)),
        _ => Ok(ExitCode::SUCCESS),
    }
}
