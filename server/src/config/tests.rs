//! Defaults, the example file, unknown keys, bounds and places.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::*;

fn load(text: &str) -> Result<Config, ConfigError> {
    check::validate(&Raw::parse(text)?)
}

fn error(text: &str) -> String {
    load(text).unwrap_err().to_string()
}

#[test]
fn the_example_file_names_every_key_and_has_the_defaults() {
    let text = include_str!("../../../shoal.example.toml");
    assert_eq!(Raw::parse(text).unwrap(), Raw::defaults());
    let mut section = String::new();
    let mut named = Vec::new();
    for line in text.lines().map(|l| l.trim_start_matches('#').trim()) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((name, _)) = line.split_once(" = ") {
            named.push(format!("{section}{name}"));
        }
    }
    for key in DECLARED {
        assert_eq!(named.iter().filter(|n| *n == key.name).count(), 1, "{} in shoal.example.toml", key.name);
    }
    assert_eq!(named.len(), DECLARED.len());
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    assert_eq!(
        error("[http]\nlisten_ = \"1.2.3.4:5\""),
        "unknown key `http.listen_`: did you mean `http.listen`?"
    );
    assert!(error("listen = \"x\"").contains("did you mean `http.listen`?"));
    assert!(error("[zzzzz]\nqqqqq = 1").contains("shoal.example.toml"));
    assert_eq!(error("[http]\nworkers = \"two\""), "`http.workers` must be a whole number");
    assert_eq!(error("[query]\nconcurrent_max = 0"), "`query.concurrent_max` must be from 1 to 64");
    assert!(error("data_dir = ").contains("line 1"));
}

#[test]
fn variables_override_the_file() {
    let mut raw = Raw::parse("[http]\nlisten = \"127.0.0.1:1\"").unwrap();
    let variables =
        [("SHOAL_HTTP_LISTEN", "127.0.0.1:2"), ("SHOAL_HTTP_CORS_ORIGINS", "https://a, https://b")];
    raw.overlay(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))).unwrap();
    let config = check::validate(&raw).unwrap();
    assert_eq!(config.http.listen.port(), 2);
    assert_eq!(config.http.cors_origins, ["https://a", "https://b"]);
    let one = |k: &str, v: &str| std::iter::once((k.to_owned(), v.to_owned()));
    let wrong = raw.overlay(one("SHOAL_HTTP_LISTNE", "x")).unwrap_err().to_string();
    assert_eq!(wrong, "unknown variable `SHOAL_HTTP_LISTNE`: did you mean `http.listen`?");
    raw.overlay(one("SHOAL_KEY", "not a setting")).unwrap();
    raw.overlay(one("OTHER", "x")).unwrap();
    assert!(raw.overlay(one("SHOAL_QUERY_ROWS_MAX", "many")).is_err());
}

#[test]
fn answer_times_ascend_and_are_bounded() {
    let times = |text: &str| load(&format!("[query]\nanswer_times_ms = {text}"));
    assert_eq!(times("[500, 1000]").unwrap().query.answer_times_ms, [500, 1000]);
    assert_eq!(load("").unwrap().query.answer_times_ms, [1000, 2000, 4000, 8000, 16_000, 30_000]);
    for wrong in ["[]", "[1000, 1000]", "[2000, 1000]"] {
        assert!(times(wrong).unwrap_err().to_string().contains("each larger"), "{wrong}");
    }
    assert!(times("[1]").unwrap_err().to_string().contains("from 10 to 600000"));
    assert!(times("[\"1000\"]").unwrap_err().to_string().contains("a list of whole numbers"));
    let mut raw = Raw::defaults();
    let one = |v: &str| std::iter::once(("SHOAL_QUERY_ANSWER_TIMES_MS".to_owned(), v.to_owned()));
    raw.overlay(one("100, 200")).unwrap();
    assert_eq!(check::validate(&raw).unwrap().query.answer_times_ms, [100, 200]);
    assert!(raw.overlay(one("soon")).is_err());
}

#[test]
fn epochs_have_shares_of_the_cap() {
    let epochs = |text: &str| load(&format!("[query]\nepochs = {text}"));
    let found = epochs("[\"open 5%\", \"1d 95%\"]").unwrap().query.epochs;
    assert_eq!(found, shoal_query::Epochs::new(500, vec![(1, 9_500)]).unwrap());
    assert_eq!(load("").unwrap().query.epochs, shoal_query::Epochs::default());
    for wrong in ["[]", "[\"1d 95%\"]", "[\"open 5%\", \"1d 96%\"]", "[\"open 5%\", \"2d 5%\"]"] {
        assert!(epochs(wrong).unwrap_err().to_string().contains("`query.epochs` must be"), "{wrong}");
    }
}

#[test]
fn the_keys_never_lie_with_the_data() {
    assert!(error("data_dir = \"d\"\nkey_file = \"d/k\"").contains("outside"));
    assert!(error("data_dir = \"d\"\nkey_file = \"x/../d/./k\"").contains("outside"));
    assert!(load("data_dir = \"d\"\nkey_file = \"dk\"").is_ok());
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("data"), dir.path().join("link")).unwrap();
    let shown = dir.path().display();
    assert!(
        error(&format!("data_dir = \"{shown}/data\"\nkey_file = \"{shown}/link/k\"")).contains("outside")
    );
}

#[test]
fn every_mistake_is_named_at_once() {
    let text =
        "[http]\nlisten = \"here\"\ntls_cert = \"c\"\n[retention]\ncron = \"often\"\n[log]\nlevel = \"loud\"";
    let ConfigError(lines) = load(text).unwrap_err();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(error("[ingest]\ninflated_bytes_max = 1024").contains("inflated"));
    assert!(error("[query]\nprecision = \"exact\"").contains("low, normal or high"));
}

#[test]
fn embedded_is_the_default_below_one_directory() {
    let config = Config::embedded(Path::new("/x")).unwrap();
    assert_eq!(config.data_dir, Path::new("/x/data"));
    assert_eq!(config.key_file, Path::new("/x/shoal.key"));
    assert!(config.http.workers >= 1);
    assert!(config.http.listen.ip().is_loopback());
}
