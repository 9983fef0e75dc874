//! What the documents say works when it is pasted: the blocks of a page run as they stand, in one shell, in their order, in a new
//! directory, with the binary of this build. Only the port is a free one.
//!
//! ```text
//! sh             runs
//! sh packages    makes an environment of Python and installs packages into it: the one that ./test has made is put there, if it has them
//! sh build       builds, or checks sources; is only parsed
//! sh elsewhere   needs what a machine of tests lacks: containers, systemd, a cluster, other people's data; is only parsed
//! ```
//! What is in Python stands in a block of the shell, so that whoever pastes it has what the tests run.
//! Not here: what the demo prints (`first_minutes.rs`), links and names in the pages (the house rules of `shoal-schemas`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::Setup;
use crate::tables::Tables;

/// How a block is tagged that runs, and how one that is only parsed.
const RUNS: &str = "sh";
const INSTALLS: &str = "sh packages";
const PARSED: [&str; 2] = ["sh build", "sh elsewhere"];

/// When a page has taken too long, in seconds.
const DEADLINE_S: &str = "240";

/// A block of code of a page.
struct Block<'p> {
    tag: &'p str,
    text: &'p str,
}

/// The blocks of a page, in their order.
fn blocks(page: &str) -> Vec<Block<'_>> {
    let parts = page.split("```").skip(1).step_by(2);
    parts.filter_map(|part| part.split_once('\n')).map(|(tag, text)| Block { tag, text }).collect()
}

/// What the blocks of a page have printed.
pub(crate) struct Pasted {
    pub(crate) out: String,
    pub(crate) errors: String,
}

/// Pastes the blocks of a page into a shell in this directory.
pub(crate) fn paste(page: &str, dir: &Path) -> Pasted {
    let bin = dir.join("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_shoal"), bin.join("shoal")).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let python = std::env::var("SHOAL_TEST_PYTHON").unwrap();
    let mut pasted =
        String::from("set -eu -o pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\nset -x\n");
    for block in blocks(page) {
        match block.tag {
            RUNS => pasted.push_str(block.text),
            INSTALLS => pasted.push_str(&with_the_environment_of_tests(block.text, Path::new(&python))),
            _ => {}
        }
    }
    // A page that waits for what never comes ends, too.
    let ran = Command::new("timeout")
        .args([DEADLINE_S, "bash", "-c", &pasted.replace("8750", &port)])
        .current_dir(dir)
        .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()))
        .env("HOME", dir)
        .env("SHOAL_HTTP_LISTEN", format!("127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{errors}");
    Pasted { out: out.into_owned(), errors: errors.into_owned() }
}

/// The lines that stand for `python3 -m venv DIR && DIR/bin/pip install PACKAGE..`: the environment with this Python is put there, and
/// must have each package.
fn with_the_environment_of_tests(block: &str, python: &Path) -> String {
    let read = block.strip_prefix("python3 -m venv ").and_then(|rest| rest.trim_end().split_once(" && "));
    let (dir, install) = read.unwrap_or_else(|| panic!("makes no environment: {block}"));
    let packages = install.strip_prefix(&format!("{dir}/bin/pip install --quiet "));
    let packages = packages.unwrap_or_else(|| panic!("installs nothing into {dir}: {block}"));
    let environment = python.ancestors().nth(2).unwrap().display();
    let versions = "import sys, importlib.metadata as m; print([m.version(name) for name in sys.argv[1:]])";
    format!("ln -s '{environment}' {dir}\n{dir}/bin/python -c '{versions}' {packages}\n")
}

/// The pages of `docs/`.
fn pages() -> Vec<PathBuf> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let entries = fs::read_dir(docs).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|e| e == "md")).collect()
}

/// Pastes a page of `docs/` into a shell in a directory of its own.
fn pasted(page: &str) -> Pasted {
    pasted_in(page, tempfile::tempdir().unwrap().path())
}

fn pasted_in(page: &str, dir: &Path) -> Pasted {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let pasted = paste(&fs::read_to_string(path).unwrap(), dir);
    assert!(!pasted.errors.contains("Traceback"), "{}", pasted.errors);
    pasted
}

/// Pages whose commands run; each has a test below.
const RUN: [&str; 4] = ["operations.md", "sql.md", "troubleshooting.md", "tutorial.md"];

/// Pages that lie elsewhere.
const OTHER_PAGES: [&str; 5] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "schemas/defs/README.md",
    "server/tests/fixtures/README.md",
];

#[test]
fn every_command_of_the_documents_parses_and_none_is_left_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let of_docs = pages().into_iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let of_docs: Vec<String> = of_docs.map(|name| format!("docs/{name}")).collect();
    let mut parsed = 0;
    for name in of_docs.iter().map(String::as_str).chain(OTHER_PAGES) {
        let page = fs::read_to_string(root.join(name)).unwrap();
        assert!(page.matches("```").count().is_multiple_of(2), "{name}: a block has no end");
        for block in blocks(&page) {
            let runs = [RUNS, INSTALLS].contains(&block.tag);
            let is_shell = runs || PARSED.contains(&block.tag);
            let shells = ["sh", "bash", "shell", "console", "python"];
            let begins = block.tag.split(' ').next().unwrap();
            assert!(is_shell || !shells.contains(&begins), "{name}: no such tag: {}", block.tag);
            let is_run = name.strip_prefix("docs/").is_some_and(|page| RUN.contains(&page));
            assert!(!runs || name == "README.md" || is_run, "{name}: nothing runs it");
            if is_shell {
                let ran = Command::new("bash").args(["-n", "-c", block.text]).output().unwrap();
                assert!(ran.status.success(), "{name}: {}\n{ran:?}", block.text);
                parsed += 1;
            }
        }
    }
    assert!(parsed > 40, "the blocks must be found: {parsed}");
}

#[test]
fn the_tutorial_leads_to_a_funnel() {
    let dir = tempfile::tempdir().unwrap();
    let pasted = pasted_in("tutorial.md", dir.path());
    for told in ["'withheld': 0, 'rejected': 0", "step", "people [subjects]", "±"] {
        assert!(pasted.out.contains(told), "{told}:\n{}\n{}", pasted.out, pasted.errors);
    }
    // What the SDK sent is kept, beside curl's event and the day of two thousand people.
    let tables = Tables::read(&Setup { dir: &dir.path().join("first-day"), variables: &[] });
    let kept = ["app_open", "screen_view"].map(|event| tables.events(event).len());
    assert_eq!(kept, [2002, 1], "{}\n{}", pasted.out, pasted.errors);
    // What the service has made there is what the page says, and `sdks` and `shoal.log` are the page's own lines'.
    let entries = fs::read_dir(dir.path().join("first-day")).unwrap().map(|entry| entry.unwrap().file_name());
    let made: BTreeSet<String> = entries.map(|name| name.into_string().unwrap()).collect();
    let told = [
        "data",
        "data.budget",
        "data.withdrawals",
        "sdks",
        "shoal.key",
        "shoal.key.data",
        "shoal.key.units",
        "shoal.log",
    ];
    assert!(made.iter().eq(told), "{made:?}");
}

#[test]
fn what_operators_are_told_to_run_runs() {
    let pasted = pasted("operations.md");
    for told in ["the configuration is right", "ready", "head"] {
        assert!(pasted.out.contains(told), "{told}:\n{}\n{}", pasted.out, pasted.errors);
    }
}

#[test]
fn what_analysts_are_told_to_run_runs() {
    let pasted = pasted("sql.md");
    assert!(
        pasted.out.contains("people") && pasted.out.contains("\"n\""),
        "{}\n{}",
        pasted.out,
        pasted.errors
    );
}

#[test]
fn what_to_run_when_something_is_wrong_runs() {
    let pasted = pasted("troubleshooting.md");
    assert!(pasted.out.contains("no_consent (withheld event)"), "{}\n{}", pasted.out, pasted.errors);
}
