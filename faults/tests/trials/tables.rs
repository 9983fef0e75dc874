//! What is in the tables: a copy in the clear, which the command makes, read by Python's `deltalake` and by nothing of
//! Shoal's.
//!
//! Needs `SHOAL_TEST_PYTHON`, which `./test` sets.

use std::path::Path;
use std::process::Command;

use shoal_faults::Row;

use crate::service::Setup;

/// The rows of all tables of a service that does not run. An error is what the command says of tables that it cannot
/// read as a whole.
pub(crate) fn read(setup: &Setup) -> Result<Vec<Row>, String> {
    // Not beside the data: their disk may be small.
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy");
    let (code, _, told) = setup.run(&["tables", "copy", "--decrypt", copy.to_str().unwrap()]);
    match code {
        Some(0) => Ok(rows(&copy)),
        _ => Err(format!("the copy ended with {code:?}: {told}")),
    }
}

fn rows(dir: &Path) -> Vec<Row> {
    let python = std::env::var("SHOAL_TEST_PYTHON").unwrap_or_else(|_| {
        panic!("SHOAL_TEST_PYTHON is not set: run ./test, or name the Python of a venv with scripts/requirements.txt")
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trials/read_numbers.py");
    let output = Command::new(python).arg(script).arg(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(row).collect()
}

fn row(line: &str) -> Row {
    let parts: Vec<&str> = line.split('\t').collect();
    let [table, word, measure] = parts[..] else { panic!("{line}") };
    Row { table: table.to_owned(), word: word.to_owned(), measure: measure.parse().ok() }
}
