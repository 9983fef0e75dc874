//! Values that are right by themselves become a [`Config`] when they fit together; every mistake is named at once.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use shoal_anonymity::budget::{Precision, Preset};
use shoal_query::Epochs;

use super::{
    Config, ConfigError, HttpConfig, IngestSettings, QuerySettings, Raw, RetentionSettings, StorageSettings,
};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Text or JSON.
    pub format: LogFormat,
    /// The most detailed level of Shoal's own lines. Its dependencies never go below `warn`.
    pub level: tracing::Level,
}

pub(super) fn validate(raw: &Raw) -> Result<Config, ConfigError> {
    let mut wrong = Vec::new();
    let config = Config {
        data_dir: path(raw, "data_dir").unwrap_or_default(),
        key_file: path(raw, "key_file").unwrap_or_default(),
        schemas_dir: path(raw, "schemas_dir"),
        country_mmdb: path(raw, "country_mmdb"),
        http: http(raw, &mut wrong),
        ingest: ingest(raw),
        query: query(raw, &mut wrong),
        storage: StorageSettings {
            compaction_interval_min: match raw.number("storage.compaction_interval_min") {
                0 => None,
                minutes => Some(minutes),
            },
        },
        retention: RetentionSettings { cron: raw.text("retention.cron").map(str::to_owned) },
        log: log(raw, &mut wrong),
    };
    check_places(&config, &mut wrong);
    if let Some(cron) = &config.retention.cron
        && let Err(error) = croner::Cron::from_str(cron)
    {
        wrong.push(format!("`retention.cron`: {error}; five fields, as `17 3 * * *`, UTC"));
    }
    if config.ingest.inflated_bytes_max < config.ingest.body_bytes_max {
        wrong.push("`ingest.inflated_bytes_max` must not be less than `ingest.body_bytes_max`".into());
    }
    if config.http.bodies_bytes_max < config.ingest.body_bytes_max {
        wrong.push("`http.bodies_bytes_max` must not be less than `ingest.body_bytes_max`".into());
    }
    if wrong.is_empty() { Ok(config) } else { Err(ConfigError(wrong)) }
}

fn path(raw: &Raw, name: &'static str) -> Option<PathBuf> {
    raw.text(name).map(PathBuf::from)
}

fn http(raw: &Raw, wrong: &mut Vec<String>) -> HttpConfig {
    let listen = raw.text("http.listen").unwrap_or_default();
    let listen = listen.parse().unwrap_or_else(|_| {
        wrong.push("`http.listen` must be an address and a port, as `127.0.0.1:8750` or `[::]:8750`".into());
        std::net::SocketAddr::from(([127, 0, 0, 1], 0))
    });
    let tls = match (path(raw, "http.tls_cert"), path(raw, "http.tls_key")) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => {
            wrong.push("`http.tls_cert` and `http.tls_key` must be set together".into());
            None
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers: usize = raw.number("http.workers");
    HttpConfig {
        listen,
        tls,
        workers: if workers == 0 { cores } else { workers },
        connections_max: raw.number("http.connections_max"),
        header_timeout_ms: raw.number("http.header_timeout_ms"),
        body_timeout_ms: raw.number("http.body_timeout_ms"),
        body_rate_min_bytes_per_s: raw.number("http.body_rate_min_bytes_per_s"),
        bodies_bytes_max: raw.number("http.bodies_bytes_max"),
        stop_timeout_s: raw.number("http.stop_timeout_s"),
        cors_origins: raw.list("http.cors_origins"),
        trust_forwarded_for: raw.switch("http.trust_forwarded_for"),
    }
}

fn ingest(raw: &Raw) -> IngestSettings {
    IngestSettings {
        body_bytes_max: raw.number("ingest.body_bytes_max"),
        inflated_bytes_max: raw.number("ingest.inflated_bytes_max"),
        ratio_max: raw.number("ingest.ratio_max"),
        zstd_window_log_max: raw.number("ingest.zstd_window_log_max"),
        events_max: raw.number("ingest.events_max"),
        properties_max: raw.number("ingest.properties_max"),
        string_bytes_max: raw.number("ingest.string_bytes_max"),
        depth_max: raw.number("ingest.depth_max"),
        values_max: raw.number("ingest.values_max"),
        in_flight_bytes_max: raw.number("ingest.in_flight_bytes_max"),
        epoch_days: raw.number("ingest.epoch_days"),
        dedup_window_h: raw.number("ingest.dedup_window_h"),
        flush_interval_ms: raw.number("ingest.flush_interval_ms"),
        segment_bytes_max: raw.number("ingest.segment_bytes_max"),
        free_bytes_min: raw.number("ingest.free_bytes_min"),
    }
}

fn query(raw: &Raw, wrong: &mut Vec<String>) -> QuerySettings {
    let precision = raw.text("query.precision").unwrap_or_default().parse().unwrap_or_else(|_| {
        wrong.push("`query.precision` must be low, normal or high".into());
        Precision::Normal
    });
    let preset = match raw.text("query.preset") {
        Some("strict") => Preset::Strict,
        Some("standard") => Preset::Standard,
        Some("internal") => Preset::Internal,
        _ => {
            wrong.push("`query.preset` must be strict, standard or internal".into());
            Preset::Strict
        }
    };
    let epochs = Epochs::of_texts(&raw.list("query.epochs")).unwrap_or_else(|| {
        let example = "[\"open 20%\", \"1d 40%\", \"3d 25%\", \"31d 15%\"]";
        wrong.push(format!(
            "`query.epochs` must be the open day's share, then days after it, ascending from 1d, with theirs; 100% together \
             at the most: {example}"
        ));
        Epochs::default()
    });
    QuerySettings {
        preset,
        epochs,
        precision,
        k_min: raw.number("query.k_min"),
        concurrent_max: raw.number("query.concurrent_max"),
        threads: raw.number("query.threads"),
        time_ms_max: raw.number("query.time_ms_max"),
        answer_times_ms: raw.numbers("query.answer_times_ms"),
        memory_bytes_max: raw.number("query.memory_bytes_max"),
        cells_max: raw.number("query.cells_max"),
        sql_bytes_max: raw.number("query.sql_bytes_max"),
        worker_program: None,
    }
}

fn log(raw: &Raw, wrong: &mut Vec<String>) -> LogConfig {
    let format = match raw.text("log.format") {
        Some("json") => LogFormat::Json,
        Some("text") => LogFormat::Text,
        _ => {
            wrong.push("`log.format` must be text or json".into());
            LogFormat::Text
        }
    };
    let level = raw.text("log.level").unwrap_or_default();
    let level = tracing::Level::from_str(level).unwrap_or_else(|_| {
        wrong.push("`log.level` must be error, warn, info, debug or trace".into());
        tracing::Level::INFO
    });
    LogConfig { format, level }
}

fn check_places(config: &Config, wrong: &mut Vec<String>) {
    for (name, path) in [("data_dir", &config.data_dir), ("key_file", &config.key_file)] {
        if path.as_os_str().is_empty() {
            wrong.push(format!("`{name}` must not be empty"));
        }
    }
    if resolved(&config.key_file).starts_with(resolved(&config.data_dir)) {
        wrong.push(
            "`key_file` must be outside `data_dir`: whoever copies the data must not copy the keys with it"
                .into(),
        );
    }
}

/// Absolute, without `.` and `..`, and with links followed as far as the path exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut plain = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
        if let Ok(real) = plain.canonicalize() {
            plain = real;
        }
    }
    plain
}
