//! `shoal watch`: follows what becomes of what comes with a key, or with all keys, a line for each change, until Ctrl-C.
//!
//! It asks a running service each second what it has counted, and prints what is new. Whoever may read the data directory follows any
//! key with every outcome; whoever has a key only follows that one, with what its holder may know.
//! Not here: what is counted, and who is told what (`shoal-ingest`, `senders.rs`).

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::keys_shown::totals;
use crate::client::{Client, local_url};
use crate::config::Config;
use crate::error::Error;
use crate::operator_socket::{self, Asked};

const INTERVAL: Duration = Duration::from_secs(1);
/// So often a service that was there may be gone, as while it is started again.
const GONE_MAX: u32 = 60;

#[derive(Args)]
pub(super) struct WatchArgs {
    /// Id of the key to follow, as `shoal keys list` shows it. The default is all keys.
    id: Option<String>,
    /// The ingest key itself, for whoever has no access to the data directory.
    #[arg(long, conflicts_with = "id")]
    key: Option<String>,
    /// Prints one JSON object a line.
    #[arg(long)]
    json: bool,
    /// URL of the service, with --key. The default is the address at which this configuration starts it.
    #[arg(long, env = "SHOAL_URL")]
    url: Option<String>,
}

pub(super) fn run(config: &Config, args: &WatchArgs) -> Result<ExitCode, Error> {
    let watched = Watched::of(config, args);
    let mut seen = Seen::default();
    let first = watched.ask()?;
    let is_one = args.key.is_some() || args.id.is_some();
    if first.is_empty() && is_one {
        return Err(Error::Remote("this key sends no events: only ingest keys can be followed".to_owned()));
    }
    for key in &first {
        if let Some(missing) = key["counters_missing"].as_str() {
            return Err(Error::Remote(format!("what came with the key is not shown: {missing}")));
        }
        eprintln!("{}  {}  {}", text(&key["id"]), text(&key["name"]), totals(&key["counters"]));
        seen.new_lines(key);
    }
    eprintln!(
        "Following {}; Ctrl-C ends.",
        if is_one { "this key" } else { "all ingest keys, also new ones" }
    );
    let mut gone = 0;
    loop {
        std::thread::sleep(INTERVAL);
        let keys = match watched.ask() {
            Ok(keys) => keys,
            Err(error) if gone >= GONE_MAX => return Err(error),
            Err(error) => {
                if gone == 0 {
                    eprintln!("{error}; trying again");
                }
                gone += 1;
                continue;
            }
        };
        gone = 0;
        let lines: Vec<Value> = keys.iter().flat_map(|key| seen.new_lines(key)).collect();
        match print(&lines, args.json) {
            // A reader that has seen enough (`| head`) is no failure.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            printed => printed.map_err(|error| Error::io("standard output", error))?,
        }
    }
}

/// Whom to ask for what.
enum Watched<'c> {
    /// The service that runs over a data directory.
    Here(&'c Config, Asked),
    /// One that is asked with a key.
    WithKey(Client),
}

impl<'c> Watched<'c> {
    fn of(config: &'c Config, args: &WatchArgs) -> Watched<'c> {
        match (&args.key, &args.id) {
            (Some(key), _) => {
                let url = args.url.clone().unwrap_or_else(|| local_url(config));
                Watched::WithKey(Client::new(&url, key))
            }
            (None, Some(id)) => Watched::Here(config, Asked::Key(id.clone())),
            (None, None) => Watched::Here(config, Asked::Keys),
        }
    }

    /// The ingest keys that are followed.
    fn ask(&self) -> Result<Vec<Value>, Error> {
        let keys = match self {
            Watched::WithKey(client) => vec![client.get("/v1/keys/self")?],
            Watched::Here(config, asked) => {
                let told = operator_socket::ask(&config.data_dir, asked)?.ok_or_else(|| {
                    let dir = config.data_dir.display();
                    Error::Remote(format!(
                        "no service runs over {dir}; name another data directory with --config or SHOAL_DATA_DIR, or a key with --key"
                    ))
                })?;
                list(&told).to_vec()
            }
        };
        Ok(keys.into_iter().filter(|key| key["role"] == "ingest").collect())
    }
}

/// What was counted when it was last asked, by key.
#[derive(Default)]
struct Seen {
    keys: BTreeMap<String, Counted>,
}

/// What is counted of one key since some time.
#[derive(Default)]
struct Counted {
    since: String,
    /// By what a line says.
    numbers: BTreeMap<[String; 4], u64>,
}

impl Seen {
    /// What has come since the last call, one value a line.
    fn new_lines(&mut self, key: &Value) -> Vec<Value> {
        let counters = &key["counters"];
        let since = text(&counters["since"]);
        let before = self.keys.entry(text(&key["id"]).to_owned()).or_default();
        if before.since != since {
            // The service has started again, or has forgotten this network in between.
            *before = Counted { since: since.to_owned(), numbers: BTreeMap::new() };
        }
        let mut lines = Vec::new();
        for count in list(&counters["events"]).iter().chain(list(&counters["refused"])) {
            let is_request = count.get("requests").is_some();
            let number = count[if is_request { "requests" } else { "events" }].as_u64().unwrap_or(0);
            let outcome = if is_request { "refused" } else { text(&count["outcome"]) };
            let row = [text(&count["protocol"]), text(&count["event"]), outcome, text(&count["code"])];
            let known = before.numbers.insert(row.map(str::to_owned), number).unwrap_or(0);
            let new = number.saturating_sub(known);
            if new > 0 {
                let unit = if is_request { "requests" } else { "events" };
                lines.push(json!({"at": counters["now"], "key": key["id"], "name": key["name"],
                    "protocol": count["protocol"], "event": count.get("event"), "outcome": outcome,
                    "code": count["code"], "field": field(counters, count), unit: new}));
            }
        }
        lines
    }
}

/// The declared field that the latest reason of this kind is about.
fn field(counters: &Value, count: &Value) -> Value {
    if count.get("requests").is_some() {
        return Value::Null;
    }
    let is_it =
        |reason: &&Value| ["protocol", "event", "code"].iter().all(|name| reason[name] == count[name]);
    list(&counters["reasons"]).iter().find(is_it).map_or(Value::Null, |reason| reason["field"].clone())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn print(lines: &[Value], is_json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        match is_json {
            true => writeln!(out, "{line}")?,
            false => writeln!(out, "{}", for_people(line))?,
        }
    }
    out.flush()
}

/// The time of day, the key's name, the protocol, the event, and what became of it.
fn for_people(line: &Value) -> String {
    let time = text(&line["at"]).get(11..19).unwrap_or_default();
    let field = line["field"].as_str().map(|field| format!(" ({field})")).unwrap_or_default();
    let number = line["events"].as_u64().or(line["requests"].as_u64()).unwrap_or(0);
    let times = if number > 1 { format!("  x{number}") } else { String::new() };
    let [name, protocol, outcome, code] =
        ["name", "protocol", "outcome", "code"].map(|name| text(&line[name]));
    let event = line["event"].as_str().unwrap_or("-");
    format!("{time}  {name}  {protocol:<8} {event:<20} {outcome} {code}{field}{times}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(since: &str, events: u64, refused: u64) -> Value {
        json!({"id": "srv1", "name": "backend server", "role": "ingest", "counters": {
            "since": since, "now": "2026-11-22T12:00:05Z",
            "events": [{"protocol": "segment", "event": "click", "outcome": "rejected", "code": "missing_property",
                "events": events}],
            "refused": [{"protocol": "native", "code": "bad_json", "requests": refused}],
            "reasons": [{"protocol": "segment", "event": "click", "code": "missing_property", "field": "element"}]}})
    }

    #[test]
    fn a_line_says_what_has_come_since_the_last_look() {
        let mut seen = Seen::default();
        let first = seen.new_lines(&key("a", 1, 0));
        let lines: Vec<String> = first.iter().map(for_people).collect();
        let expected =
            "12:00:05  backend server  segment  click                rejected missing_property (element)";
        assert_eq!(lines, [expected]);
        assert!(seen.new_lines(&key("a", 1, 0)).is_empty(), "nothing is new");
        let lines: Vec<String> = seen.new_lines(&key("a", 3, 1)).iter().map(for_people).collect();
        assert_eq!(lines[0], format!("{expected}  x2"));
        assert_eq!(lines[1], "12:00:05  backend server  native   -                    refused bad_json");
        let again = seen.new_lines(&key("b", 1, 0));
        assert_eq!((again.len(), &again[0]["events"]), (1, &json!(1)), "a service that began again");
    }
}
