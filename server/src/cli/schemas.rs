//! `shoal schemas list` and `show`: what can be sent; `check`: whether a directory of definitions can overlay the embedded ones.
//!
//! Not here: the catalogue itself (`catalogue.rs`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use shoal_schemas::nearest::nearest;
use shoal_schemas::{Kind, Programme, Registry};

use super::output::{framed, print_either};
use crate::catalogue;
use crate::config::{Config, ConfigError};
use crate::definitions;
use crate::error::Error;

#[derive(Subcommand)]
pub(super) enum SchemasCommand {
    /// Lists every event that can be sent, and the fields that an event and a batch may have.
    List {
        /// Only the events of this programme.
        #[arg(long, value_parser = programme)]
        programme: Option<Programme>,
        #[command(flatten)]
        from: From,
    },
    /// Shows an event with its properties, what each may hold, and an example.
    Show {
        /// Name of the event.
        event: String,
        #[command(flatten)]
        from: From,
    },
    /// Lists everything that is wrong with a directory of definitions, with file and line.
    Check {
        /// Directory with the layout of `schemas/defs`.
        dir: PathBuf,
        /// Prints the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub(super) struct From {
    /// Directory of definitions that is laid over the embedded ones. The default is the configuration's `schemas_dir`.
    #[arg(long, value_name = "OVERLAY")]
    dir: Option<PathBuf>,
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
}

impl From {
    fn registry(&self, config: impl FnOnce() -> Result<Config, ConfigError>) -> Result<Registry, Error> {
        match &self.dir {
            Some(dir) => overlaid(dir),
            None => definitions::read(config()?.schemas_dir.as_deref()),
        }
    }
}

fn programme(text: &str) -> Result<Programme, String> {
    Programme::parse(text).ok_or_else(|| "programmes are user-experience and device-experience".to_owned())
}

fn overlaid(dir: &Path) -> Result<Registry, Error> {
    if !dir.is_dir() {
        return Err(Error::Usage(format!("{} is not a directory", dir.display())));
    }
    definitions::read(Some(dir))
}

pub(super) fn run(
    config: impl FnOnce() -> Result<Config, ConfigError>,
    command: &SchemasCommand,
) -> Result<ExitCode, Error> {
    match command {
        SchemasCommand::List { programme, from } => {
            let catalogue = catalogue::whole(&from.registry(config)?, *programme);
            print_either(from.json, || catalogue.clone(), || listing(&catalogue))
        }
        SchemasCommand::Show { event, from } => {
            let registry = from.registry(config)?;
            let found = registry.event(event).ok_or_else(|| unknown(event, &registry))?;
            let shown = catalogue::event(found);
            print_either(from.json, || shown.clone(), || text(&shown))
        }
        SchemasCommand::Check { dir, json } => {
            let registry = overlaid(dir)?;
            let columns: usize = Kind::ALL.iter().map(|k| registry.table(*k).columns.len()).sum();
            let (events, tables) = (registry.events().len(), Kind::ALL.len());
            let value = || json!({"events": events, "columns": columns, "tables": tables});
            print_either(*json, value, || {
                format!("right: {events} events, {columns} columns in {tables} tables")
            })
        }
    }
}

fn unknown(event: &str, registry: &Registry) -> Error {
    let meant = nearest(event, registry.events().iter().map(|event| event.name.as_str()));
    let meant = meant.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    Error::Usage(format!("no event has this name; see `shoal schemas list`{meant}"))
}

fn list<'v>(of: &'v Value, name: &str) -> &'v [Value] {
    of[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn word<'v>(of: &'v Value, name: &str) -> &'v str {
    of[name].as_str().unwrap_or_default()
}

/// The catalogue for people.
fn listing(catalogue: &Value) -> String {
    let mut events = framed(["event", "kind", "programme", "required", "what it is"]);
    for event in list(catalogue, "events") {
        let required = list(event, "properties").iter().filter(|property| property["required"] == true);
        let required: Vec<&str> = required.map(|property| word(property, "name")).collect();
        let [name, kind, programme, doc] = ["name", "kind", "programme", "doc"].map(|name| word(event, name));
        events.add_row([name, kind, programme, &required.join(", "), doc]);
    }
    let mut fields = framed(["field", "of", "type", "what it is"]);
    for field in list(catalogue, "fields") {
        let [name, of, ty, doc] = ["name", "of", "type", "doc"].map(|name| word(field, name));
        let ty = match field["bytes_max"].as_u64() {
            Some(bytes) => format!("{ty} of at most {bytes} bytes"),
            None => ty.to_owned(),
        };
        fields.add_row([name, of, &ty, doc]);
    }
    format!("{events}\n\nEvents of the native protocol (POST /v1/events) have these fields:\n{fields}\n")
}

/// An event for people.
fn text(event: &Value) -> String {
    let [name, doc, kind, programme] = ["name", "doc", "kind", "programme"].map(|name| word(event, name));
    let mut text = format!("{name}  {kind}, {programme}\n  {doc}\n");
    let properties = list(event, "properties");
    if !properties.is_empty() {
        let mut table = framed(["property", "type", "class", "what it may hold", "what it is"]);
        for property in properties {
            let [name, ty, class, doc] = ["name", "type", "class", "doc"].map(|name| word(property, name));
            table.add_row([name, ty, class, &limits(property), doc]);
        }
        let _ = writeln!(text, "{table}");
    }
    if !event["example"].is_null() {
        let _ = writeln!(text, "example: {}", event["example"]);
    }
    text
}

fn limits(property: &Value) -> String {
    let mut limits = Vec::new();
    if property["required"] == true {
        limits.push("required".to_owned());
    }
    match (word(property, "class"), word(property, "identifier")) {
        ("identifier", kind) => limits.push(format!("becomes the pseudonym of the {kind}")),
        ("drop" | "location", _) => limits.push("never kept".to_owned()),
        _ => {}
    }
    if let (Some(min), Some(max)) = (property["min"].as_i64(), property["max"].as_i64()) {
        limits.push(format!("{min} to {max} {}", word(property, "unit")).trim_end().to_owned());
    }
    let values: Vec<&str> = list(property, "values").iter().filter_map(Value::as_str).collect();
    match (values.is_empty(), property["bytes_max"].as_u64()) {
        (false, _) => limits.push(format!("one of {}", values.join(", "))),
        (true, Some(bytes)) => limits.push(format!("at most {bytes} bytes")),
        (true, None) => {}
    }
    limits.join("; ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_event_is_shown_with_what_its_properties_may_hold() {
        let registry = Registry::load(None).unwrap();
        let shown = text(&catalogue::event(registry.event("click").unwrap()));
        for part in
            ["click  usage, user-experience\n", "required; at most 64 bytes", "example: {\"event\":\"click\""]
        {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(unknown("clik", &registry).to_string().contains("did you mean `click`?"));
        assert!(!unknown("wholly_other", &registry).to_string().contains("mean"));
        let listed = listing(&catalogue::whole(&registry, Some(Programme::UserExperience)));
        assert!(
            listed.contains("screen_view") && listed.contains("user_id") && !listed.contains("device_fault")
        );
    }

    /// Where the part of the page ends that is made of the definitions.
    const END: &str = "<!-- end -->";

    /// A text in the cell of a table.
    fn cell(text: &str) -> String {
        text.replace('|', "\\|").replace('\n', " ")
    }

    /// A table of fields or properties, a row for each.
    fn table_of(of: &[Value], second: impl Fn(&Value) -> String) -> String {
        let row = |one: &Value| {
            let [name, ty, doc] = ["name", "type", "doc"].map(|name| cell(word(one, name)));
            format!("| `{name}` | {ty} | {} | {doc} |\n", cell(&second(one)))
        };
        of.iter().map(row).collect()
    }

    /// An event with its properties and its example.
    fn section(event: &Value) -> String {
        let [name, doc, kind, programme] = ["name", "doc", "kind", "programme"].map(|name| word(event, name));
        let mut text =
            format!("### {name}\n\n{doc} Of the kind `{kind}`, in the programme `{programme}`.\n\n");
        let properties = list(event, "properties");
        if !properties.is_empty() {
            text.push_str("| property | type | what it may hold | what it is |\n|---|---|---|---|\n");
            text.push_str(&table_of(properties, limits));
            text.push('\n');
        }
        let _ = write!(text, "```json\n{}\n```\n\n", event["example"]);
        text
    }

    /// `SHOAL_WRITE_DOCS=1` writes what the page has of the definitions anew.
    #[test]
    fn the_page_of_events_is_what_the_definitions_say() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
        let page = std::fs::read_to_string(&file).unwrap();
        let catalogue = catalogue::whole(&Registry::load(None).unwrap(), None);
        let events = list(&catalogue, "events");
        let fields = table_of(list(&catalogue, "fields"), |field| {
            let of = word(field, "of").to_owned();
            field["bytes_max"].as_u64().map_or(of.clone(), |bytes| format!("{of}; at most {bytes} bytes"))
        });
        let row = |event: &Value| {
            let [name, doc, kind, programme] =
                ["name", "doc", "kind", "programme"].map(|name| cell(word(event, name)));
            format!("| [{name}](#{name}) | {kind} | {programme} | {doc} |\n")
        };
        let mut wanted = page.clone();
        for (mark, made) in [
            (
                "events",
                format!(
                    "| event | kind | programme | what it is |\n|---|---|---|---|\n{}",
                    events.iter().map(row).collect::<String>()
                ),
            ),
            ("each event", format!("\n{}", events.iter().map(section).collect::<String>())),
            ("fields", format!("| field | type | of | what it is |\n|---|---|---|---|\n{fields}")),
        ] {
            let mark = format!("<!-- {mark} -->\n");
            let (before, rest) = wanted.split_once(&mark).expect("the page has each part");
            let (_, after) = rest.split_once(END).expect("each part has an end");
            wanted = format!("{before}{mark}{made}{END}{after}");
        }
        if std::env::var_os("SHOAL_WRITE_DOCS").is_some() {
            std::fs::write(&file, &wanted).unwrap();
            return;
        }
        assert!(
            page == wanted,
            "docs/events.md is not what the definitions say: run this test with SHOAL_WRITE_DOCS=1"
        );
    }

    #[test]
    fn bounds_and_listed_values_are_told_in_their_unit() {
        let number = json!({"class": "measure", "type": "number", "min": 0, "max": 120, "unit": "ms"});
        assert_eq!(limits(&number), "0 to 120 ms");
        let listed = json!({"class": "dimension", "values": ["a", "b"], "bytes_max": 1, "required": true});
        assert_eq!(limits(&listed), "required; one of a, b");
        assert_eq!(limits(&json!({"class": "drop"})), "never kept");
    }
}
