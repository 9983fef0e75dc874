//! `shoal query`: asks a running service, and shows the answer with its error bars.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::output::print;
use crate::client::{Client, local_url};
use crate::config::Config;
use crate::error::Error;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct QueryArgs {
    /// The question: one SELECT statement. Without it, or when it is `-`, the question is read from standard input.
    sql: Option<String>,
    /// Reads the question from this file.
    #[arg(long, value_name = "FILE", conflicts_with = "sql")]
    file: Option<PathBuf>,
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
    /// Prints the answer as JSON, like `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// Bytes of a question that are read from a file or from standard input.
const SQL_BYTES_MAX: u64 = 1 << 20;

const EXAMPLES: &str = "Examples:
  shoal query \"SELECT COUNT(DISTINCT subject) AS people FROM usage\"
  shoal query --file people.sql --format csv > people.csv
  shoal query < people.sql

Tables and columns: `GET /v1/tables`, with the key. What can be asked, and how to read the answers: docs/sql.md.";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
    Arrow,
}

pub(super) fn run(config: &Config, args: &QueryArgs) -> Result<ExitCode, Error> {
    let url = args.url.clone().unwrap_or_else(|| local_url(config));
    let wanted = if args.json { Format::Json } else { args.format };
    let format = match wanted {
        Format::Table | Format::Json => "json",
        Format::Csv => "csv",
        Format::Arrow => "arrow",
    };
    let mut question = json!({"sql": sql(args)?, "dry_run": args.dry_run, "format": format});
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
    let shown = match wanted {
        Format::Table => {
            let answer = serde_json::from_slice(&answer)
                .map_err(|e| Error::Remote(format!("{url}: this is not an answer: {e}")))?;
            super::table::answer_table(&answer).into_bytes()
        }
        Format::Json => [&answer[..], b"\n"].concat(),
        Format::Csv | Format::Arrow => answer,
    };
    print(&shown)
}

/// The question, wherever it stands.
fn sql(args: &QueryArgs) -> Result<String, Error> {
    match (&args.file, args.sql.as_deref()) {
        (Some(file), _) => {
            let opened = File::open(file).map_err(|e| Error::io(file, e))?;
            read(opened, &file.display().to_string())
        }
        (None, Some(sql)) if sql != "-" => Ok(sql.to_owned()),
        (None, None) if std::io::stdin().is_terminal() => Err(Error::Usage(
            "give the question in quotes, with --file FILE, or on standard input; `shoal query --help` has examples".into(),
        )),
        (None, _) => read(std::io::stdin().lock(), "standard input"),
    }
}

fn read(from: impl Read, name: &str) -> Result<String, Error> {
    let mut text = Vec::new();
    from.take(SQL_BYTES_MAX + 1).read_to_end(&mut text).map_err(|e| Error::io(name, e))?;
    if text.len() as u64 > SQL_BYTES_MAX {
        return Err(Error::Usage(format!("{name}: a question has at most {SQL_BYTES_MAX} bytes")));
    }
    String::from_utf8(text).map_err(|_| Error::Usage(format!("{name}: the question is not UTF-8")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_question_is_read_within_a_bound_and_only_as_text() {
        assert_eq!(read(&b"SELECT 1\n"[..], "a.sql").unwrap(), "SELECT 1\n");
        let long = read(std::io::repeat(b' '), "a.sql").err().unwrap().to_string();
        assert!(long.contains("a.sql") && long.contains("1048576"), "{long}");
        assert!(read(&[0xff][..], "a.sql").err().unwrap().to_string().contains("UTF-8"));
    }
}
