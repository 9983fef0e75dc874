//! `shoal explain CODE`: why a code comes, and what to do about it.
//!
//! Invariant: every code that an answer or a command can end with is here; `docs/troubleshooting.md` has the same tables, and a
//! test compares them.
//! Not here: the texts (`problem/explained.rs`, `shoal-ingest`, `exit.rs`).

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::exit::Exit;
use super::output::print_either;
use crate::error::Error;
use crate::problem::ProblemType;

#[derive(Args)]
pub(super) struct ExplainArgs {
    /// A code of a problem, of an event or of a command. Without it, all are explained.
    code: Option<String>,
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Of what a code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Problem,
    Rejected,
    Withheld,
    Command,
}

impl Of {
    const fn name(self) -> &'static str {
        match self {
            Of::Problem => "problem",
            Of::Rejected => "rejected event",
            Of::Withheld => "withheld event",
            Of::Command => "exit code",
        }
    }
}

/// One code.
struct Row {
    of: Of,
    code: &'static str,
    cause: &'static str,
    remedy: &'static str,
}

/// All codes, those of one kind together.
fn rows() -> Vec<Row> {
    let of_events = |of: Of| {
        move |row: shoal_ingest::Explained| Row { of, code: row.code, cause: row.cause, remedy: row.remedy }
    };
    let own = ProblemType::all().filter_map(|problem| {
        let (cause, remedy) = (problem.cause()?, problem.remedy()?);
        Some(Row { of: Of::Problem, code: problem.code(), cause, remedy })
    });
    let of_exits = Exit::ALL.into_iter().map(|exit| Row {
        of: Of::Command,
        code: exit.code(),
        cause: exit.cause(),
        remedy: exit.remedy(),
    });
    own.chain(shoal_ingest::refusals().iter().copied().map(of_events(Of::Problem)))
        .chain(shoal_ingest::rejections().iter().copied().map(of_events(Of::Rejected)))
        .chain(shoal_ingest::withheld().map(of_events(Of::Withheld)))
        .chain(of_exits)
        .collect()
}

pub(super) fn run(args: &ExplainArgs) -> Result<ExitCode, Error> {
    let asked = |row: &Row| args.code.as_ref().is_none_or(|code| row.code == code);
    let found: Vec<Row> = rows().into_iter().filter(asked).collect();
    if found.is_empty() {
        let message = "there is no such code; `shoal explain` without one lists all".to_owned();
        return Err(Error::Usage(message));
    }
    let value = || {
        let row = |row: &Row| json!({"of": row.of.name(), "code": row.code, "cause": row.cause, "remedy": row.remedy});
        found.iter().map(row).collect()
    };
    let text = || {
        let row =
            |row: &Row| format!("{} ({})\n  {}\n  {}\n", row.code, row.of.name(), row.cause, row.remedy);
        found.iter().map(row).collect::<Vec<_>>().join("\n")
    };
    print_either(args.json, value, text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;

    /// Where the table of a kind ends in the page.
    const END: &str = "<!-- end -->";

    /// The table of a kind, with the line in front of it.
    fn table(of: Of) -> String {
        let mut rows: Vec<Row> = rows().into_iter().filter(|row| row.of == of).collect();
        rows.sort_by_key(|row| row.code);
        let row = |row: &Row| format!("| `{}` | {} | {} |\n", row.code, row.cause, row.remedy);
        let rows: String = rows.iter().map(row).collect();
        format!("<!-- {} -->\n| code | cause | what to do |\n|---|---|---|\n{rows}", of.name())
    }

    /// `SHOAL_WRITE_DOCS=1` writes the tables of the page anew.
    #[test]
    fn the_page_of_troubles_explains_every_code() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/troubleshooting.md");
        let text = std::fs::read_to_string(&file).unwrap();
        let mut wanted = text.clone();
        for of in [Of::Problem, Of::Rejected, Of::Withheld, Of::Command] {
            let mark = format!("<!-- {} -->\n", of.name());
            let (before, rest) = wanted.split_once(&mark).expect("the page has each table");
            let (_, after) = rest.split_once(END).expect("each table has an end");
            wanted = format!("{before}{}{END}{after}", table(of));
        }
        if std::env::var_os("SHOAL_WRITE_DOCS").is_some() {
            std::fs::write(&file, &wanted).unwrap();
            return;
        }
        assert!(
            text == wanted,
            "docs/troubleshooting.md is not what the code says: run this test with SHOAL_WRITE_DOCS=1",
        );
    }

    #[test]
    fn every_problem_and_every_exit_code_is_explained_in_whole_sentences() {
        let rows = rows();
        let problems: Vec<_> = rows.iter().filter(|row| row.of == Of::Problem).map(|row| row.code).collect();
        assert!(ProblemType::all().map(ProblemType::code).eq(problems), "each once");
        for row in rows {
            for text in [row.cause, row.remedy] {
                let begins = text.starts_with(|c: char| c.is_uppercase() || c == '`');
                assert!(begins && text.ends_with('.') && !text.contains('|'), "{}: {text}", row.code);
            }
        }
    }

    #[test]
    fn a_code_that_is_none_is_wrong_use() {
        let args = ExplainArgs { code: Some("no_such_code".to_owned()), json: false };
        assert_eq!(Exit::after(&run(&args).unwrap_err()), Exit::Wrong);
    }
}
