//! A whole service inside the test's process: in a directory of its own, on a free port, with clocks that only the test moves.
//!
//! Invariants: the tables are written when the test says so ([`World::flush`]), never by time; nothing outlives the value.
//! Not here: the real binary (`process.rs`), reading tables (`tables.rs`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use shoal_ingest::KeyKind;
use shoal_schemas::{Programme, Region};
use shoal_server::access_keys::{KeyStore, NewKey, Role, Scope};
use shoal_server::{Clock, Clocks, Config, Running};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::http::Client;
use crate::tables::{Stored, clear_and_sealed};

/// 2026-11-22T12:00:00Z, the time at which every world begins.
pub(crate) const NOON_MS: i64 = 1_795_348_800_000;
/// The day of it.
pub(crate) const TODAY: &str = "2026-11-22";
pub(crate) use shoal_schemas::calendar::DAY_MS;
/// A policy version that both programmes accept.
pub(crate) const POLICY: &str = "2026-1";

/// The keys that every world has.
pub(crate) struct Keys {
    /// Sends events of both programmes to all regions, from a server: it is told what became of each. Consent must come with
    /// the events or have been recorded.
    pub(crate) app: String,
    /// The same in an app, which anybody may have taken apart.
    pub(crate) shipped: String,
    /// Sends user-experience events to DE from an app, asserting consent.
    pub(crate) asserting: NewKey,
    /// Asks about all regions.
    pub(crate) analyst: String,
    /// Asks about all regions, runs retention.
    pub(crate) officer: String,
}

impl Keys {
    /// Makes them in a data directory.
    pub(crate) fn create(data_dir: &Path) -> Keys {
        let store = KeyStore::new(data_dir);
        let make = |scope| store.create(scope, NOON_MS, &|_| Ok(())).unwrap();
        let regions = Region::ALL.to_vec();
        Keys {
            app: make(ingest(&regions, None, None)).reveal(),
            shipped: make(shipped(ingest(&regions, None, None))).reveal(),
            asserting: make(shipped(ingest(&[Region::De], Some(Programme::UserExperience), Some(POLICY)))),
            analyst: make(Scope::Analyst { role: Role::Analyst, regions: regions.clone() }).reveal(),
            officer: make(Scope::Analyst { role: Role::Officer, regions }).reveal(),
        }
    }
}

/// The scope of a server's ingest key.
pub(crate) fn ingest(regions: &[Region], programme: Option<Programme>, policy: Option<&str>) -> Scope {
    let policy = policy.map(str::to_owned);
    let (kind, app) = (KeyKind::Server, "camera".to_owned());
    Scope::Ingest { kind, app, regions: regions.to_vec(), programme, policy, consent_category: None }
}

/// The same scope for a key that ships in apps.
pub(crate) fn shipped(scope: Scope) -> Scope {
    match scope {
        Scope::Ingest { app, regions, programme, policy, consent_category, .. } => {
            Scope::Ingest { kind: KeyKind::Shipped, app, regions, programme, policy, consent_category }
        }
        other => other,
    }
}

/// A running service and its clock.
pub(crate) struct World {
    running: Option<Running>,
    runtime: Runtime,
    now_ms: Arc<AtomicI64>,
    /// What the test has let pass beside the real time.
    passed_ms: Arc<AtomicI64>,
    config: Config,
    pub(crate) keys: Keys,
    dir: TempDir,
}

impl World {
    /// A new one.
    pub(crate) fn new() -> World {
        World::with(|_| {})
    }

    /// A new one with other settings.
    pub(crate) fn with(edit: impl FnOnce(&mut Config)) -> World {
        World::over(tempfile::tempdir().unwrap(), NOON_MS, edit)
    }

    /// One over a directory that may hold data already, at this time.
    pub(crate) fn over(dir: TempDir, now_ms: i64, edit: impl FnOnce(&mut Config)) -> World {
        let mut config = Config::embedded(dir.path()).unwrap();
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.http.workers = 2;
        // Tests present many wrong keys.
        config.http.wrong_key_wait_ms_max = 0;
        config.ingest.flush_interval_ms = 300_000;
        config.ingest.segment_bytes_max = 4 << 20;
        config.ingest.free_bytes_min = 0;
        // Machines that test are busy: nobody is told to come back, but where a test is about that.
        config.ingest.wait_ms_max = 60_000;
        config.retention.cron = None;
        config.query.answer_times_ms = vec![250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000];
        // This binary is not optimised, and runs beside others; tables here are small.
        config.query.row_time_ns = 300;
        config.ingest.subject_day_events_max = 500;
        config.query.concurrent_max = 8;
        config.query.memory_bytes_max = 1536 << 20;
        config.query.worker_program = Some(env!("CARGO_BIN_EXE_shoal").into());
        edit(&mut config);
        let keys = Keys::create(&config.data_dir);
        let now_ms = Arc::new(AtomicI64::new(now_ms));
        let passed_ms = Arc::default();
        let runtime = Runtime::new().unwrap();
        let mut world = World { running: None, runtime, now_ms, passed_ms, config, keys, dir };
        world.start();
        world
    }

    fn start(&mut self) {
        self.try_start().unwrap();
    }

    /// Starts again after a stop; what keeps it from starting, if something does.
    pub(crate) fn try_start(&mut self) -> Result<(), String> {
        let now_ms = Arc::clone(&self.now_ms);
        let wall: Clock = Arc::new(move || now_ms.load(Ordering::SeqCst));
        let (passed_ms, real) = (Arc::clone(&self.passed_ms), Clocks::system().ticks);
        let ticks: Clock = Arc::new(move || real() + passed_ms.load(Ordering::SeqCst));
        let started = self.runtime.block_on(shoal_server::start(self.config.clone(), Clocks { wall, ticks }));
        self.running = Some(started.map_err(|error| error.to_string())?);
        Ok(())
    }

    /// Stops, changes settings, and starts again on the same directory.
    pub(crate) fn restart(&mut self, edit: impl FnOnce(&mut Config)) {
        self.stop();
        edit(&mut self.config);
        self.start();
    }

    /// Changes settings for the next start.
    pub(crate) fn edit(&mut self, edit: impl FnOnce(&mut Config)) {
        edit(&mut self.config);
    }

    /// Stops in order.
    pub(crate) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop()).unwrap();
        }
    }

    /// Stops in order; what keeps it from that, if something does.
    pub(crate) fn try_stop(&mut self) -> Result<(), String> {
        let running = self.running.take().unwrap();
        self.runtime.block_on(running.stop()).map_err(|error| error.to_string())
    }

    /// Where it answers.
    pub(crate) fn client(&self) -> Client {
        Client(self.running.as_ref().unwrap().addr())
    }

    /// Where it shows its metrics, when the settings say so.
    pub(crate) fn metrics(&self) -> Client {
        Client(self.running.as_ref().unwrap().metrics_addr().unwrap())
    }

    /// Everything in the log goes into the tables.
    pub(crate) fn flush(&self) {
        self.runtime.block_on(self.running.as_ref().unwrap().flush()).unwrap();
    }

    /// One more key, known at once.
    pub(crate) fn key(&self, scope: Scope) -> NewKey {
        let key = KeyStore::new(&self.config.data_dir).create(scope, NOON_MS, &|_| Ok(())).unwrap();
        self.flush();
        key
    }

    /// Lets time pass: both clocks go on, by steps that the service looks at.
    pub(crate) fn pass_ms(&self, ms: i64) {
        let mut left = ms;
        while left > 0 {
            // Whoever looks between the two lines sees a clock that is off by so little that nobody has set it.
            let step = left.min(240_000);
            self.passed_ms.fetch_add(step, Ordering::SeqCst);
            self.now_ms.fetch_add(step, Ordering::SeqCst);
            self.client().get("/v1/retention/plan", &self.keys.officer).expect(200);
            left -= step;
        }
    }

    /// Waits until the loop of the jobs has gone round so often since it was called.
    pub(crate) fn jobs_ran(&self, times: usize) {
        let store = KeyStore::new(&self.config.data_dir);
        for _ in 0..times {
            // A round begins by looking whether there are other keys.
            let scope = Scope::Analyst { role: Role::Analyst, regions: Region::ALL.to_vec() };
            let key = store.create(scope, NOON_MS, &|_| Ok(())).unwrap().reveal();
            let is_known = || (self.client().get("/v1/tables", &key).status == 200).then_some(());
            crate::process::until("a round of the jobs", is_known);
        }
    }

    /// Both clocks are moved, as a library does that stands between the machine and the service: no time passes.
    pub(crate) fn move_both_ms(&self, ms: i64) {
        self.passed_ms.fetch_add(ms, Ordering::SeqCst);
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets the clock of the day, which is no time that passes.
    pub(crate) fn set_now_ms(&self, now_ms: i64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }

    /// The clock.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    /// Where it keeps its data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.config.data_dir.clone()
    }

    /// Where it keeps the high-water marks that are apart from the data.
    pub(crate) fn marks_dir(&self) -> PathBuf {
        self.config.marks_dir()
    }

    /// The directory that holds the data directory and the key file.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// Runs a test of what reaches the disk twice: over tables that are encrypted, as they are unless a setting says otherwise, whose cells
/// are searched in a copy; and over tables in the clear, of which every cell of every file is searched where it lies.
pub(crate) fn encrypted_and_clear(edit: impl Fn(&mut Config), test: impl Fn(&mut World)) {
    for encrypt in [true, false] {
        let mut world = World::with(|config| {
            edit(config);
            config.storage.encrypt = encrypt;
        });
        test(&mut world);
        let (clear, sealed) = clear_and_sealed(&world.config.data_dir);
        assert_eq!(
            (clear == 0, sealed == 0),
            (encrypt, !encrypt),
            "{clear} in the clear, {sealed} encrypted"
        );
    }
}

impl Stored for World {
    fn data_dir(&self) -> PathBuf {
        self.config.data_dir.clone()
    }

    fn key_file(&self) -> PathBuf {
        self.config.key_file.clone()
    }

    fn data_key_dir(&self) -> PathBuf {
        self.config.data_key_dir()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let stopped = self.runtime.block_on(running.stop());
            if !std::thread::panicking() {
                stopped.unwrap();
            }
        }
    }
}

/// The day that the clock of the machine says.
pub(crate) fn real_day() -> String {
    day_text(shoal_server::system_clock()())
}

/// The day of a time.
pub(crate) fn day_text(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms).unwrap().format("%Y-%m-%d").to_string()
}

/// Consent as a batch carries it.
pub(crate) fn consent() -> Value {
    json!({"policy_version": POLICY, "granted_at": "2026-01-02T03:04:05Z"})
}

/// A batch of native events from one country, each with consent.
pub(crate) fn batch(country: &str, events: Vec<Value>) -> Value {
    json!({"consent": consent(), "country": country, "events": events})
}

/// A press of a control by a person, with the time of the world's beginning.
pub(crate) fn click(id: &str, user: &str, element: &str) -> Value {
    json!({"id": id, "event": "click", "time": NOON_MS, "user_id": user, "properties": {"element": element}})
}

/// A text of letters only that stands for a number: no pattern of the scrubber takes it for something.
pub(crate) fn letters(mut number: u64) -> String {
    let mut text = String::from("el");
    loop {
        text.push(char::from(b'a' + u8::try_from(number % 26).unwrap()));
        number /= 26;
        if number == 0 {
            return text;
        }
    }
}
