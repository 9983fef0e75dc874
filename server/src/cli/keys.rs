//! `shoal keys`: makes, lists and revokes access keys. A running service knows within a second, and the audit has a line of each
//! change before it is made.

use std::process::ExitCode;

use chrono::DateTime;
use clap::Subcommand;
use comfy_table::Table;
use shoal_audit::Act;
use shoal_ingest::KeyKind;
use shoal_schemas::{Programme, Region};

use super::data_dir;
use crate::access_keys::{KeyRecord, KeyStore, Role, Scope};
use crate::client::local_url;
use crate::config::Config;
use crate::error::Error;
use crate::key_line::KeyLines;

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Makes a key and shows it. It is shown this once only.
    Create {
        #[command(subcommand)]
        command: CreateCommand,
    },
    /// Lists the ids and the scopes of all keys. Secrets are not kept.
    List,
    /// Revokes a key. A running service refuses it within a second.
    Revoke {
        /// Id of the key, as `shoal keys list` shows it.
        id: String,
    },
}

#[derive(Subcommand)]
pub(super) enum CreateCommand {
    /// Makes a key with which an app or a server sends events and does nothing else.
    Ingest {
        /// Where the key will be kept: shipped (in apps and devices, where anybody can read it; answers do not tell who has
        /// opted in) or server (on servers only; answers tell what became of each event).
        #[arg(long, default_value = "shipped", value_parser = kind)]
        kind: KeyKind,
        /// Name of the app, as it will be in the column `app`.
        #[arg(long)]
        app: String,
        /// Regions that the key may write to, separated by commas, as DE,US.
        #[arg(long, value_delimiter = ',', required = true, value_parser = region)]
        regions: Vec<Region>,
        /// The only programme that the key may send: user-experience or device-experience. The default is both.
        #[arg(long, value_parser = programme)]
        programme: Option<Programme>,
        /// Policy version under which every subject has opted in before the app starts its SDK. The key asserts this consent.
        #[arg(long, requires = "programme")]
        policy: Option<String>,
        /// Category of a consent manager (Segment, RudderStack) that stands for the programme. The default is Analytics.
        #[arg(long, requires = "programme")]
        consent_category: Option<String>,
    },
    /// Makes a key with which a person asks questions.
    Analyst {
        /// Regions that the key may ask about, separated by commas, as DE,US.
        #[arg(long, value_delimiter = ',', required = true, value_parser = region)]
        regions: Vec<Region>,
        /// Role of the person. An officer may also run retention, cancel queries and read what others asked.
        #[arg(long, value_enum, default_value = "analyst")]
        role: Role,
    },
}

fn kind(text: &str) -> Result<KeyKind, String> {
    KeyKind::parse(text).ok_or_else(|| "kinds are shipped and server".to_owned())
}

fn region(text: &str) -> Result<Region, String> {
    Region::parse(text).ok_or_else(|| "this service serves the regions US, DE, SG and MY".to_owned())
}

fn programme(text: &str) -> Result<Programme, String> {
    Programme::parse(text).ok_or_else(|| "programmes are user-experience and device-experience".to_owned())
}

pub(super) fn run(config: &Config, command: KeysCommand) -> Result<ExitCode, Error> {
    let store = KeyStore::new(&config.data_dir);
    let now_ms = crate::clocks::checked(&crate::system_clock())?;
    match command {
        KeysCommand::Create { command } => {
            data_dir::made_here(config)?;
            let scope = match command {
                CreateCommand::Ingest { kind, app, regions, programme, policy, consent_category } => {
                    check_policy(config, programme, policy.as_deref())?;
                    Scope::Ingest { kind, app, regions, programme, policy, consent_category }
                }
                CreateCommand::Analyst { regions, role } => Scope::Analyst { role, regions },
            };
            let kind = match &scope {
                Scope::Ingest { kind, .. } => Some(*kind),
                Scope::Analyst { .. } => None,
            };
            let lines = KeyLines::of_operator(&config.data_dir)?;
            let key = lines.act(Act::KeyCreate, now_ms, |announce| store.create(scope, now_ms, announce))?;
            println!("{}", key.reveal());
            eprintln!("This is shown once; only a hash of it is kept.");
            if kind == Some(KeyKind::Server) {
                eprintln!("Whoever holds it learns who has opted in: keep it on servers, never in an app.");
            }
            if kind.is_some() {
                let url = local_url(config);
                eprintln!("Segment: host {url}, write key as above.");
                eprintln!(
                    "Sentry:  {}",
                    url.replacen("://", &format!("://{}@", key.reveal_for_dsn()), 1) + "/1"
                );
            }
        }
        KeysCommand::List => println!("{}", listing(&store.list()?)),
        KeysCommand::Revoke { id } => {
            let lines = KeyLines::of_operator(&config.data_dir)?;
            lines.act(Act::KeyRevoke, now_ms, |announce| store.revoke(&id, now_ms, announce))?;
            println!("revoked {id}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A policy version that is not accepted would withhold every event of the key.
fn check_policy(config: &Config, programme: Option<Programme>, policy: Option<&str>) -> Result<(), Error> {
    let (Some(programme), Some(policy)) = (programme, policy) else { return Ok(()) };
    let registry = crate::startup::build_schemas(config.schemas_dir.as_deref())?;
    let accepted = &registry.programme(programme).policy_versions;
    if accepted.iter().any(|v| v == policy) {
        return Ok(());
    }
    let accepted = accepted.join(", ");
    Err(Error::Usage(format!("`{policy}` is not an accepted policy version of {programme}: {accepted}")))
}

fn listing(keys: &[KeyRecord]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED);
    table.set_header(["id", "for", "regions", "scope", "made", "revoked"]);
    for key in keys {
        let (what, regions, scope) = match &key.scope {
            Scope::Ingest { kind, app, regions, programme, policy, consent_category } => {
                let programme = programme.map_or("both programmes".to_owned(), |p| p.to_string());
                let policy = policy.as_ref().map(|p| format!(", asserts policy {p}")).unwrap_or_default();
                let category = consent_category.as_ref().map(|c| format!(", consent category {c}"));
                let (kind, category) = (kind.as_str(), category.unwrap_or_default());
                ("ingest", regions, format!("{kind}, app {app}, {programme}{policy}{category}"))
            }
            Scope::Analyst { role: Role::Analyst, regions } => ("analyst", regions, String::new()),
            Scope::Analyst { role: Role::Officer, regions } => ("officer", regions, String::new()),
        };
        let regions: Vec<&str> = regions.iter().map(|r| r.as_str()).collect();
        let revoked = key.revoked_at_ms.map(day).unwrap_or_default();
        let made = day(key.created_at_ms);
        table.add_row([key.id.clone(), what.to_owned(), regions.join(","), scope, made, revoked]);
    }
    table
}

fn day(time_ms: i64) -> String {
    DateTime::from_timestamp_millis(time_ms)
        .map(|t| t.format("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default()
}
