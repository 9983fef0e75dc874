//! What others see: a copy of the tables in the clear as Python's `deltalake` reads it, and every cell of every Parquet file there is.
//!
//! The files of tables are encrypted, so `shoal tables copy --decrypt` reads them, with the keys of the service under test, and nothing
//! of Shoal's own code reads after that. The command runs on a directory of its own, in which links lead to the tables: so a copy
//! leaves no line in the audit of the service under test, and is no sign of the time to it. Definitions that keep every day for good
//! are given to it, so that it has all that the tables hold, whatever day it is: what an expired day is to a copy is tested in
//! `table_copies`.
//!
//! Needs `SHOAL_TEST_PYTHON`, which `./test` sets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize;
use serde_json::{Map, Value};
use shoal_schemas::{Kind, Programme};
use tempfile::TempDir;

/// Where tables are, and the keys that they are read with.
pub(crate) trait Stored {
    /// The data directory.
    fn data_dir(&self) -> PathBuf;
    /// The file of the regions' secrets.
    fn key_file(&self) -> PathBuf;
    /// The directory of the data keys.
    fn data_key_dir(&self) -> PathBuf;
}

impl<T: Stored> Stored for &T {
    fn data_dir(&self) -> PathBuf {
        (**self).data_dir()
    }

    fn key_file(&self) -> PathBuf {
        (**self).key_file()
    }

    fn data_key_dir(&self) -> PathBuf {
        (**self).data_key_dir()
    }
}

/// A copy of all tables in the clear, which is gone when it is dropped.
pub(crate) struct Copy {
    dir: TempDir,
    /// What the command said, as JSON, and whether it has succeeded.
    pub(crate) told: Value,
    pub(crate) is_whole: bool,
    pub(crate) errors: String,
}

impl Copy {
    /// Copies all tables, whatever day they are of.
    pub(crate) fn of(stored: &impl Stored) -> Copy {
        let dir = tempfile::tempdir().unwrap();
        let (data, definitions) = (dir.path().join("data"), dir.path().join("definitions"));
        fs::create_dir(&data).unwrap();
        fs::create_dir(&definitions).unwrap();
        fs::write(definitions.join("retention.toml"), kept_for_good()).unwrap();
        let done = Command::new(env!("CARGO_BIN_EXE_shoal"))
            .env_clear()
            .env("SHOAL_DATA_DIR", &data)
            .env(
                "SHOAL_STORAGE_URL",
                format!("file://{}", stored.data_dir().canonicalize().unwrap().display()),
            )
            .env("SHOAL_KEY_FILE", stored.key_file())
            .env("SHOAL_DATA_KEY_DIR", stored.data_key_dir())
            .env("SHOAL_SCHEMAS_DIR", &definitions)
            .args(["tables", "copy", "--decrypt", "--json"])
            .arg(dir.path().join("copy"))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&done.stderr).into_owned();
        let told =
            serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("no copy was made: {errors}"));
        Copy { dir, told, is_whole: done.status.success(), errors }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("copy")
    }

    /// Its tables.
    pub(crate) fn tables(&self) -> Tables {
        Tables::in_the_clear(&self.path())
    }
}

/// Definitions by which no day expires for as long as they can say, which is ten years.
fn kept_for_good() -> String {
    let mut text = String::new();
    for (programme, kind) in Programme::ALL.iter().flat_map(|p| Kind::ALL.iter().map(move |k| (p, k))) {
        let entry = format!("[[retention]]\nprogramme = \"{programme}\"\nkind = \"{kind}\"\ndays = 3653\n");
        writeln!(text, "{entry}").unwrap();
    }
    text
}

/// A row by column names; digests as hexadecimal digits, times as text.
pub(crate) type Row = Map<String, Value>;

/// A table as it was read.
#[derive(Deserialize)]
pub(crate) struct Table {
    pub(crate) partitions: Vec<String>,
    pub(crate) schema: BTreeMap<String, String>,
    pub(crate) rows: Vec<Row>,
}

/// All tables, by `<region>/<kind>`.
pub(crate) struct Tables(pub(crate) BTreeMap<String, Table>);

impl Tables {
    /// Reads all of them, by a copy in the clear, which must have every row.
    pub(crate) fn read(stored: &impl Stored) -> Tables {
        let copy = Copy::of(stored);
        assert!(copy.is_whole, "{}", copy.errors);
        copy.tables()
    }

    /// Reads the tables of a directory that is laid out as a data directory and whose files are in the clear.
    pub(crate) fn in_the_clear(dir: &Path) -> Tables {
        let output = script("read_tables.py", &[dir.to_str().unwrap()]);
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

/// Every cell of every live file of every table, by a copy in the clear, and every cell of every Parquet file in the clear that lies in
/// the data directory, whether a table knows it or not; and the files' own metadata. An encrypted file that no table knows has no
/// cell that anybody can read: its bytes are searched like those of every other file.
pub(crate) fn cells(stored: &impl Stored) -> Vec<u8> {
    let copy = Copy::of(stored);
    assert!(copy.is_whole, "{}", copy.errors);
    let mut all = cells_in(&copy.path());
    all.extend(cells_in(&stored.data_dir()));
    all
}

/// Every cell of every Parquet file in the clear under a directory, and the files' own metadata.
pub(crate) fn cells_in(dir: &Path) -> Vec<u8> {
    script("read_files.py", &[dir.to_str().unwrap()]).stdout
}

/// How many files with rows there are under a directory: in the clear, and encrypted. The checkpoints of a table's log are in the clear,
/// as all of it is.
pub(crate) fn clear_and_sealed(dir: &Path) -> (usize, usize) {
    let is_data = |path: &PathBuf| {
        path.extension().is_some_and(|e| e == "parquet") && path.to_string_lossy().contains("/day=")
    };
    let parquet = files(dir).into_iter().filter(is_data);
    let begins: Vec<Vec<u8>> = parquet.map(|path| fs::read(path).unwrap()[..4].to_vec()).collect();
    let of = |magic: &[u8]| begins.iter().filter(|begin| **begin == magic).count();
    assert_eq!(of(b"PAR1") + of(b"PARE"), begins.len(), "files that are neither");
    (of(b"PAR1"), of(b"PARE"))
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
