//! What the settings say of questions, as the engine takes it: its limits, and the program of its workers.
//!
//! Not here: how the engine is built (`startup.rs`), what the settings are (`config.rs`).

use std::path::{Path, PathBuf};

use shoal_query::QueryConfig;

use crate::config::Config;
use crate::error::Error;

/// The program of the workers: this one, as it was started, also when its file was replaced since.
pub(super) fn worker_program(config: &Config) -> Result<PathBuf, Error> {
    let of_this_process = Path::new("/proc/self/exe");
    match &config.query.worker_program {
        Some(program) => Ok(program.clone()),
        None if of_this_process.exists() => Ok(of_this_process.to_path_buf()),
        None => std::env::current_exe().map_err(|e| Error::Service(format!("the program of workers: {e}"))),
    }
}

pub(super) fn query_config(config: &Config) -> QueryConfig {
    let settings = &config.query;
    QueryConfig {
        preset: settings.preset,
        epochs: settings.epochs.clone(),
        k_min: settings.k_min,
        concurrent_max: settings.concurrent_max,
        threads: settings.threads,
        memory_bytes_max: settings.memory_bytes_max,
        cells_max: settings.cells_max,
        time_ms_max: settings.time_ms_max,
        row_time_ns: settings.row_time_ns,
        subject_day_events_max: config.ingest.subject_day_events_max.into(),
        answer_times_ms: settings.answer_times_ms.clone(),
        ..QueryConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What benches and the trial of answers run with is what ships.
    #[test]
    fn the_defaults_of_questions_are_those_of_the_settings() {
        let config = Config::embedded(Path::new("nowhere")).expect("defaults are a configuration");
        assert_eq!(query_config(&config), QueryConfig::default());
    }
}
