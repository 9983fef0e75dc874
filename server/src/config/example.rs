//! `shoal.example.toml` as the entries in `settings.rs` give it: each setting with its explanation and its default.
#![allow(clippy::unwrap_used)]

use super::declare::{Kind, Setting, Suggested};
use super::settings::all;

const HEAD: &str = "\
# Every setting of Shoal with its default. `shoal config check` lists everything that is wrong with a file.
# Variables win over the file: SHOAL_DATA_DIR, SHOAL_HTTP_LISTEN, SHOAL_INGEST_EPOCH_DAYS, ...
";

fn entry(setting: &Setting) -> String {
    let key = setting.name.rsplit('.').next().unwrap();
    let about: String = setting.about.iter().map(|line| format!("#{line}\n")).collect();
    let value = match (setting.kind, setting.default_value()) {
        (Kind::Optional(Suggested::Example(text), _), _) => format!("# {key} = {text:?}"),
        (_, value) => format!("{key} = {}", value.unwrap()),
    };
    format!("{about}{value}\n")
}

fn example() -> String {
    let mut text = HEAD.to_owned();
    let mut section = None;
    for setting in all() {
        let of = setting.name.split_once('.').map(|(section, _)| section);
        if of != section {
            section = of;
            text.push_str(&format!("\n[{}]\n", of.unwrap()));
        } else if of.is_none() && text == HEAD {
            text.push('\n');
        }
        text.push_str(&entry(setting));
    }
    text
}

#[test]
fn the_example_file_has_every_setting_with_its_explanation_and_its_default_and_nothing_else() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shoal.example.toml");
    let wanted = example();
    if std::fs::read_to_string(path).unwrap() != wanted {
        let made = std::env::temp_dir().join("shoal.example.toml");
        std::fs::write(&made, wanted).unwrap();
        panic!("shoal.example.toml is not what server/src/config/settings.rs says; copy {}", made.display());
    }
}

#[test]
fn every_setting_is_explained_in_sentences() {
    for setting in all() {
        let about = setting.about.concat();
        assert!(about.ends_with('.') && about.len() > 15, "{}: {about}", setting.name);
        assert!(about.trim().starts_with(char::is_uppercase), "{}: {about}", setting.name);
    }
}
