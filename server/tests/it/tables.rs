//! What others see: the tables as Python's `deltalake` reads them, and every cell of every Parquet file there is.
//!
//! Invariant: nothing of Shoal's own code reads here. Needs `SHOAL_TEST_PYTHON`, which `./test` sets.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize;
use serde_json::{Map, Value};

/// A row by column names; digests as hexadecimal digits, times as text.
pub(crate) type Row = Map<String, Value>;

/// A table as it was read.
#[derive(Deserialize)]
pub(crate) struct Table {
    pub(crate) partitions: Vec<String>,
    pub(crate) schema: BTreeMap<String, String>,
    pub(crate) rows: Vec<Row>,
}

/// All tables of a data directory, by `<region>/<kind>`.
pub(crate) struct Tables(pub(crate) BTreeMap<String, Table>);

impl Tables {
    /// Reads all of them.
    pub(crate) fn read(data_dir: &Path) -> Tables {
        let output = script("read_tables.py", &[data_dir.to_str().unwrap()]);
        Tables(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// The rows of a table; none when there is no such table.
    pub(crate) fn rows(&self, table: &str) -> &[Row] {
        self.0.get(table).map_or(&[], |t| &t.rows)
    }

    /// The rows of an event, of any table.
    pub(crate) fn events(&self, name: &str) -> Vec<(&str, &Row)> {
        let all = self.0.iter().flat_map(|(at, table)| table.rows.iter().map(move |row| (at.as_str(), row)));
        all.filter(|(_, row)| row["event"] == name).collect()
    }

    /// All rows of all tables.
    pub(crate) fn count(&self) -> usize {
        self.0.values().map(|t| t.rows.len()).sum()
    }
}

/// The text of a column; empty when it is null.
pub(crate) fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// Every cell of every Parquet file under a directory, whether a table knows it or not, and the files' own metadata.
pub(crate) fn cells(data_dir: &Path) -> Vec<u8> {
    script("read_files.py", &[data_dir.to_str().unwrap()]).stdout
}

/// Runs a script of `tests/sdk/`, which must succeed.
pub(crate) fn script(name: &str, arguments: &[&str]) -> Output {
    let python = std::env::var("SHOAL_TEST_PYTHON").unwrap_or_else(|_| {
        panic!("SHOAL_TEST_PYTHON is not set: run ./test, or name the Python of a venv with scripts/requirements.txt")
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(name);
    let output = Command::new(python).arg(path).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {errors}");
    output
}

/// Copies a directory with every file in it, in place of what is there.
pub(crate) fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else if from.is_file() {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// Every file under a directory: not the socket of a service that runs.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found
}
