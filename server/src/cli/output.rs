//! What commands print: tables for people that fit the terminal, or JSON for programs.
//!
//! Invariant: a reader that has seen enough (`| head`) is no failure.
//! Not here: the table of an answer (`table.rs`).

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Row, Table};
use console::Term;
use serde_json::Value;

use crate::error::Error;

/// Writes to standard output.
pub(super) fn print(text: &[u8]) -> Result<ExitCode, Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::io("standard output", e)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Writes a value as JSON, or else the text for people.
pub(super) fn print_either(
    json: bool,
    value: impl FnOnce() -> Value,
    text: impl FnOnce() -> String,
) -> Result<ExitCode, Error> {
    let shown = if json { format!("{:#}", value()) } else { text() };
    print(format!("{}\n", shown.trim_end_matches('\n')).as_bytes())
}

/// A table with lines around its cells. On a terminal long cells are broken so that it fits; what is piped on is never broken.
pub(crate) fn framed(header: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(header);
    if let Some((_, width)) = Term::stdout().size_checked() {
        fit(&mut table, width);
    }
    table
}

/// From now on a table is at most so wide: long cells are broken.
pub(super) fn fit(table: &mut Table, width: u16) {
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_the_terminal_and_loses_nothing() {
        let mut table = framed(["id", "what"]);
        table.add_row(["1", &"seven letters ".repeat(20)]);
        fit(&mut table, 40);
        let text = table.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert_eq!(text.matches("seven").count(), 20);
    }
}
