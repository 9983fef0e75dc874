//! The configuration: one TOML file and the environment, parsed once into a validated [`Config`].
//!
//! Order: default, then the file, then the environment. Every key is declared in `declared.rs`; a key that is
//! not is refused with the nearest one. Nothing else in Shoal reads a file or a variable for its settings.
//! Not here: the access keys of apps and analysts (`../keys.rs`).

mod check;
mod declared;
mod raw;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use shoal_anonymity::budget::{Precision, Preset};
use shoal_query::Epochs;

pub use check::{LogConfig, LogFormat};
pub use declared::{DECLARED, DeclaredKey};
pub use raw::Raw;

/// Why a configuration was refused: everything that is wrong with it, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// Everything that can be set, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where tables, logs, ledgers and access keys are.
    pub data_dir: PathBuf,
    /// The file of the regions' secrets; never inside `data_dir`.
    pub key_file: PathBuf,
    /// Definitions that overlay the embedded ones.
    pub schemas_dir: Option<PathBuf>,
    /// A MaxMind database of countries.
    pub country_mmdb: Option<PathBuf>,
    /// The door.
    pub http: HttpConfig,
    /// From the body to the table.
    pub ingest: IngestSettings,
    /// What analysts may ask.
    pub query: QuerySettings,
    /// How tables are kept.
    pub storage: StorageSettings,
    /// When expired days are purged.
    pub retention: RetentionSettings,
    /// Log lines.
    pub log: LogConfig,
}

/// The door.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpConfig {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Certificate chain and private key, both PEM; TLS is off without them.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Threads that serve requests.
    pub workers: usize,
    /// Connections at one time.
    pub connections_max: usize,
    /// Time a client has to send the head of a request, ms.
    pub header_timeout_ms: u64,
    /// Time a client has to send a body, ms.
    pub body_timeout_ms: u64,
    /// A body that comes slower than this after two seconds is given up, bytes per second.
    pub body_rate_min_bytes_per_s: u64,
    /// Bodies being received or worked on at one time, bytes.
    pub bodies_bytes_max: usize,
    /// Time that open requests have when the service stops, seconds.
    pub stop_timeout_s: u64,
    /// Origins of web pages that may send events; `*` is any.
    pub cors_origins: Vec<String>,
    /// Take the client's address from the last entry of `X-Forwarded-For`.
    pub trust_forwarded_for: bool,
}

/// From the body to the table.
#[derive(Clone, Debug, PartialEq)]
pub struct IngestSettings {
    /// Longest body as sent, bytes.
    pub body_bytes_max: usize,
    /// Longest body when decompressed, bytes.
    pub inflated_bytes_max: usize,
    /// Largest ratio of decompressed to sent bytes.
    pub ratio_max: usize,
    /// Logarithm (base 2) of the largest zstd window.
    pub zstd_window_log_max: u32,
    /// Most events in a request.
    pub events_max: usize,
    /// Most properties of an event.
    pub properties_max: usize,
    /// Longest text anywhere, bytes.
    pub string_bytes_max: usize,
    /// Deepest nesting of JSON.
    pub depth_max: usize,
    /// Most JSON values in a body.
    pub values_max: usize,
    /// Bytes that may wait for the log before requests are refused with 429.
    pub in_flight_bytes_max: u64,
    /// Days after which pseudonyms of the same person are no longer related.
    pub epoch_days: u32,
    /// A resend within this time is counted once, hours.
    pub dedup_window_h: u32,
    /// Rows reach the table at the latest after this, ms.
    pub flush_interval_ms: u64,
    /// Or when the log of a region has grown to this, bytes.
    pub segment_bytes_max: u64,
    /// Free space below which ingestion answers 507, bytes.
    pub free_bytes_min: u64,
}

/// What analysts may ask.
#[derive(Clone, Debug, PartialEq)]
pub struct QuerySettings {
    /// The most that everyone together may learn about a day of a region's table.
    pub preset: Preset,
    /// Precision of a query that names none: low, normal or high.
    pub precision: Precision,
    /// When a day is answered anew, and with which share of the cap: `open 20%` while it lasts, `1d 40%` a day after.
    pub epochs: Epochs,
    /// Fewest subjects of a group whose key is not public.
    pub k_min: u32,
    /// Queries running at one time; eight times as many may wait.
    pub concurrent_max: usize,
    /// Threads of the queries.
    pub threads: usize,
    /// Time a query may take, ms.
    pub time_ms_max: u64,
    /// When answers that read events leave, ms after the question; ascending.
    pub answer_times_ms: Vec<u64>,
    /// Memory of all queries together, bytes.
    pub memory_bytes_max: usize,
    /// Most groups that are looked at, before the threshold.
    pub cells_max: usize,
    /// Longest SQL text, bytes.
    pub sql_bytes_max: usize,
    /// The program whose processes run what stands above a release; none: this one. Not a setting: it is for tests and
    /// benches, which are no `shoal` themselves.
    pub worker_program: Option<PathBuf>,
}

/// How tables are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StorageSettings {
    /// Minutes from one compaction to the next; none: never.
    pub compaction_interval_min: Option<u32>,
}

/// When expired days are purged.
#[derive(Clone, Debug, PartialEq)]
pub struct RetentionSettings {
    /// Cron expression, UTC; none: only `shoal retention run`.
    pub cron: Option<String>,
}

impl Config {
    /// Reads the file (when one is given) and the variables, and checks everything.
    ///
    /// # Errors
    /// Everything that is wrong, one line each.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let mut raw = match file {
            None => Raw::defaults(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|e| ConfigError(vec![format!("{}: {e}", path.display())]))?;
                Raw::parse(&text).map_err(|ConfigError(lines)| {
                    ConfigError(lines.iter().map(|l| format!("{}: {l}", path.display())).collect())
                })?
            }
        };
        raw.overlay(environment)?;
        check::validate(&raw)
    }

    /// The defaults, with everything below `dir`: for the demo and for tests.
    ///
    /// # Errors
    /// Never with the defaults as they are.
    pub fn embedded(dir: &Path) -> Result<Config, ConfigError> {
        let mut config = check::validate(&Raw::defaults())?;
        config.data_dir = dir.join("data");
        config.key_file = dir.join("shoal.key");
        Ok(config)
    }
}
