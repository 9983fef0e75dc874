//! `shoal keys list` and `shoal keys show`: what is known of keys, from the file of keys and from the service that runs over it.
//!
//! Not here: making them (`keys.rs`), following what comes with them (`watch.rs`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use comfy_table::{ColumnConstraint, Table};
use serde_json::{Value, json};
use shoal_language::calendar::day_text;
use shoal_schemas::calendar::day_of;

use super::data_dir;
use super::output::{framed, print_either};
use crate::access_keys::{KeyRecord, KeyStore, Scope, Takes, described, last_uses};
use crate::client::{Client, local_url};
use crate::config::Config;
use crate::error::Error;
use crate::operator_socket::{self, Asked};

#[derive(Args)]
pub(super) struct ListArgs {
    /// Lists the keys that data are encrypted with, and those of pseudonym epochs, in place of access keys.
    #[arg(long)]
    pub(super) stored: bool,
    /// Prints the keys as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(super) struct ShowArgs {
    /// Id of the key, as `shoal keys list` shows it.
    #[arg(required_unless_present = "key")]
    id: Option<String>,
    /// The ingest key itself, for whoever has no access to the data directory. The service shows it what its holder may know.
    #[arg(long, conflicts_with = "id")]
    key: Option<String>,
    /// Prints the key as JSON.
    #[arg(long)]
    json: bool,
    /// URL of the service, with --key. The default is the address at which this configuration starts it.
    #[arg(long, env = "SHOAL_URL")]
    url: Option<String>,
}

/// Prints all keys.
pub(super) fn list(config: &Config, args: &ListArgs, keys: &[KeyRecord]) -> Result<(), Error> {
    let days = last_days(config)?;
    let shown = keys.iter().map(|key| Value::Object(key.shown_to_operators(days.get(&key.id).copied())));
    print_either(args.json, || Value::Array(shown.collect()), || listing(keys, &days).to_string()).map(|_| ())
}

/// On which day each key was used last: as it was written, and as a running service knows it. A service that does not answer is no
/// failure, because what was written is at most an hour old.
fn last_days(config: &Config) -> Result<BTreeMap<String, i32>, Error> {
    let mut days = last_uses(&config.data_dir)?;
    if let Ok(Some(told)) = operator_socket::ask(&config.data_dir, &Asked::Keys) {
        for key in told.as_array().into_iter().flatten() {
            let day = key["last_used_on"].as_str().and_then(shoal_language::calendar::parse_day);
            if let (Some(id), Some(day)) = (key["id"].as_str(), day) {
                days.insert(id.to_owned(), day);
            }
        }
    }
    Ok(days)
}

/// A table that 80 columns are enough for: ids can be copied and days can be read, because they are never broken.
fn listing(keys: &[KeyRecord], days: &BTreeMap<String, i32>) -> Table {
    let mut table = framed(["id", "key", "regions", "last used", "expires"]);
    for key in keys {
        let regions: Vec<&str> = key.scope.regions().iter().map(|region| region.as_str()).collect();
        let last_used = days.get(&key.id).copied().map(day_text).unwrap_or_default();
        let expires = key.expires_at_ms.map_or_else(|| "never".to_owned(), day);
        table.add_row([key.id.clone(), about(key), regions.join(","), last_used, expires]);
    }
    for at in [0, 2, 3, 4] {
        if let Some(column) = table.column_mut(at) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
}

/// What a key is called, what it is for, whose it is, and when it was made and revoked, a line for each.
fn about(key: &KeyRecord) -> String {
    let mut lines = vec![key.name()];
    let role = key.scope.role();
    let scope = described(&key.scope);
    lines.push(if scope.is_empty() { role.to_owned() } else { format!("{role}, {scope}") });
    lines.extend(key.owner.as_ref().map(|owner| format!("owner: {owner}")));
    lines.push(format!("made {}", day(key.created_at_ms)));
    lines.extend(key.revoked_at_ms.map(|at_ms| format!("revoked {}", day(at_ms))));
    lines.join("\n")
}

fn day(time_ms: i64) -> String {
    day_text(day_of(time_ms))
}

/// Prints a key. What it takes is told of one whose record is at hand.
pub(super) fn show(
    config: &Config,
    args: &ShowArgs,
    store: &KeyStore,
    takes: &dyn Fn(&Scope) -> Option<Takes>,
) -> Result<(), Error> {
    let shown = match (&args.key, &args.id) {
        (Some(key), _) => {
            let url = args.url.clone().unwrap_or_else(|| local_url(config));
            Client::new(&url, key).get("/v1/keys/self")?
        }
        (None, id) => {
            data_dir::is_there(config)?;
            let key = &store.find(id.as_deref().unwrap_or_default())?;
            let mut shown = of_running(config, key)?;
            let lines = takes(&key.scope).map(|takes| takes.lines);
            shown["takes"] = json!(lines.unwrap_or_default());
            shown
        }
    };
    print_either(args.json, || shown.clone(), || text(&shown)).map(|_| ())
}

/// A key with what the service that runs here knows of it; as it is in the file of keys where none does.
fn of_running(config: &Config, key: &KeyRecord) -> Result<Value, Error> {
    let days = last_uses(&config.data_dir)?;
    let mut shown = Value::Object(key.shown_to_operators(days.get(&key.id).copied()));
    let asked = Asked::Key(key.id.clone());
    let missing = match (key.revoked_at_ms, operator_socket::ask(&config.data_dir, &asked)) {
        (Some(_), _) => "the key was revoked".to_owned(),
        (None, Ok(Some(mut told))) => return Ok(told[0].take()),
        (None, Ok(None)) => "no service runs over this data directory".to_owned(),
        (None, Err(error)) => error.to_string(),
    };
    shown["counters"] = Value::Null;
    shown["counters_missing"] = json!(missing);
    Ok(shown)
}

/// A key for people.
fn text(key: &Value) -> String {
    let of = |name: &str| key[name].as_str().unwrap_or_default();
    let list = |name: &str| key[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text = format!("{}  {}\n", of("id"), of("name"));
    let regions: Vec<&str> = list("regions").iter().filter_map(Value::as_str).collect();
    let regions = regions.join(", ");
    let lines = [
        ("for", of("role")),
        ("kind", of("kind")),
        ("app", of("app")),
        ("programme", of("programme")),
        ("policy", of("policy")),
        ("regions", regions.as_str()),
        ("owner", of("owner")),
        ("made", of("created_at")),
        ("last used", of("last_used_on")),
        ("expires", key["expires_at"].as_str().unwrap_or("never")),
        ("revoked", of("revoked_at")),
    ];
    for (name, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "  {name:<10} {value}");
    }
    for line in list("takes").iter().filter_map(Value::as_str) {
        let _ = writeln!(text, "  {line}");
    }
    match (key["counters"].is_object(), key["counters_missing"].as_str()) {
        (true, _) => text.push_str(&counters(&key["counters"], of("counters_of"))),
        (false, Some(missing)) => {
            let _ = writeln!(text, "\nwhat came with it is not shown: {missing}");
        }
        (false, None) => {}
    }
    text
}

/// The outcomes that counters tell, in one line.
pub(super) fn totals(counters: &Value) -> String {
    let told = ["taken", "accepted", "duplicate", "withheld", "rejected"].into_iter();
    let told = told.filter_map(|name| counters[name].as_u64().map(|events| format!("{events} {name}")));
    format!(
        "{} received: {}",
        counters["received"].as_u64().unwrap_or(0),
        told.collect::<Vec<_>>().join(", ")
    )
}

fn counters(counters: &Value, of: &str) -> String {
    let since = counters["since"].as_str().unwrap_or_default();
    let from = if of == "network" { ", from your network" } else { "" };
    let mut text = format!("\nsince {since}{from}: {}\n", totals(counters));
    for (name, what) in
        [("dropped_properties", "properties left out"), ("skipped_items", "Sentry items skipped")]
    {
        if let Some(number) = counters[name].as_u64().filter(|number| *number > 0) {
            let _ = writeln!(text, "{number} {what}");
        }
    }
    let mut table = |header: &[&str], rows: &Value, names: &[&str]| {
        let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
        if rows.is_empty() {
            return;
        }
        let mut table = framed(header.to_vec());
        for row in rows {
            table.add_row(names.iter().map(|name| match &row[*name] {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => String::new(),
            }));
        }
        let _ = writeln!(text, "{table}");
    };
    let events = ["protocol", "event", "outcome", "code", "events"];
    table(&events, &counters["events"], &events);
    let refused = ["protocol", "code", "requests"];
    table(&["protocol", "refused", "requests"], &counters["refused"], &refused);
    let reasons = ["at", "protocol", "event", "outcome", "code", "field", "events"];
    table(
        &["last reasons", "protocol", "event", "outcome", "code", "field", "events"],
        &counters["reasons"],
        &reasons,
    );
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_schemas::{Programme, Region};

    use super::super::output::fit;
    use super::*;
    use crate::access_keys::Wanted;

    #[test]
    fn eighty_columns_are_enough_for_a_list_of_keys_whose_ids_can_be_copied() {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::new(dir.path());
        let scope = Scope::Ingest {
            kind: shoal_ingest::KeyKind::Shipped,
            app: "camera".to_owned(),
            regions: Region::ALL.to_vec(),
            programme: Some(Programme::UserExperience),
            policy: Some("2026-1".to_owned()),
            consent_category: Some("C0002".to_owned()),
        };
        let day_ms = shoal_schemas::calendar::DAY_MS;
        let owner = Some("a team with a long name".to_owned());
        let wanted = Wanted { owner, expires_at_ms: Some(20_500 * day_ms), ..Wanted::from(scope) };
        let made = store.create(wanted, 20_000 * day_ms, &|_| Ok(())).unwrap();
        store.revoke(&made.id, 20_100 * day_ms, &|_| Ok(())).unwrap();
        let mut table = listing(&store.list().unwrap(), &BTreeMap::from([(made.id.clone(), 20_050)]));
        fit(&mut table, 80);
        let text = table.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let days = [20_000, 20_050, 20_100, 20_500].map(day_text);
        for whole in days.iter().map(String::as_str).chain([made.id.as_str(), "US,DE,SG,MY", "camera"]) {
            assert!(text.contains(whole), "{whole}: {text}");
        }
        assert!(text.lines().count() < 18, "{text}");
    }

    #[test]
    fn a_key_is_shown_with_what_came_with_it() {
        let shown = text(
            &json!({"id": "srv1", "name": "backend server", "role": "ingest", "kind": "server", "app": "backend",
            "programme": null, "regions": ["DE", "US"], "expires_at": null, "takes": ["Takes events."], "counters_of": "key",
            "counters": {"since": "2026-11-22T12:00:00Z", "received": 3, "accepted": 1, "duplicate": 0, "withheld": 1,
                "rejected": 1, "dropped_properties": 2, "skipped_items": 0,
                "events": [{"protocol": "native", "event": "click", "outcome": "accepted", "code": null, "events": 1}],
                "refused": [], "reasons": [{"at": "2026-11-22T12:00:01Z", "protocol": "native", "event": "click",
                    "outcome": "rejected", "code": "missing_property", "field": "element", "events": 1}]}}),
        );
        for part in [
            "srv1  backend server\n",
            "  regions    DE, US\n",
            "  expires    never\n",
            "  Takes events.\n",
            "since 2026-11-22T12:00:00Z: 3 received: 1 accepted, 0 duplicate, 1 withheld, 1 rejected\n",
            "2 properties left out\n",
            "missing_property",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(
            !shown.contains("programme") && !shown.contains("skipped") && !shown.contains("refused"),
            "{shown}"
        );
        let shown = text(&json!({"id": "ing1", "counters": null, "counters_missing": "no service runs"}));
        assert!(shown.contains("not shown: no service runs"), "{shown}");
    }
}
