//! `shoal keys`: makes, lists, shows and revokes access keys. A running service knows when the command ends, and the audit has a
//! line of each change before it is made.
//!
//! Not here: how keys are shown (`keys_shown.rs`), what a key takes, in words (`access_keys/takes.rs`).

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use shoal_audit::Act;
use shoal_ingest::KeyKind;
use shoal_schemas::{Programme, Region, Registry};

use super::data_dir;
use super::keys_custody::{self, RewrapArgs};
use super::keys_shown::{self, ListArgs, ShowArgs};
use super::keys_stored::{self, RotateArgs, ShredArgs, StoredArgs};
use super::output::print_either;
use crate::access_keys::{Expiry, Facts, KeyStore, NewKey, Role, Scope, Takes, Wanted};
use crate::client::local_url;
use crate::config::Config;
use crate::definitions;
use crate::error::Error;
use crate::file_keys::audit_place;
use crate::key_line::KeyLines;
use crate::operator_socket::{self, Asked};

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Makes a key and shows it. It is shown this once only.
    Create {
        #[command(subcommand)]
        command: CreateCommand,
    },
    /// Lists all keys: names, owners, scopes, when they expire and when they were used last. Secrets are not kept.
    List(ListArgs),
    /// Shows a key: what it takes, and what became of what came with it since the service started.
    Show(ShowArgs),
    /// Gives a day of a table a new key, and writes its files anew with it.
    Rotate(RotateArgs),
    /// Destroys the keys of a day of a table, or of a pseudonym epoch: what was made with them is unreadable in every copy.
    Shred(ShredArgs),
    /// Brings the replicas of the data keys up to date (`data_key_replicas`). A running service does so every few minutes.
    Escrow(StoredArgs),
    /// Replaces a key file of an earlier version by one from which no pseudonym epoch can be derived, while no service runs. It can be
    /// interrupted and repeated.
    Migrate(StoredArgs),
    /// Wraps a key file that is in the clear with the custody that the section [keys] says. It can be interrupted and repeated.
    Wrap(StoredArgs),
    /// Wraps a wrapped key file anew: with the newest version of its key, or with another custody, where [keys] says another one.
    Rewrap(RewrapArgs),
    /// Revokes a key. A running service refuses it from then on, but for withdrawals with a key that ships in apps.
    Revoke {
        /// Id of the key, as `shoal keys list` shows it.
        id: String,
        /// Prints the key as it is known from then on, as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
pub(super) enum CreateCommand {
    /// Makes a key with which an app or a server sends events and does nothing else, and says what it takes.
    Ingest(IngestArgs),
    /// Makes a key with which the service that keeps an app's accounts acts on behalf of its persons: erases whoever deletes an account.
    Account {
        /// Name of the app whose accounts they are.
        #[arg(long)]
        app: String,
        /// Regions in which it may act, separated by commas, as DE,US.
        #[arg(long, value_delimiter = ',', required = true, value_parser = region)]
        regions: Vec<Region>,
        #[command(flatten)]
        about: About,
    },
    /// Makes a key with which a person asks questions.
    Analyst {
        /// Regions that the key may ask about, separated by commas, as DE,US.
        #[arg(long, value_delimiter = ',', required = true, value_parser = region)]
        regions: Vec<Region>,
        /// Role of the person. An officer may also run retention, cancel queries and read what others asked.
        #[arg(long, value_enum, default_value = "analyst")]
        role: Role,
        #[command(flatten)]
        about: About,
    },
}

#[derive(Args)]
pub(super) struct IngestArgs {
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
    /// Makes the key although a Segment or Sentry SDK would keep nothing with it.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    about: About,
}

/// What people call a key, whose it is, and how long it is valid.
#[derive(Args)]
pub(super) struct About {
    /// Name of the key, for people. The default says the app and the kind, or the role.
    #[arg(long)]
    name: Option<String>,
    /// Owner of the key in your words, as the name of a team.
    #[arg(long)]
    owner: Option<String>,
    /// When the key expires: never, after days as 90d, or at the end of a day (UTC) as 2027-01-31.
    #[arg(long, default_value = "never", value_parser = Expiry::parse)]
    expires: Expiry,
    /// Prints the key and what is known of it as JSON.
    #[arg(long)]
    json: bool,
}

fn kind(text: &str) -> Result<KeyKind, String> {
    KeyKind::parse(text).ok_or_else(|| "kinds are shipped and server".to_owned())
}

pub(super) fn region(text: &str) -> Result<Region, String> {
    Region::parse(text).ok_or_else(|| "this service serves the regions US, DE, SG and MY".to_owned())
}

fn programme(text: &str) -> Result<Programme, String> {
    Programme::parse(text).ok_or_else(|| "programmes are user-experience and device-experience".to_owned())
}

pub(super) fn run(config: &Config, command: KeysCommand) -> Result<ExitCode, Error> {
    let store = KeyStore::new(&config.data_dir);
    let now_ms = crate::clocks::checked(&crate::system_clock())?;
    match command {
        KeysCommand::Create { command } => create(config, &store, command, now_ms)?,
        KeysCommand::List(args) if args.stored => keys_stored::list(config, args.json)?,
        KeysCommand::Rotate(args) => keys_stored::rotate(config, &args)?,
        KeysCommand::Shred(args) => keys_stored::shred(config, &args)?,
        KeysCommand::Escrow(args) => keys_stored::escrow(config, &args)?,
        KeysCommand::Migrate(args) => keys_stored::migrate(config, &args)?,
        KeysCommand::Wrap(args) => keys_custody::wrap(config, args.json, now_ms)?,
        KeysCommand::Rewrap(args) => keys_custody::rewrap(config, &args, now_ms)?,
        KeysCommand::List(args) => {
            data_dir::is_there(config)?;
            keys_shown::list(config, &args, &store.list()?)?;
        }
        KeysCommand::Show(args) => {
            let registry = definitions::read(config.schemas_dir.as_deref())?;
            let takes = |scope: &Scope| Takes::of(scope, &facts(config, &registry));
            keys_shown::show(config, &args, &store, &takes)?;
        }
        KeysCommand::Revoke { id, json } => revoke(config, &store, &id, json, now_ms)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn revoke(config: &Config, store: &KeyStore, id: &str, json: bool, now_ms: i64) -> Result<(), Error> {
    data_dir::is_there(config)?;
    // Before the audit is opened, which makes its files where there are none.
    store.find(id)?;
    let lines = KeyLines::of_operator(audit_place(config)?)?;
    lines.act(Act::KeyRevoke, now_ms, |announce| store.revoke(id, now_ms, announce))?;
    put_in_force(config);
    let revoked = store.find(id)?;
    let value = || Value::Object(revoked.shown_to_operators(None));
    print_either(json, value, || format!("revoked {id}")).map(drop)
}

/// What decides, beside a key, what it takes.
fn facts<'r>(config: &Config, registry: &'r Registry) -> Facts<'r> {
    let versions = &registry.programme(Programme::UserExperience).policy_versions;
    let policy = versions.last().map_or("VERSION", String::as_str);
    Facts { has_country_file: config.country_mmdb.is_some(), policy }
}

fn create(config: &Config, store: &KeyStore, command: CreateCommand, now_ms: i64) -> Result<(), Error> {
    let (CreateCommand::Ingest(IngestArgs { about, .. })
    | CreateCommand::Account { about, .. }
    | CreateCommand::Analyst { about, .. }) = &command;
    let makes = data_dir::made_here(config)?.filter(|_| !about.json);
    let registry = definitions::read(config.schemas_dir.as_deref())?;
    let (scope, about, yes) = match command {
        CreateCommand::Ingest(args) => {
            let IngestArgs { kind, app, regions, programme, policy, consent_category, yes, about } = args;
            check_policy(&registry, programme, policy.as_deref())?;
            (Scope::Ingest { kind, app, regions, programme, policy, consent_category }, about, yes)
        }
        CreateCommand::Account { app, regions, about } => (Scope::Account { app, regions }, about, true),
        CreateCommand::Analyst { regions, role, about } => (Scope::Analyst { role, regions }, about, true),
    };
    let takes = Takes::of(&scope, &facts(config, &registry));
    if let Some(reason) = takes.as_ref().and_then(|takes| takes.keeps_nothing.as_ref()).filter(|_| !yes) {
        return Err(Error::Usage(format!("no key was made: {reason}")));
    }
    let About { name, owner, expires, json } = about;
    let wanted = Wanted { scope, name, owner, expires_at_ms: expires.at_ms(now_ms) };
    makes.into_iter().for_each(|makes| eprintln!("{makes}"));
    let lines = KeyLines::of_operator(audit_place(config)?)?;
    let key = lines.act(Act::KeyCreate, now_ms, |announce| store.create(wanted, now_ms, announce))?;
    put_in_force(config);
    let made = store.find(&key.id)?;
    let lines = takes.map(|takes| takes.lines).unwrap_or_default();
    let told = Told { name: made.name(), is_ingest: matches!(made.scope, Scope::Ingest { .. }), lines };
    if json {
        let mut members = made.shown_to_operators(None);
        members.insert("key".to_owned(), json!(key.reveal()));
        if told.is_ingest {
            members.insert("dsn".to_owned(), json!(dsn(config, &key)));
            members.insert("takes".to_owned(), json!(told.lines));
        }
        println!("{:#}", Value::Object(members));
        return Ok(());
    }
    println!("{}", key.reveal());
    eprintln!("This is shown once; only a hash of it is kept.");
    if let Some(expires_at) = made.shown_to_operators(None)["expires_at"].as_str() {
        eprintln!("It expires at {expires_at}.");
        if told.is_ingest {
            eprintln!("An app that still has it then can send nothing any more but withdrawals of consent.");
        }
    }
    tell(config, &key, &told);
    Ok(())
}

/// Tells the service, where one runs, that keys have changed. Where it cannot be told (its socket could not be made, or is busy with
/// backups, or it is of an earlier version) it finds out within a second: it looks by itself.
fn put_in_force(config: &Config) {
    let _ = operator_socket::ask(&config.data_dir, &Asked::AccessKeysChanged);
}

/// What is told of a key that was made.
struct Told {
    name: String,
    is_ingest: bool,
    lines: Vec<String>,
}

fn tell(config: &Config, key: &NewKey, told: &Told) {
    told.lines.iter().for_each(|line| eprintln!("{line}"));
    if told.is_ingest {
        eprintln!("Segment: host {}, write key as above.", local_url(config));
        eprintln!("Sentry:  {}", dsn(config, key));
        eprintln!("See what comes with {}: shoal watch {}", told.name, key.id);
    }
}

/// Where a Sentry SDK sends with this key.
fn dsn(config: &Config, key: &NewKey) -> String {
    local_url(config).replacen("://", &format!("://{}@", key.reveal_for_dsn()), 1) + "/1"
}

/// A policy version that is not accepted would withhold every event of the key.
fn check_policy(
    registry: &Registry,
    programme: Option<Programme>,
    policy: Option<&str>,
) -> Result<(), Error> {
    let (Some(programme), Some(policy)) = (programme, policy) else { return Ok(()) };
    let accepted = &registry.programme(programme).policy_versions;
    if accepted.iter().any(|v| v == policy) {
        return Ok(());
    }
    let accepted = accepted.join(", ");
    Err(Error::Usage(format!("`{policy}` is not an accepted policy version of {programme}: {accepted}")))
}
