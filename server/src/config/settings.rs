//! Every setting of Shoal, once: its name, its type, its default, its bounds and its explanation, which is also that of
//! `shoal.example.toml` (a test compares the two).
//!
//! To add a setting, add an entry here (those of `keys` are in `key_settings.rs`) and its lines to the example. Nothing else needs to know its name but the code that
//! uses the field.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use shoal_anonymity::budget::{Precision, Preset};
use shoal_ingest::{
    AdmissionConfig, DayLimitConfig, DedupConfig, IngestConfig, Limits, PipelineConfig, UnitKeyConfig,
};
use shoal_query::BudgetEpochs;

use super::declare::Kind::{List, Number, Numbers, Optional, Switch, Text};
use super::declare::Suggested::{Default, Example};
use super::declare::{Setting, settings};
use super::key_settings::KeySettings;
use super::values::{LogFormat, cores_if_zero, epochs, level, none_if_zero, schedule};
use crate::unwrapped::Unwrapped;

const KIB: i64 = 1024;
const MIB: i64 = 1024 * KIB;
const GIB: i64 = 1024 * MIB;

/// What ingestion takes where nothing is set.
const LIMITS: Limits = PipelineConfig::DEFAULT.limits;
const WRITE_AHEAD: shoal_ingest::LogConfig = shoal_ingest::LogConfig::DEFAULT;

const A_FILE: &str = "the path of a file";
const A_DIRECTORY: &str = "the path of a directory";
const AN_ADDRESS: &str = "an address and a port, as `127.0.0.1:8750` or `[::]:8750`";
const SHARES: &str = "the open day's share, then days after it, ascending from 1d, with theirs; 100% together at the most: \
                      [\"open 20%\", \"1d 40%\", \"3d 25%\", \"31d 15%\"]";

settings! {
    /// Everything that can be set, checked.
    Config named "" {
        /// Directory of the tables, the write-ahead logs, the consent records, the ledger, the audit and the hashes of access keys.
        /// One process at a time serves it.
        data_dir: PathBuf = Text("./data", A_DIRECTORY);
        /// File of the secrets that pseudonyms are made with; the first start makes it with mode 0600. It must be outside
        /// data_dir. Keep a copy: without it the same person becomes a new pseudonym.
        key_file: PathBuf = Text("./shoal.key", A_FILE);
        /// Directory of the keys that events without identifiers are grouped with, one for each region and day; the first start
        /// makes it. By default it is key_file with `.units` after its name. It must be outside data_dir, and in no backup.
        unit_key_dir: Option<PathBuf> = Optional(Example("/var/lib/shoal-unit-keys"), A_DIRECTORY);
        /// Directory of the keys with which the files of tables are encrypted, one for each table and day, wrapped with the secrets of
        /// key_file; the first start makes it. By default it is key_file with `.data` after its name. It must be outside data_dir,
        /// and in no backup of it: keep a copy of its own, without which the tables cannot be read.
        data_key_dir: Option<PathBuf> = Optional(Example("/var/lib/shoal-data-keys"), A_DIRECTORY);
        /// Directories, best on other disks, in which copies of data_key_dir are kept up to date. A key that is destroyed is destroyed in
        /// all of them first, and not at all while one of them cannot be reached. Make each an empty directory, and run
        /// `shoal keys escrow` once.
        data_key_replicas: Vec<PathBuf> = List(&[], "a list of paths of directories");
        /// Directory of high-water marks: how much of each day's privacy budget was spent, so that an older copy of data_dir brings
        /// nothing of it back. It must be outside data_dir and outside the directory of key_file, and is never put back with
        /// the data. By default it is beside data_dir, with `.budget` at the end of its name.
        budget_marks_dir: Option<PathBuf> = Optional(Example("/var/lib/shoal-budget"), A_DIRECTORY);
        /// Directory of the journal of withdrawals, so that an older copy of data_dir brings no consent back. It has digests and no
        /// identifiers. It must be outside data_dir and outside the directory of key_file, and is never put back with the data.
        /// By default it is beside data_dir, with `.withdrawals` at the end of its name.
        withdrawals_dir: Option<PathBuf> = Optional(Example("/var/lib/shoal-withdrawals"), A_DIRECTORY);
        /// Directory of definitions (events, vendors, retention, countries) that overlay the embedded ones; see
        /// `shoal schemas check DIR`. `shoal reload` takes changes over.
        schemas_dir: Option<PathBuf> = Optional(Example("/etc/shoal/schemas"), A_DIRECTORY);
        /// MaxMind database of countries (.mmdb), for events that name no country. The address is forgotten at once.
        country_mmdb: Option<PathBuf> = Optional(Example("/etc/shoal/country.mmdb"), A_FILE);
    }
    with {
        /// The custody of the key file.
        pub keys: KeySettings,
        /// What the custody has unwrapped last. It is no setting.
        #[serde(skip)]
        pub unwrapped: Unwrapped,
        /// The HTTP endpoint.
        pub http: HttpConfig,
        /// The metrics, which are for operators only.
        pub metrics: MetricsConfig,
        /// The way from a body to the tables.
        pub ingest: IngestSettings,
        /// The questions of analysts.
        pub query: QuerySettings,
        /// The upkeep of the tables.
        pub storage: StorageSettings,
        /// The purge of expired days.
        pub retention: RetentionSettings,
        /// Log lines.
        pub log: LogConfig,
    }
}

settings! {
    /// The HTTP endpoint.
    HttpConfig named "http." {
        /// Address and port on which the service listens. Port 0 takes a free one.
        listen: SocketAddr = Text("127.0.0.1:8750", AN_ADDRESS);
        /// Certificate chain (PEM). With it and tls_key the service speaks TLS only.
        tls_cert: Option<PathBuf> = Optional(Example("/etc/shoal/cert.pem"), A_FILE);
        /// Private key of the certificate (PEM).
        tls_key: Option<PathBuf> = Optional(Example("/etc/shoal/key.pem"), A_FILE);
        /// Threads that serve requests. 0 takes one for each core.
        #[serde(deserialize_with = "cores_if_zero")]
        workers: usize = Number(0, 0, 1024);
        /// Most connections at one time. When there are more, one on which no valid key has come is closed: the oldest that was
        /// answered, else the oldest.
        connections_max: usize = Number(4096, 1, 1_000_000);
        /// Most connections of one address (of one /64 of IPv6) on which no valid key has come. A further one closes one of them
        /// likewise.
        strangers_per_address_max: usize = Number(256, 1, 1_000_000);
        /// Longest wait of the answer to a wrong key, in milliseconds, after many from that address. Valid keys do not wait.
        wrong_key_wait_ms_max: u64 = Number(2_000, 0, 30_000);
        /// Whether a key that ships in apps is told what became of what came with it from the address of whoever asks
        /// (GET /v1/keys/self). Set it to false where clients share an address that the service cannot tell apart, as in a
        /// cluster that hides theirs.
        shipped_key_counters: bool = Switch(true);
        /// Time that a client has to send the head of a request, in milliseconds. A connection on which no valid key has come may
        /// be quiet for as long.
        header_timeout_ms: u64 = Number(5_000, 100, 600_000);
        /// Time that a client has to send a body, in milliseconds.
        body_timeout_ms: u64 = Number(20_000, 100, 600_000);
        /// Slowest rate of a body after its first two seconds, in bytes per second. A slower body is given up.
        body_rate_min_bytes_per_s: u64 = Number(4 * KIB, 1, GIB);
        /// Most bytes of bodies in memory at one time. Beyond it requests are answered 429 with Retry-After.
        bodies_bytes_max: usize = Number(96 * MIB, 64 * KIB, 64 * GIB);
        /// Time that open requests have to end in when the service stops, in seconds.
        stop_timeout_s: u64 = Number(20, 1, 600);
        /// Origins of web pages that may send events ("*": any). Sending needs an ingest key; nothing can be read this way.
        cors_origins: Vec<String> = List(&["*"], "a list of texts");
        /// Whether the client's address is the last entry of X-Forwarded-For. Set it only behind a proxy that writes that header.
        trust_forwarded_for: bool = Switch(false);
        /// Which entry of X-Forwarded-For that is, counted from the right over all of its lines: as many as there are trusted
        /// proxies in front of each other, each of which adds one.
        forwarded_for_hops: usize = Number(1, 1, 16);
    }
}

settings! {
    /// The metrics, which are for operators only.
    MetricsConfig named "metrics." {
        /// Address and port on which GET /metrics is answered, to whoever can connect to it: without a key and without TLS.
        /// Metrics count events exactly and time questions, so let neither apps nor analysts reach it, nor a proxy that they
        /// use. By default, and with "", nothing answers with metrics. Port 0 takes a free one.
        listen: Option<SocketAddr> = Optional(Example("127.0.0.1:8751"), "an address and a port");
    }
}

settings! {
    /// The way from a body to the tables.
    IngestSettings named "ingest." {
        /// Longest body as sent, in bytes.
        body_bytes_max: usize = Number(LIMITS.body_bytes_max as i64, KIB, 64 * MIB);
        /// Longest body when decompressed, in bytes.
        inflated_bytes_max: usize = Number(LIMITS.inflated_bytes_max as i64, KIB, 256 * MIB);
        /// Largest ratio of decompressed bytes to sent bytes.
        ratio_max: usize = Number(LIMITS.ratio_max as i64, 2, 10_000);
        /// Largest window of a zstd or brotli body, as a power of 2 in bytes.
        zstd_window_log_max: u32 = Number(LIMITS.zstd_window_log_max as i64, 10, 27);
        /// Most events in a request.
        events_max: usize = Number(LIMITS.events_max as i64, 1, 100_000);
        /// Most properties of an event.
        properties_max: usize = Number(LIMITS.properties_max as i64, 1, 1_000);
        /// Longest text anywhere in an event, in bytes. A longer one is left out, or its event rejected.
        string_bytes_max: usize = Number(LIMITS.string_bytes_max as i64, 64, MIB);
        /// Deepest nesting of a value. A deeper one is left out, or its event rejected.
        depth_max: usize = Number(LIMITS.depth_max as i64, 4, 128);
        /// Most JSON values in a body. This bounds the memory that reading it takes.
        values_max: usize = Number(LIMITS.values_max as i64, 1_000, 10_000_000);
        /// Steps that looking for personal data in a request's texts may take, about one for each byte and pattern. Texts beyond it
        /// are replaced as a whole. A second of one core is some 100 million.
        scrub_steps_max: u64 = Number(LIMITS.scrub_steps_max as i64, 100_000, 100_000_000_000);
        /// Threads that judge requests, beside those that serve them (http.workers): so many are judged at one time, and the others
        /// wait for their turn. 0 takes one for each core.
        #[serde(deserialize_with = "cores_if_zero")]
        threads: usize = Number(0, 0, 1024);
        /// Most bytes that may wait for the disk. Beyond it requests are answered 429 with Retry-After.
        in_flight_bytes_max: u64 = Number(WRITE_AHEAD.in_flight_bytes_max as i64, MIB, 4 * GIB);
        /// Longest time that a request may wait for its turn, in milliseconds; a fifth of it when no turn was free for so long.
        /// A request that would wait longer is answered 429 with Retry-After at once.
        wait_ms_max: u64 = Number(AdmissionConfig::DEFAULT.wait.as_millis() as i64, 1, 60_000);
        /// Most grants of consent that one address may send in a minute with one shipped key. Beyond it they are answered 429
        /// with Retry-After. Withdrawals have no such limit, nor have server keys.
        grants_per_min: u32 = Number(IngestConfig::GRANTS_PER_MIN as i64, 1, 1_000_000);
        /// After this many days the same person has a new pseudonym, unrelated to the old one.
        epoch_days: u32 = Number(PipelineConfig::DEFAULT.epochs.days as i64, 1, 3650);
        /// Days after a day until the keys of its events without identifiers are destroyed. Such events that come later count as
        /// one person's for each app and day.
        unit_late_days: u32 = Number(UnitKeyConfig::LATE_DAYS as i64, 0, 31);
        /// Most events of one person or device on one UTC day in one table of one region. Further ones are withheld. It bounds
        /// what one person's day can be, and so how long a question takes. For days that are stored, a higher one of before counts.
        subject_day_events_max: u32 = Number(DayLimitConfig::DEFAULT.events_max as i64, 1, 1_000_000);
        /// Time within which the same event id sent again is counted once, in hours.
        dedup_window_h: u32 = Number(DedupConfig::DEFAULT.window_h as i64, 1, 8760);
        /// Events reach the tables at the latest after this time, in milliseconds.
        flush_interval_ms: u64 = Number(IngestConfig::FLUSH_INTERVAL_MS as i64, 50, 3_600_000);
        /// Events reach the tables earlier when the log segment of their region has grown to this, in bytes.
        segment_bytes_max: u64 = Number(WRITE_AHEAD.segment_bytes_max as i64, 4 * MIB, GIB);
        /// Free space on the disk below which events are refused with 507, in bytes.
        free_bytes_min: u64 = Number(WRITE_AHEAD.free_bytes_min as i64, 0, 1024 * GIB);
    }
}

settings! {
    /// The questions of analysts.
    QuerySettings named "query." {
        /// The most that all analysts together may ever learn about one day of a region's table: strict, standard or internal.
        preset: Preset = Text("standard", "strict, standard or internal");
        /// Precision of a query that names none: low, normal or high. Exactness costs privacy budget.
        precision: Precision = Text("normal", "low, normal or high");
        /// When a day is answered anew, and with which share of the cap: each hour while it is open (together), then at 00:00
        /// UTC so many days after it. The cap holds for all of them together, whatever is changed later.
        #[serde(deserialize_with = "epochs")]
        epochs: BudgetEpochs = List(&["open 20%", "1d 40%", "3d 25%", "31d 15%"], SHARES);
        /// Fewest people of a group that an answer shows (unless every possible group is public).
        k_min: u32 = Number(20, 2, 1_000_000);
        /// Queries that run at one time. Up to eight times as many wait, and one more is answered 429.
        concurrent_max: usize = Number(2, 1, 64);
        /// Threads of all queries together.
        threads: usize = Number(2, 1, 256);
        /// Longest time that the work of a query may take, and longest time that it may wait for its turn, in milliseconds.
        time_ms_max: u64 = Number(30_000, 100, 600_000);
        /// An answer that reads events leaves at one of these times after its turn has begun (in milliseconds, ascending), later
        /// ones at multiples of the last. Which one is decided before anything is read. What depends on public facts only
        /// (refusals, dry runs, answers that were released before) does not wait.
        answer_times_ms: Vec<u64> = Numbers(&[1_000, 2_000, 4_000, 8_000, 16_000, 30_000], 10, 600_000);
        /// Nanoseconds that are planned for reading a row that is only counted; keys, expressions and aggregates are multiples of
        /// it. The time of an answer is decided with it before anything is read, and a question whose work takes longer fails and
        /// is charged: raise it when shoal_query_failures_total with the cause time grows.
        row_time_ns: u64 = Number(100, 1, 1_000_000);
        /// Memory that the groups of all queries may take together, in bytes. Each query has its part of it, and one whose groups
        /// could need more is refused before it is charged.
        memory_bytes_max: usize = Number(384 * MIB, 16 * MIB, 256 * GIB);
        /// About how many groups of a private key one region may have on a day, or in a range of days, before the threshold. A
        /// query that finds more fails. The limit is noisy, which the query has paid for, and it is lower when memory_bytes_max
        /// has no room for so many groups.
        cells_max: usize = Number(100_000, 10, 10_000_000);
        /// Longest SQL text, in bytes. A text of more than 16384 bytes is refused in any case.
        sql_bytes_max: usize = Number(16 * KIB, 64, MIB);
    }
    with {
        /// The program whose processes run the postprocessing; `None` is the running program. It is no setting: tests
        /// and benches, which are no `shoal` themselves, name one.
        #[serde(skip)]
        pub worker_program: Option<PathBuf>,
    }
}

settings! {
    /// The upkeep of the tables.
    StorageSettings named "storage." {
        /// Minutes from one merge of small files into larger ones to the next. Everything else goes on meanwhile. 0 is never.
        #[serde(deserialize_with = "none_if_zero")]
        compaction_interval_min: Option<u32> = Number(10, 0, 1_440);
        /// Whether files of tables are encrypted that are written from now on. Files of before stay as they are until they are
        /// merged, and encrypted ones can always be read. Other programs can read tables in the clear alone.
        encrypt: bool = Switch(true);
        /// Where the files of tables are, if not in data_dir: another directory (`file:///srv/tables`), or a bucket of S3 or of a
        /// store that speaks its protocol. Everything else stays in data_dir. Keys to a bucket come from the environment
        /// (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the role of the machine). What is in data_dir already is
        /// not moved.
        url: Option<String> = Optional(Example("s3://bucket/prefix"), "the URL of a bucket or a directory");
        /// URL of the store, if it is not Amazon's.
        endpoint: Option<String> = Optional(Example("https://minio.example:9000"), "a URL");
        /// Region of the bucket. Amazon's store needs one.
        region: Option<String> = Optional(Example("eu-central-1"), "the name of a region");
        /// Most bytes of what was read of a bucket that are kept on the disk of data_dir for the next question, as they lie in the
        /// bucket. They are gone when the service ends. 0 keeps nothing.
        cache_bytes_max: u64 = Number(GIB, 0, 1024 * GIB);
        /// Whether the endpoint may begin with `http:`. Whoever is between sees and changes every byte that is sent.
        allow_http: bool = Switch(false);
    }
}

settings! {
    /// The purge of expired days.
    RetentionSettings named "retention." {
        /// Cron expression (UTC) of the times at which expired days are purged from the disk; they are unreadable from the
        /// second of expiry anyway. "" is never: then only `shoal retention run` purges.
        #[serde(deserialize_with = "schedule")]
        cron: Option<String> = Optional(
            Default("17 3 * * *"),
            "a cron expression of five fields, as `17 3 * * *` (UTC), or empty for never"
        );
        /// Percent of all rows that one run may remove. More is refused until somebody runs it with --accept-share, unless it
        /// is no more than two days of each programme and kind.
        removed_percent_max: u8 = Number(50, 1, 100);
    }
}

settings! {
    /// Log lines, on standard error.
    LogConfig named "log." {
        /// Form of the log lines: text or json.
        format: LogFormat = Text("text", "text or json");
        /// The most detailed level of Shoal's own lines: error, warn, info, debug or trace. The libraries it uses never go below
        /// warn. No level ever shows a body, a header, a query string, an address or a key.
        #[serde(deserialize_with = "level")]
        level: tracing::Level = Text("info", "error, warn, info, debug or trace");
    }
}

/// All settings, by section.
const SECTIONS: [&[Setting]; 9] = [
    Config::SETTINGS,
    KeySettings::SETTINGS,
    HttpConfig::SETTINGS,
    MetricsConfig::SETTINGS,
    IngestSettings::SETTINGS,
    QuerySettings::SETTINGS,
    StorageSettings::SETTINGS,
    RetentionSettings::SETTINGS,
    LogConfig::SETTINGS,
];

impl Config {
    /// Directory of the unit keys.
    pub fn unit_key_dir(&self) -> PathBuf {
        self.unit_key_dir.clone().unwrap_or_else(|| self.beside_the_key_file(".units"))
    }

    /// Directory of the data keys.
    pub fn data_key_dir(&self) -> PathBuf {
        self.data_key_dir.clone().unwrap_or_else(|| self.beside_the_key_file(".data"))
    }

    fn beside_the_key_file(&self, end: &str) -> PathBuf {
        let mut path = self.key_file.clone().into_os_string();
        path.push(end);
        PathBuf::from(path)
    }

    /// The directory of the high-water marks: the one that is set, or the one beside the data directory.
    pub fn marks_dir(&self) -> PathBuf {
        self.budget_marks_dir.clone().unwrap_or_else(|| self.beside_the_data(".budget"))
    }

    /// The directory of the journal of withdrawals: the one that is set, or the one beside the data directory.
    pub fn journal_dir(&self) -> PathBuf {
        self.withdrawals_dir.clone().unwrap_or_else(|| self.beside_the_data(".withdrawals"))
    }

    fn beside_the_data(&self, end: &str) -> PathBuf {
        // A name that ends in `.` or `..` has no end to add to.
        let data_dir = match self.data_dir.file_name() {
            Some(_) => self.data_dir.clone(),
            None => self.data_dir.canonicalize().unwrap_or_else(|_| self.data_dir.clone()),
        };
        let mut name = data_dir.file_name().unwrap_or_default().to_owned();
        name.push(end);
        data_dir.with_file_name(name)
    }
}

impl HttpConfig {
    /// Certificate chain and private key, both PEM. TLS is off without them.
    pub fn tls(&self) -> Option<(&Path, &Path)> {
        self.tls_cert.as_deref().zip(self.tls_key.as_deref())
    }
}

/// All settings.
pub(super) fn all() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.into_iter().flatten()
}

/// The setting of this name.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name == name)
}

/// The names of the sections.
pub(super) fn sections() -> impl Iterator<Item = &'static str> {
    let first = |settings: &'static [Setting]| settings.first()?.name.split_once('.');
    SECTIONS.into_iter().filter_map(first).map(|(section, _)| section)
}
