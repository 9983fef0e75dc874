//! `shoal config check` and `shoal serve`, through the real binary: everything that is wrong is told in one run, each fault
//! with its place, and a service with a fault does not start.
//!
//! Not here: each setting's bounds and every misspelling (`server/src/config/tests.rs`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::process::Setup;

/// A certificate, its private key, and the private key of another; made for these tests, trusted by nobody.
const CERT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/cert.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/key.pem");
const OTHER_KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/other.pem");

/// What the binary says of a configuration file.
struct Checked {
    code: i32,
    out: String,
    lines: Vec<String>,
}

fn run(dir: &Path, command: &[&str], text: &str, variables: &[(&str, &str)]) -> Checked {
    let file = dir.join("a.toml");
    fs::write(&file, text).unwrap();
    // The file says where the data is, not the variables that other tests use.
    let unset = [
        "SHOAL_DATA_DIR",
        "SHOAL_KEY_FILE",
        "SHOAL_HTTP_LISTEN",
        "SHOAL_METRICS_LISTEN",
        "SHOAL_RETENTION_CRON",
    ];
    let setup = Setup { dir, variables };
    let arguments = [command, &["--config", file.to_str().unwrap()]].concat();
    let (code, out, errors) = setup.run_without(&unset, &arguments);
    let place = format!("{}/", dir.display());
    Checked { code, out, lines: errors.lines().map(|line| line.replace(&place, "")).collect() }
}

/// The lines that every file of these tests begins with: three, so that the case's own begin at the fourth.
fn base(dir: &Path) -> String {
    let dir = dir.display();
    format!("data_dir = \"{dir}/data\"\nkey_file = \"{dir}/shoal.key\"\n\n")
}

fn with_mode(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// One fault of each kind: the lines of the file after the first three (or in place of them), and how its fault begins and
/// what it says.
const FAULTS: [(&str, &str, &str); 22] = [
    ("http.listen = ", "a.toml:4:", ""),
    ("log.level = \"info\" \"debug\"", "a.toml:4:", ""),
    ("[http]\nlistn = \"127.0.0.1:1\"", "a.toml:5:1: ", "did you mean `http.listen`"),
    ("[htp]\nlisten = \"127.0.0.1:1\"", "a.toml:4:2: ", "did you mean `http`"),
    ("http.workers = \"many\"", "a.toml:4:6: ", "a whole number from 0 to 1024"),
    ("\n[query]\nk_min = 1", "a.toml:6:1: ", "from 2 to 1000000"),
    ("query.preset = \"lax\"", "a.toml:4:7: ", "strict, standard or internal"),
    ("http.listen = \"localhost\"", "a.toml:4:6: ", "an address and a port"),
    ("metrics.listen = \"localhost\"", "a.toml:4:9: ", "an address and a port"),
    ("metrics.listen = \"0.0.0.0:8750\"", "a.toml:4:9: ", "must not be `http.listen`"),
    ("retention.cron = \"often\"", "a.toml:4:11: ", "a cron expression"),
    ("ingest.inflated_bytes_max = 1024", "a.toml:4:8: ", "must not be less than `ingest.body_bytes_max`"),
    ("http.tls_cert = \"DIR/none.pem\"", "a.toml:4:6: ", "must be set together"),
    ("http.tls_cert = \"DIR/none.pem\"\nhttp.tls_key = \"KEY\"", "a.toml:4:6: ", "none.pem cannot be read"),
    ("http.tls_cert = \"CERT\"\nhttp.tls_key = \"DIR\"", "a.toml:5:6: ", "is not a file"),
    ("http.tls_cert = \"CERT\"\nhttp.tls_key = \"OTHER\"", "a.toml:4:6: ", "is not that of this certificate"),
    ("http.tls_cert = \"KEY\"\nhttp.tls_key = \"KEY\"", "a.toml:4:6: ", "no certificate"),
    ("country_mmdb = \"DIR/none.mmdb\"", "a.toml:4:1: ", "none.mmdb"),
    ("country_mmdb = \"KEY\"", "a.toml:4:1: ", "key.pem"),
    ("schemas_dir = \"DIR/none\"", "a.toml:4:1: ", "is not a directory"),
    ("schemas_dir = \"DIR/schemas\"", "a.toml:4:1: ", "wrong.toml:1: missing field"),
    ("data_dir = \"elsewhere\"", "a.toml:4:1: ", ""),
];

fn filled(text: &str, dir: &Path) -> String {
    let dir = dir.to_str().unwrap();
    text.replace("OTHER", OTHER_KEY).replace("CERT", CERT).replace("KEY", KEY).replace("DIR", dir)
}

#[test]
fn each_fault_is_told_with_its_place_and_nothing_starts() {
    let dir = tempfile::tempdir().unwrap();
    let events = dir.path().join("schemas/events");
    fs::create_dir_all(&events).unwrap();
    fs::write(events.join("wrong.toml"), "name = \"wrong\"\nkind = \"none\"\n").unwrap();
    for (text, place, told) in FAULTS {
        let text = base(dir.path()) + &filled(text, dir.path());
        for command in [&["config", "check"][..], &["serve"]] {
            let Checked { code, out, lines } = run(dir.path(), command, &text, &[]);
            assert_eq!((code, out.as_str()), (2, ""), "{text}{lines:#?}");
            let faults: Vec<&String> = lines.iter().filter(|line| line.starts_with(place)).collect();
            assert!(faults.iter().any(|line| line.contains(told)), "{text}{lines:#?}");
            assert_eq!(lines.len(), 1 + faults.len(), "a title and the fault alone: {text}{lines:#?}");
        }
    }
    assert!(!dir.path().join("shoal.key").exists() && !dir.path().join("data").exists());
}

#[test]
fn places_that_cannot_be_used_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let told = |data: &str, key: &str, place: &str, told: &str| {
        let text = format!("data_dir = \"DIR/{data}\"\nkey_file = \"DIR/{key}\"\n");
        let Checked { code, lines, .. } = run(at, &["config", "check"], &filled(&text, at), &[]);
        assert!(code == 2 && lines[1].starts_with(place) && lines[1].contains(told), "{lines:#?}");
    };
    let text = fs::read_to_string(KEY).unwrap();
    with_mode(&at.join("file"), "", 0o600);
    with_mode(&at.join("not.key"), &text, 0o600);
    with_mode(&at.join("open.key"), &text, 0o644);
    fs::create_dir(at.join("a")).unwrap();
    told("file", "k", "a.toml:1:1: `data_dir`: ", "file is not a directory");
    told("file/data", "k", "a.toml:1:1: `data_dir`: ", "file is not a directory");
    told("data", "open.key", "a.toml:2:1: `key_file`: ", "chmod 600");
    told("data", "a", "a.toml:2:1: `key_file`: ", "not a regular file");
    told("data", "not.key", "a.toml:2:1: `key_file`: ", "its first line is not");
    told("data", "file/k", "a.toml:2:1: `key_file`: ", "is not a directory");
    told("data", "data/k", "a.toml:2:1: `key_file` must be outside", "the keys");
    let shown = run(at, &["config", "check"], &filled("key_file = \"DIR/not.key\"", at), &[]).lines.concat();
    assert!(!shown.contains("PRIVATE") && !shown.contains(text.lines().nth(1).unwrap()), "{shown}");
    // Root may write everywhere, so this one is for everybody else.
    let closed = at.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(closed.join("probe"), "").is_err() {
        told("closed", "k", "a.toml:1:1: `data_dir`: ", "cannot be written");
        told("closed/data", "k", "a.toml:1:1: `data_dir`: ", "cannot be written");
    }
}

#[test]
fn everything_is_told_in_one_run_and_a_right_configuration_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let text = "key_file = \"DIR\"\n[http]\nlisten = 3\ntls_cert = \"DIR/none.pem\"\ntls_key = \"DIR/none.pem\"\nworkers =\n\
                [ingest]\nepoch_day = 9\n[query]\nk_min = 1\n";
    let variables = [("SHOAL_DATADIR", "x"), ("SHOAL_LOG_LEVEL", "loud"), ("SHOAL_FAULT_ROUNDS", "3")];
    let Checked { code, lines, .. } = run(at, &["config", "check"], &filled(text, at), &variables);
    let places = [
        "a.toml:1:1: ",
        "a.toml:3:1: ",
        "a.toml:4:1: ",
        "a.toml:5:1: ",
        "a.toml:6:",
        "a.toml:8:1: ",
        "a.toml:10:1: ",
    ];
    let places = places.iter().chain(&["SHOAL_DATADIR: ", "SHOAL_LOG_LEVEL: "]);
    assert_eq!((code, lines.len()), (2, 10), "{lines:#?}");
    for (line, place) in lines[1..].iter().zip(places) {
        assert!(line.starts_with(place), "{place}: {lines:#?}");
    }
    let right = base(at) + &filled("http.tls_cert = \"CERT\"\nhttp.tls_key = \"KEY\"\n", at);
    let Checked { code, out, lines } = run(at, &["config", "check"], &right, &[("SHOAL_FAULT_ROUNDS", "3")]);
    assert_eq!((code, out.lines().count(), lines.len()), (0, 1, 0), "{lines:#?}");
    let setup = Setup { dir: at, variables: &[] };
    let (code, _, errors) = setup.run(&["config", "check", "--config", "/none/shoal.toml"]);
    assert!(code == 2 && errors.contains("/none/shoal.toml: "), "{errors}");
}

#[test]
fn the_example_file_is_right_as_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let example = include_str!("../../../shoal.example.toml");
    let moved = example.replace("\"./", &format!("\"{}/", dir.path().display()));
    let Checked { code, lines, .. } = run(dir.path(), &["config", "check"], &moved, &[]);
    assert!(code == 0, "{lines:#?}");
}

#[test]
fn shells_and_man_are_told_of_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, errors) = setup.run(&["completions", shell]);
        assert!(code == 0 && script.contains("retention") && script.contains("dry-run"), "{shell}: {errors}");
        assert!(!script.contains("worker"), "{shell}: what is hidden stays hidden");
    }
    let (code, page, _) = setup.run(&["man"]);
    assert!(code == 0 && page.contains(".TH shoal 1") && page.contains("Exit codes"), "{page}");
    let pages = dir.path().join("pages/man1");
    let (code, out, errors) = setup.run(&["man", "--dir", pages.to_str().unwrap()]);
    assert!(code == 0 && out.contains("shoal.1"), "{errors}");
    for page in ["shoal.1", "shoal-serve.1", "shoal-config-check.1", "shoal-keys-create-ingest.1"] {
        assert!(fs::read_to_string(pages.join(page)).unwrap().contains(".SH NAME"), "{page}");
    }
    assert!(!pages.join("shoal-worker.1").exists());
}
