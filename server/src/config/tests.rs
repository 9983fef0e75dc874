//! Defaults, unknown names, bounds, places and contradictions. Files and directories: `server/tests/it/configuration.rs`.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::declare::Kind;
use super::settings::all;
use super::*;

fn load_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut reader = Reader::defaults();
    reader.overlay_file("a.toml", text);
    reader.overlay_variables(variables.iter().map(|(name, value)| (name.into(), value.into())));
    let mut read = reader.finish()?;
    check::contradictions(&mut read);
    read.faults.into_result().map(|()| read.config)
}

fn load(text: &str) -> Result<Config, ConfigError> {
    load_with(text, &[])
}

fn error(text: &str) -> String {
    load(text).unwrap_err().to_string()
}

fn variable_error(name: &str, value: &str) -> String {
    load_with("", &[(name, value)]).unwrap_err().to_string()
}

#[test]
fn the_defaults_and_the_bounds_of_every_setting_fit_its_type() {
    assert_eq!(load("").unwrap(), Reader::defaults().finish().unwrap().config);
    for setting in all() {
        let (section, key) = setting.name.split_once('.').unwrap_or(("", setting.name));
        let with = |value: &str| match section {
            "" => load(&format!("{key} = {value}")),
            _ => load(&format!("[{section}]\n{key} = {value}")),
        };
        let refused = |value: &str| {
            let error = with(value).unwrap_err().to_string();
            let told = format!("`{}` must be ", setting.name);
            assert!(error.starts_with("a.toml:") && error.contains(&told), "{error}");
            error
        };
        if let Some(value) = setting.default_value() {
            with(&value.to_string()).unwrap();
        }
        refused("1979-05-27");
        refused("{}");
        refused("[[]]");
        if let Kind::Number(_, min, max) = setting.kind {
            for bound in [min, max] {
                // A bound may contradict another setting's default, but never its own type.
                let error = with(&bound.to_string()).map_or_else(|e| e.to_string(), |_| String::new());
                assert!(!error.contains("a whole number"), "{error}");
            }
            for outside in [(min - 1).to_string(), (max + 1).to_string(), "1.5".into(), "true".into()] {
                assert!(refused(&outside).contains(&format!("from {min} to {max}")));
            }
        }
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_one() {
    assert_eq!(
        error("[http]\nlisten_ = \"1.2.3.4:5\""),
        "a.toml:2:1: unknown key `http.listen_`: did you mean `http.listen`?"
    );
    assert!(error("listen = \"x\"").contains("did you mean `http.listen`?"));
    assert_eq!(error("[htpp]\nworkers = 1"), "a.toml:1:2: unknown section `htpp`: did you mean `http`?");
    assert!(error("[zzzzz]\nqqqqq = 1").contains("shoal.example.toml"));
    assert!(error("[http.listen]\nport = 1").contains("`http.listen` must be an address"));
    assert!(error("http = 3").contains("`[http]`"));
    assert_eq!(
        error("[http]\n  workers = \"two\""),
        "a.toml:2:3: `http.workers` must be a whole number from 0 to 1024"
    );
    assert_eq!(
        error("query.concurrent_max = 0"),
        "a.toml:1:7: `query.concurrent_max` must be a whole number from 1 to 64"
    );
    assert!(error("data_dir = ").starts_with("a.toml:1:"));
    assert_eq!(load("http.workers = 0x1_0").unwrap().http.workers, 16);
}

#[test]
fn a_broken_line_hides_no_other_fault_and_is_told_once() {
    let text = "data_dir = \n[http]\nlisten = nowhere\nworkers = -1\n[log]\nlevel = \"loud\"\n[storage]\n[storage]\n";
    let ConfigError(lines) = load(text).unwrap_err();
    for start in
        ["a.toml:1:", "a.toml:3:", "a.toml:4:1: `http.workers`", "a.toml:6:1: `log.level`", "a.toml:8:"]
    {
        assert_eq!(lines.iter().filter(|line| line.starts_with(start)).count(), 1, "{start}: {lines:#?}");
    }
    assert_eq!(lines.len(), 5, "{lines:#?}");
    let ConfigError(lines) = load("log.level = \nlog.format = 3").unwrap_err();
    assert!(lines.len() == 2 && lines[1].starts_with("a.toml:2:5: `log.format`"), "{lines:#?}");
}

#[test]
fn variables_override_the_file() {
    let file = "[http]\nlisten = \"127.0.0.1:1\"";
    let variables =
        [("SHOAL_HTTP_LISTEN", "127.0.0.1:2"), ("SHOAL_HTTP_CORS_ORIGINS", "https://a, https://b")];
    let config = load_with(file, &variables).unwrap();
    assert_eq!(config.http.listen.port(), 2);
    assert_eq!(config.http.cors_origins, ["https://a", "https://b"]);
    assert_eq!(load_with("", &[("SHOAL_LOG_LEVEL", "DEBUG")]).unwrap().log.level, tracing::Level::DEBUG);
    assert_eq!(load_with("", &[("SHOAL_RETENTION_CRON", "")]).unwrap().retention.cron, None);
    assert_eq!(load_with("", &[("SHOAL_SCHEMAS_DIR", "")]).unwrap().schemas_dir, None);
    let hourly = [("SHOAL_STORAGE_COMPACTION_INTERVAL_MIN", "0")];
    assert_eq!(load_with("", &hourly).unwrap().storage.compaction_interval_min, None);
}

#[test]
fn a_mistyped_variable_is_refused_and_those_of_others_are_not() {
    for (wrong, meant) in [
        ("SHOAL_HTTP_LISTNE", "SHOAL_HTTP_LISTEN` (`http.listen`)"),
        ("SHOAL_HTP_LISTEN", "SHOAL_HTTP_LISTEN` (`http.listen`)"),
        ("SHOAL_DATADIR", "SHOAL_DATA_DIR` (`data_dir`)"),
        ("SHOAL_KEYFILE", "SHOAL_KEY_FILE` (`key_file`)"),
        ("SHOAL_SCHEMA_DIR", "SHOAL_SCHEMAS_DIR` (`schemas_dir`)"),
        // Without its section.
        ("SHOAL_LISTEN", "SHOAL_HTTP_LISTEN` (`http.listen`)"),
        ("SHOAL_K_MIN", "SHOAL_QUERY_K_MIN` (`query.k_min`)"),
        ("SHOAL_CRON", "SHOAL_RETENTION_CRON` (`retention.cron`)"),
    ] {
        let told = format!("{wrong}: unknown variable `{wrong}`: did you mean `{meant}?");
        assert_eq!(variable_error(wrong, "x"), told);
    }
    assert!(variable_error("SHOAL_QUERY_ROWS_MAX", "many").contains("unknown variable"));
    assert!(variable_error("SHOAL_LOG_ZZZZZZZZZZZZZZZZ", "x").contains("shoal.example.toml"));
    assert_eq!(
        variable_error("SHOAL_INGEST_EPOCH_DAYS", "0"),
        "SHOAL_INGEST_EPOCH_DAYS: `ingest.epoch_days` must be a whole number from 1 to 3650"
    );
    // The command line's, those of the tests, and what a container platform sets for a service named `shoal`.
    let of_others =
        ["CONFIG", "KEY", "URL", "FAULT_ROUNDS", "ATTACKS", "HOSTILE_BODIES", "KILLS", "KILL_DIR"];
    let more = [
        "KILL_QUESTIONS",
        "TEST_PYTHON",
        "TRIALS",
        "PORT",
        "SERVICE_HOST",
        "SERVICE_PORT",
        "PORT_8750_TCP_ADDR",
    ];
    for name in of_others.iter().chain(&more) {
        load_with("", &[(&format!("SHOAL_{name}"), "x"), ("OTHER", "x")]).unwrap();
    }
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
    let variable = |value| load_with("", &[("SHOAL_QUERY_ANSWER_TIMES_MS", value)]);
    assert_eq!(variable("100, 200").unwrap().query.answer_times_ms, [100, 200]);
    assert!(variable("soon").is_err());
}

#[test]
fn epochs_have_shares_of_the_cap() {
    let epochs = |text: &str| load(&format!("[query]\nepochs = {text}"));
    let found = epochs("[\"open 5%\", \"1d 95%\"]").unwrap().query.epochs;
    assert_eq!(found, shoal_query::BudgetEpochs::new(500, vec![(1, 9_500)]).unwrap());
    assert_eq!(load("").unwrap().query.epochs, shoal_query::BudgetEpochs::default());
    for wrong in ["[]", "[\"1d 95%\"]", "[\"open 5%\", \"1d 96%\"]", "[\"open 5%\", \"2d 5%\"]"] {
        assert!(epochs(wrong).unwrap_err().to_string().contains("`query.epochs` must be"), "{wrong}");
    }
}

#[test]
fn the_place_of_tables_is_a_bucket_or_a_directory_of_its_own() {
    let data_dir = std::path::absolute("d").unwrap();
    let inside = format!("data_dir = \"d\"\n[storage]\nurl = \"file://{}/x\"", data_dir.display());
    assert!(error(&inside).contains("must be outside `data_dir`"));
    assert!(error("[storage]\nurl = \"gs://bucket\"").contains("must begin with `s3://`"));
    assert!(error("[storage]\nurl = \"s3://bucket\"").contains("needs a region"));
    assert!(error("[storage]\nendpoint = \"https://a.example\"").contains("which is not set"));
}

#[test]
fn the_keys_never_lie_with_the_data() {
    assert!(error("data_dir = \"d\"\nkey_file = \"d/k\"").contains("outside"));
    assert!(error("data_dir = \"d\"\nkey_file = \"x/../d/./k\"").contains("outside"));
    assert!(load("data_dir = \"d\"\nkey_file = \"dk\"").is_ok());
    assert!(error("data_dir = \"d\"\nunit_key_dir = \"d/../d/units\"").contains("outside"));
    assert!(load("data_dir = \"d\"\nunit_key_dir = \"du\"").is_ok());
    assert!(error("data_dir = \"d\"\ndata_key_dir = \"d/../d/keys\"").contains("outside"));
    assert!(error("data_dir = \"d\"\ndata_key_replicas = [\"x\", \"d/keys\"]").contains("outside"));
    assert!(error("key_file = \"k\"\ndata_key_replicas = [\"./k.data\"]").contains("not around it"));
    assert!(load("data_dir = \"d\"\ndata_key_dir = \"dk\"\ndata_key_replicas = [\"x\", \"y\"]").is_ok());
    let tls_key = |path: &str| {
        load(&format!("data_dir = \"d\"\n[http]\ntls_cert = \"d/chain.pem\"\ntls_key = \"{path}\""))
    };
    let told = tls_key("d/tls/key.pem").unwrap_err().to_string();
    assert!(told.starts_with("a.toml:4:1: `http.tls_key` must be outside `data_dir`"), "{told}");
    assert!(tls_key("tls/key.pem").is_ok());
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("data"), dir.path().join("link")).unwrap();
    let shown = dir.path().display();
    assert!(
        error(&format!("data_dir = \"{shown}/data\"\nkey_file = \"{shown}/link/k\"")).contains("outside")
    );
}

#[test]
fn a_custody_has_what_it_needs_and_its_secrets_never_lie_with_the_data() {
    for name in ["wrapping_file", "pkcs11_pin_file", "transit_token_file"] {
        let with = |path: &str| format!("data_dir = \"d\"\n[keys]\n{name} = \"{path}\"");
        let told = error(&with("d/secret"));
        assert!(told.starts_with(&format!("a.toml:3:1: `keys.{name}` must be outside `data_dir`")), "{told}");
        assert!(load(&with("secret")).is_ok());
    }
    assert!(error("key_file = \"k\"\n[keys]\nwrapping_file = \"./k\"").contains("must not be `key_file`"));
    let pkcs11 = "[keys]\ncustody = \"pkcs11\"\npkcs11_module = \"m.so\"";
    for (text, missing) in [
        ("[keys]\ncustody = \"transit\"", "keys.transit_url"),
        ("[keys]\ncustody = \"pkcs11\"\npkcs11_pin_file = \"pin\"", "keys.pkcs11_module"),
        (pkcs11, "keys.pkcs11_pin_file"),
    ] {
        let told = error(text);
        assert!(told.starts_with("a.toml:2:1: `keys.custody` is") && told.contains(missing), "{told}");
    }
    let keys = load(&format!("{pkcs11}\npkcs11_pin_file = \"pin\"")).unwrap().keys;
    assert_eq!((keys.custody, keys.pkcs11_token.as_str()), (shoal_custody::Kind::Pkcs11, "shoal"));
    let told = error("[keys]\ncustody = \"vault\"");
    assert!(told.contains("`keys.custody` must be file, pkcs11 or transit"), "{told}");
    let of_variable = load_with("", &[("SHOAL_KEYS_WRAPPING_FILE", "w")]).unwrap();
    assert_eq!(of_variable.keys.wrapping_file.as_deref(), Some(Path::new("w")));
    assert!(variable_error("SHOAL_KEYS_TRANSIT_TOKEN", "s.x").contains("SHOAL_KEYS_TRANSIT_TOKEN"));
}

#[test]
fn the_high_water_marks_never_lie_with_the_data_or_the_keys() {
    let with = |marks: &str| {
        load(&format!("data_dir = \"v/d\"\nkey_file = \"k/key\"\nbudget_marks_dir = \"{marks}\""))
    };
    for wrong in ["v/d", "v/d/marks", "v/d/../d/m", "v", "."] {
        let told = with(wrong).unwrap_err().to_string();
        assert!(told.starts_with("a.toml:3:1: `budget_marks_dir` must be outside `data_dir`"), "{told}");
    }
    for wrong in ["k", "k/marks", "k/key"] {
        let told = with(wrong).unwrap_err().to_string();
        assert!(
            told.starts_with("a.toml:3:1: `budget_marks_dir` must be outside the directory of"),
            "{told}"
        );
    }
    for right in ["m", "v/dm", "v/d.budget", "kk"] {
        assert_eq!(with(right).unwrap().marks_dir(), Path::new(right));
    }
    // Where data and key lie in one directory, that one is not the key's own; the marks may lie in it, but not around it.
    assert!(load("data_dir = \"a/d\"\nkey_file = \"a/key\"\nbudget_marks_dir = \"a/m\"").is_ok());
    assert!(error("data_dir = \"a/d\"\nkey_file = \"a/key\"\nbudget_marks_dir = \"a\"").contains("outside"));
    let beside =
        |data: &str| load(&format!("data_dir = \"{data}\"\nkey_file = \"/none/key\"")).unwrap().marks_dir();
    assert_eq!(beside("d"), Path::new("d.budget"));
    assert_eq!(beside("/srv/shoal.d/"), Path::new("/srv/shoal.d.budget"));
    let here = std::env::current_dir().unwrap();
    assert_eq!(beside("."), here.with_file_name("server.budget"));
}

#[test]
fn the_journal_of_withdrawals_never_lies_with_the_data_or_the_keys() {
    let with =
        |dir: &str| load(&format!("data_dir = \"v/d\"\nkey_file = \"k/key\"\nwithdrawals_dir = \"{dir}\""));
    for (wrong, outside_of) in
        [("v/d", "data_dir"), ("v/d/w", "data_dir"), ("v", "data_dir"), ("k/w", "the directory")]
    {
        let ConfigError(lines) = with(wrong).unwrap_err();
        let told = format!(
            "a.toml:3:1: `withdrawals_dir` must be outside {}",
            outside_of.replace("data_dir", "`data_dir`")
        );
        assert!(lines.len() == 1 && lines[0].starts_with(&told), "{lines:?}");
    }
    assert_eq!(with("w").unwrap().journal_dir(), Path::new("w"));
    assert_eq!(load("data_dir = \"/srv/shoal\"").unwrap().journal_dir(), Path::new("/srv/shoal.withdrawals"));
}

#[test]
fn every_mistake_is_named_at_once() {
    let text =
        "[http]\nlisten = \"here\"\ntls_cert = \"c\"\n[retention]\ncron = \"often\"\n[log]\nlevel = \"loud\"";
    let ConfigError(lines) = load(text).unwrap_err();
    assert_eq!(lines.len(), 4, "{lines:?}");
    for (line, place) in lines.iter().zip(["a.toml:2:1: ", "a.toml:3:1: ", "a.toml:5:1: ", "a.toml:7:1: "]) {
        assert!(line.starts_with(place), "{lines:#?}");
    }
    let both = "[http]\nbodies_bytes_max = 65536\n[ingest]\nbody_bytes_max = \"large\"";
    assert!(!error(both).contains("less than"), "what follows from a refused value is no fault");
    assert!(error("[ingest]\ninflated_bytes_max = 1024").contains("inflated"));
    assert!(error("[query]\nprecision = \"exact\"").contains("low, normal or high"));
}

#[test]
fn embedded_is_the_default_below_one_directory() {
    let config = Config::embedded(Path::new("/x")).unwrap();
    assert_eq!(config.data_dir, Path::new("/x/data"));
    assert_eq!(config.key_file, Path::new("/x/shoal.key"));
    assert_eq!(config.unit_key_dir(), Path::new("/x/shoal.key.units"));
    assert!(config.http.workers >= 1);
    assert!(config.http.listen.ip().is_loopback());
}

#[test]
fn a_file_that_cannot_be_read_hides_no_fault_of_a_variable_and_makes_none_of_its_own() {
    let none = Path::new("/nowhere/shoal.toml");
    let variables = [("SHOAL_HTTP_LISTN", "x"), ("SHOAL_LOG_LEVEL", "loud")];
    let environment = || variables.iter().map(|(name, value)| (name.into(), value.into()));
    for told in [Config::load(Some(none), environment()), Config::load_for_service(Some(none), environment())]
    {
        let told = told.unwrap_err();
        assert_eq!(told.0.len(), 3, "{told}");
        assert!(told.0[0].starts_with("/nowhere/shoal.toml: "), "{told}");
        assert!(told.to_string().contains("did you mean `SHOAL_HTTP_LISTEN`"), "{told}");
    }
}
