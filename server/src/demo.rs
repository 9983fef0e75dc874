//! `shoal demo`: a service of its own in a fresh directory, a day of traffic through the real HTTP interface, and
//! questions whose answers are compared with the truth.
//!
//! Not here: the traffic (`demo/traffic.rs`) and how it is sent (`demo/send.rs`), the questions (`demo/questions.rs`), how
//! answers are shown beside the truth (`demo/truth.rs`).

mod keys;
mod questions;
mod random;
mod send;
mod traffic;
mod truth;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::DateTime;
use clap::Args;
use serde_json::{Value, json};
use shoal_schemas::calendar::{day_of, start_of};

use crate::cli::serve::until_told;
use crate::client::Client;
use crate::config::Config;
use crate::error::Error;
use crate::running::Running;
use crate::startup::start;
use crate::{key_file, logs, system_clock, threads};

use keys::{Keys, SDK_REGION};
use questions::{Exactness, QUESTIONS, Question, TOUR};
use traffic::Event;

/// The demo's arguments.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Asks all the questions that there are, instead of a few that fit on a screen.
    #[arg(long)]
    all: bool,
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
    // Before there is a log, which would advise to keep a copy of it: nobody needs what a demo has made.
    key_file::open_or_create(&config)?;
    logs::start(&config.log);
    let keys = Keys::make(&config)?;
    threads::runtime()?.block_on(async {
        let running = start(config, crate::Clocks::system()).await?;
        let url = format!("http://{}", running.addr());
        println!("Shoal serves {url}, with everything in {}", dir.display());
        let keys = fill_and_ask(&running, url.clone(), keys, args).await?;
        print_how_to_go_on(&url, &dir, &keys, running.metrics_addr());
        if args.exit {
            running.stop().await?;
            return Ok(ExitCode::SUCCESS);
        }
        println!("Serving on; Ctrl-C stops.");
        until_told(running).await
    })
}

async fn fill_and_ask(running: &Running, url: String, keys: Keys, args: &DemoArgs) -> Result<Keys, Error> {
    let now_ms = system_clock()();
    let day_start_ms = start_of(day_of(now_ms) - 1);
    let events = traffic::day(args.seed, day_start_ms);
    let (address, sender) = (url.clone(), keys);
    let (events, keys) = blocking(move || {
        println!("{}", send::send_all(&address, &sender, &events)?);
        Ok((events, sender))
    })
    .await?;
    running.flush().await?;
    let asked = if args.all { QUESTIONS.len() } else { TOUR };
    blocking(move || {
        ask_all(&url, &keys.officer, &QUESTIONS[..asked], &events, day_start_ms)?;
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

fn ask_all(
    url: &str,
    key: &str,
    questions: &[Question],
    events: &[Event],
    day_start_ms: i64,
) -> Result<(), Error> {
    let client = Client::new(url, key);
    let day = DateTime::from_timestamp_millis(day_start_ms).unwrap_or_default().format("%Y-%m-%d");
    let mut score = truth::Score::default();
    for question in questions {
        let sql = question.sql.replace("{day}", &day.to_string());
        let mut asked = json!({"sql": sql});
        match question.exactness {
            Exactness::Precision(name) => asked["precision"] = json!(name),
            Exactness::SdMax(sd) => asked["sd_max"] = json!(sd),
        }
        let answer = client.post("/v1/sql", &asked.to_string(), "application/json")?;
        let answer: Value = serde_json::from_slice(&answer).map_err(|e| Error::Remote(e.to_string()))?;
        print!("{}", score.shown(question, &sql, &answer, events));
    }
    println!("\n± is the 95 % interval. {score}");
    Ok(())
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

fn print_how_to_go_on(url: &str, dir: &Path, keys: &Keys, metrics: Option<SocketAddr>) {
    let Keys { sdk, sdk_for_dsn, officer, .. } = keys;
    let dsn = url.replacen("://", &format!("://{sdk_for_dsn}@"), 1);
    println!(
        r#"
Ask yourself, in another terminal ({url}/docs/ describes the HTTP interface):
  {alias}
  export SHOAL_URL={url}
  export SHOAL_KEY={officer}
  shoal query "SELECT country, COUNT(DISTINCT subject) AS people FROM usage GROUP BY country"
Send events of your own, as somebody in {region} who has opted in before the SDK starts:
  KEY={sdk}
  curl -s $SHOAL_URL/v1/events -H "Authorization: Bearer $KEY" \
    -d '{{"events": [{{"event": "app_open", "user_id": "me"}}]}}'
  Segment: host {url}, write key as KEY above
  Sentry:  {dsn}/1
  SHOAL_DATA_DIR={data} shoal watch
Delta tables: {tables}"#,
        alias = alias_line(),
        region = SDK_REGION,
        data = dir.join("data").display(),
        tables = dir.join("data/de/tables/usage").display()
    );
    if let Some(addr) = metrics {
        println!("Metrics, for operators only: http://{addr}/metrics");
    }
}
