//! `shoal demo`: a service of its own in a fresh directory, a day of traffic through the real HTTP interface, and
//! questions whose answers are compared with the truth.
//!
//! Not here: the traffic (`demo/traffic.rs`), the questions and their truth (`demo/questions.rs`).

mod compare;
mod questions;
mod random;
mod traffic;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use chrono::{DateTime, SecondsFormat};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use shoal_audit::Act;
use shoal_ingest::KeyKind;
use shoal_schemas::calendar::{day_of, start_of};
use shoal_schemas::{Programme, Region};

use crate::access_keys::{KeyStore, Role, Scope};
use crate::cli::budget::budget_table;
use crate::cli::serve::until_told;
use crate::cli::table::answer_table;
use crate::client::Client;
use crate::config::Config;
use crate::error::Error;
use crate::key_line::KeyLines;
use crate::running::Running;
use crate::startup::start;
use crate::{logs, system_clock, threads};

use questions::{QUESTIONS, Question};
use traffic::Event;

const BATCH_EVENTS: usize = 250;
const POLICY: &str = "2026-1";

/// The demo's arguments.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Empty or new directory for everything that the demo writes. The default is a new one below the temporary directory.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Ends after the questions, instead of serving until Ctrl-C.
    #[arg(long)]
    exit: bool,
    /// Address to listen on. A free port is taken when this one is in use.
    #[arg(long, default_value = "127.0.0.1:8750")]
    listen: SocketAddr,
    /// Seed of the example traffic. Another seed makes another day.
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

/// The keys of the demo, as they are presented.
struct Keys {
    app: String,
    /// Ships in an app whose SDK starts after the person has opted in: SDKs send neither consent nor country.
    sdk: String,
    sdk_dsn: String,
    devices: String,
    officer: String,
}

/// Runs the demo.
///
/// # Errors
/// When the directory is not empty, or the service fails.
pub(crate) fn run(args: &DemoArgs) -> Result<ExitCode, Error> {
    let dir = fresh_dir(args.dir.as_deref())?;
    let mut config = Config::embedded(&dir)?;
    config.http.listen = free_address(args.listen);
    config.metrics.listen = Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
    config.log.level = tracing::Level::WARN;
    // For someone who watches; finer than the default, because nobody is in this data.
    config.ingest.subject_day_events_max = 1_000;
    // The quick build is not optimised.
    config.query.row_time_ns = 300;
    config.query.answer_times_ms = vec![250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000];
    logs::start(&config.log);
    let keys = make_keys(&config)?;
    threads::runtime()?.block_on(async {
        let running = start(config, crate::Clocks::system()).await?;
        let url = format!("http://{}", running.addr());
        println!("Shoal serves {url} with everything in {}", dir.display());
        let keys = fill_and_ask(&running, url.clone(), keys, args.seed).await?;
        print_how_to_go_on(&url, &dir, &keys);
        if let Some(addr) = running.metrics_addr() {
            println!("Metrics, for operators only: http://{addr}/metrics");
        }
        if args.exit {
            running.stop().await?;
            return Ok(ExitCode::SUCCESS);
        }
        println!("\nServing on; Ctrl-C stops.");
        until_told(running).await
    })
}

async fn fill_and_ask(running: &Running, url: String, keys: Keys, seed: u64) -> Result<Keys, Error> {
    let now_ms = system_clock()();
    let day_start_ms = start_of(day_of(now_ms) - 1);
    let events = traffic::day(seed, day_start_ms);
    let (address, sender) = (url.clone(), keys);
    let (events, keys) = blocking(move || {
        send_all(&address, &sender, &events)?;
        Ok((events, sender))
    })
    .await?;
    let start = Instant::now();
    running.flush().await?;
    println!("written to the Delta tables in {} ms", start.elapsed().as_millis());
    blocking(move || {
        ask_all(&url, &keys.officer, &events, day_start_ms)?;
        Ok(keys)
    })
    .await
}

/// Runs blocking work away from the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Error::Service("the demo has died".into())))
}

fn fresh_dir(given: Option<&Path>) -> Result<PathBuf, Error> {
    let dir = match given {
        Some(dir) => dir.to_path_buf(),
        None => std::env::temp_dir().join(format!("shoal-demo-{}", uuid::Uuid::now_v7().simple())),
    };
    std::fs::create_dir_all(&dir).map_err(|e| Error::io(&dir, e))?;
    let mut entries = std::fs::read_dir(&dir).map_err(|e| Error::io(&dir, e))?;
    if entries.next().is_some() {
        return Err(Error::Usage(format!(
            "{} is not empty; the demo needs a directory of its own",
            dir.display()
        )));
    }
    Ok(dir)
}

fn free_address(wanted: SocketAddr) -> SocketAddr {
    match TcpListener::bind(wanted) {
        Ok(_) => wanted,
        Err(_) => SocketAddr::new(wanted.ip(), 0),
    }
}

fn make_keys(config: &Config) -> Result<Keys, Error> {
    let store = KeyStore::new(&config.data_dir);
    let now_ms = system_clock()();
    let regions = Region::ALL.to_vec();
    // The keys of servers: the demo counts what became of its events.
    let ingest = |app: &str, programme, policy: Option<&str>| Scope::Ingest {
        kind: KeyKind::Server,
        app: app.to_owned(),
        regions: regions.clone(),
        programme,
        policy: policy.map(str::to_owned),
        consent_category: None,
    };
    let lines = KeyLines::of_operator(&config.data_dir)?;
    let make = |scope| lines.act(Act::KeyCreate, now_ms, |announce| store.create(scope, now_ms, announce));
    let app = make(ingest("camera", None, None))?;
    let sdk = make(Scope::Ingest {
        kind: KeyKind::Shipped,
        app: "camera".to_owned(),
        regions: vec![Region::De],
        programme: Some(Programme::UserExperience),
        policy: Some(POLICY.to_owned()),
        consent_category: None,
    })?;
    let devices = make(ingest("firmware", Some(Programme::DeviceExperience), Some(POLICY)))?;
    let officer = make(Scope::Analyst { role: Role::Officer, regions: regions.clone() })?;
    Ok(Keys {
        app: app.reveal(),
        sdk: sdk.reveal(),
        sdk_dsn: sdk.reveal_for_dsn(),
        devices: devices.reveal(),
        officer: officer.reveal(),
    })
}

/// What the service answered to all batches together.
#[derive(Default)]
struct Sent {
    received: u64,
    accepted: u64,
    duplicate: u64,
    withheld: u64,
    rejected: u64,
}

fn send_all(url: &str, keys: &Keys, events: &[Event]) -> Result<(), Error> {
    let start = Instant::now();
    let bar = ProgressBar::new(events.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} events sent") {
        bar.set_style(style);
    }
    let mut sent = Sent::default();
    for (programme, key) in
        [(Programme::UserExperience, &keys.app), (Programme::DeviceExperience, &keys.devices)]
    {
        let client = Client::new(url, key);
        let of_programme: Vec<&Event> = events.iter().filter(|e| e.programme == programme).collect();
        for (number, batch) in of_programme.chunks(BATCH_EVENTS).enumerate() {
            let consented = programme == Programme::UserExperience;
            let body = body(batch, consented);
            sent.add(&client, &body)?;
            // A network that loses answers: the app sends the same batch again.
            if number % 20 == 0 {
                sent.add(&client, &body)?;
            }
            bar.inc(batch.len() as u64);
        }
        // An app that sends without consent.
        if let Some(batch) = of_programme.chunks(40).next().filter(|_| programme == Programme::UserExperience)
        {
            sent.add(&client, &body(batch, false))?;
        }
    }
    bar.finish_and_clear();
    let Sent { received, accepted, duplicate, withheld, rejected } = sent;
    println!(
        "{received} events received in {} ms: {accepted} accepted and on the disk, {duplicate} duplicates of resent \
         batches, {withheld} withheld for want of consent, {rejected} rejected",
        start.elapsed().as_millis()
    );
    Ok(())
}

fn body(batch: &[&Event], consented: bool) -> String {
    let events: Vec<&Value> = batch.iter().map(|e| &e.json).collect();
    let now = DateTime::from_timestamp_millis(system_clock()()).unwrap_or_default();
    let mut body = json!({"sent_at": now.to_rfc3339_opts(SecondsFormat::Millis, true), "events": events});
    if consented {
        body["consent"] = json!({"policy_version": POLICY, "granted_at": "2026-01-15T09:00:00Z"});
    }
    body.to_string()
}

impl Sent {
    fn add(&mut self, client: &Client, body: &str) -> Result<(), Error> {
        let answer = client.post("/v1/events", body, "application/json")?;
        let answer: Value = serde_json::from_slice(&answer).map_err(|e| Error::Remote(e.to_string()))?;
        let count = |name: &str| answer[name].as_u64().unwrap_or(0);
        self.received += count("received");
        self.accepted += count("accepted");
        self.duplicate += count("duplicate");
        self.withheld += count("withheld");
        self.rejected += count("rejected");
        Ok(())
    }
}

fn ask_all(url: &str, key: &str, events: &[Event], day_start_ms: i64) -> Result<(), Error> {
    let client = Client::new(url, key);
    let day =
        DateTime::from_timestamp_millis(day_start_ms).unwrap_or_default().format("%Y-%m-%d").to_string();
    let mut score = compare::Score::default();
    for question in QUESTIONS {
        println!("\n{}\n  {}", question.title, question.sql.replace("{day}", &day));
        let answer = ask(&client, question, &day)?;
        print!("{}", answer_table(&answer));
        score.add(question, &answer, events);
    }
    println!("\n{score}");
    if let Some(first) = QUESTIONS.first() {
        println!("\nThe first question again, by anybody: the same answer, and nothing more is paid.");
        print!("{}", answer_table(&ask(&client, first, &day)?));
    }
    println!("\nWhat is left of the day's privacy budget:");
    let blocks = client.get(&format!("/v1/budget?first={day}&last={day}"))?;
    print!("{}", budget_table(&blocks, false));
    Ok(())
}

fn ask(client: &Client, question: &Question, day: &str) -> Result<Value, Error> {
    let asked = json!({"sql": question.sql.replace("{day}", day), "precision": question.precision});
    let answer = client.post("/v1/sql", &asked.to_string(), "application/json")?;
    serde_json::from_slice(&answer).map_err(|e| Error::Remote(e.to_string()))
}

/// The line that makes `shoal` this very program in a shell: nothing has put it on the PATH.
fn alias_line() -> String {
    let program = std::env::current_exe().map_or_else(|_| "shoal".to_owned(), |p| p.display().to_string());
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    // An alias is read twice by the shell, so what needs quotes needs them twice.
    let word = if program.chars().all(is_plain) { program } else { quoted(&quoted(&program)) };
    format!("alias shoal={word}")
}

fn print_how_to_go_on(url: &str, dir: &Path, keys: &Keys) {
    let Keys { app, sdk, sdk_dsn, devices: _, officer } = keys;
    let dsn = url.replacen("://", &format!("://{sdk_dsn}@"), 1);
    println!(
        r#"
Go on by hand, in another terminal:
  {alias}
  export SHOAL_URL={url} SHOAL_KEY={officer}
  shoal query "SELECT country, COUNT(DISTINCT subject) AS people FROM usage GROUP BY country ORDER BY people DESC"
  shoal query --dry-run "SELECT AVG(duration_ms) AS ms FROM performance WHERE event = 'app_start'"
  shoal budget --questions
  shoal retention plan
  curl -s {url}/v1/tables -H "Authorization: Bearer $SHOAL_KEY"
  curl -s {url}/v1/events -H "Authorization: Bearer {app}" -H 'Content-Type: application/json' -d \
    '{{"consent": {{"policy_version": "{POLICY}"}}, "events": [{{"id": "1", "event": "app_open", "user_id": "me", "country": "DE"}}]}}'
See each event as it comes, while you send:
  SHOAL_DATA_DIR={data} shoal watch
For an app that starts its SDK after the person has opted in (this key asserts that, for the region DE):
Segment SDK: host {url}, write key {sdk}
Sentry DSN:  {dsn}/1
API page:    {url}/docs/
Delta tables, readable with DuckDB or Python's deltalake: {tables}"#,
        alias = alias_line(),
        data = dir.join("data").display(),
        tables = dir.join("data/de/tables/usage").display()
    );
}
